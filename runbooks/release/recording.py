"""What the fleet's record says once something runs: the release, whole, and what was left as bad."""

from collections.abc import Sequence

from pydantic import model_validator

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import ServiceState, current, pinned
from runbooks.fleet.fleet import Fleet, Release, ReleasedService, utc_now
from runbooks.fleet.records import ReleasedConfiguration
from runbooks.kit.plan import Image, ImageChange, versions
from runbooks.kit.targets import Environment, Frozen
from runbooks.release.rollback import left_by
from runbooks.release.rollouts import RolloutResult
from runbooks.verification.findings import Verified, worst
from runbooks.wording import listed

UNPROVEN = "no record lists this image as good"


class Recorded(Frozen):
    """What was written."""

    marked: int = 0
    """How many releases were marked bad."""
    hanging: tuple[str, ...] = ()
    """The services that this run did not change and that do not run completely: what becomes of them is still to be decided."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_version_before(cls, data: object) -> object:
        return {"marked": data} if isinstance(data, int) else data


async def record(
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    release: Release,
    left: str | None,
    leaving: Sequence[str] = (),
) -> Recorded:
    """Write the release into the fleet's record, and mark the one that these services left as bad.

    A release is what runs in the whole environment: a service that this run did not change (a retry of what was half done, one
    service that went back alone) belongs to it as it stands, or going back to it later would leave that service where it is then.
    One that does not run completely is left out, and the release is not good.
    """
    hanging: tuple[str, ...] = ()
    if any(release.image(service.name) is None for service in environment.services):
        standing = await current(cluster, environment)
        hanging = tuple(
            state.named for state in standing if release.image(state.service) is None and not state.runs_completely
        )
        release = whole(release, standing)
    if hanging:
        why = f"{listed(hanging)} did not run completely"
        release = release.model_copy(update={"verdict": "unproven", "why": release.why or why})
    marked = await fleet.mark_bad(environment, left, left_by(release.run), leaving) if left else 0
    await fleet.record_release(environment, release)
    return Recorded(marked=marked, hanging=hanging)


def whole(release: Release, standing: Sequence[ServiceState]) -> Release:
    """Return the release with the services that it did not change and that run completely, in the environment's order."""
    changed = {each.service: each for each in release.services}
    services = []
    for state in standing:
        if (own := changed.get(state.service)) is not None:
            services.append(own)
        elif (image := pinned(state)) is not None and state.runs_completely and not state.foreign:
            services.append(ReleasedService(service=state.service, image=image, revision=state.revision))
    version = versions(each.image for each in services)
    return release.model_copy(update={"services": tuple(services), "version": version})


def release_of(
    images: Sequence[ImageChange],
    results: Sequence[RolloutResult],
    *,
    run: str,
    by: str,
    approved_by: tuple[str, ...],
    unproven: bool,
    unusual: tuple[str, ...] = (),
    configuration: ReleasedConfiguration | None = None,
    seconds: float | None,
    verified: Sequence[Verified] = (),
    regions: tuple[str, ...] = (),
) -> Release:
    """Return what was rolled out, in the form of the fleet's record."""
    return Release(
        version=versions(change.after for change in images),
        services=tuple(
            ReleasedService(service=change.service, image=_by_digest(change, result), revision=result.revision)
            for change, result in zip(images, results, strict=True)
        ),
        run=run,
        by=by,
        approved_by=approved_by,
        at=utc_now(),
        verdict="unproven" if unproven else "good",
        why=UNPROVEN if unproven else "",
        seconds=seconds,
        unusual=unusual,
        configuration=configuration,
        verification=worst(verified),
        regions=regions,
    )


def _by_digest(change: ImageChange, result: RolloutResult) -> Image:
    """Return the running image by digest, also where the Deployment asks for it by tag alone, which may mean another image tomorrow."""
    return change.after if change.after.digest else change.after.model_copy(update={"digest": result.digest})
