"""What the fleet's record says once something runs: the release, whole, and what was left as bad."""

from collections.abc import Sequence

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.service_state import ServiceState, current, pinned
from runbooks.fleet.fleet import Fleet, Release, ReleasedService, utc_now
from runbooks.fleet.records import ReleasedConfiguration
from runbooks.kit.plan import Image, ImageChange, versions
from runbooks.kit.targets import Environment
from runbooks.release.rollback import left_by
from runbooks.release.rollouts import RolloutResult
from runbooks.verification.findings import Verified, worst

UNPROVEN = "no record lists this image as good"


async def record(
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    release: Release,
    left: str | None,
    leaving: Sequence[str] = (),
) -> int:
    """Write the release into the fleet's record, and mark the one that these services left as bad. Return how many were marked.

    A release is what runs in the whole environment: a service that this run did not change (a retry of what was half done, one
    service that went back alone) belongs to it as it stands, or going back to it later would leave that service where it is then.
    """
    if any(release.image(service.name) is None for service in environment.services):
        release = whole(release, await current(cluster, environment))
    marked = await fleet.mark_bad(environment, left, left_by(release.run), leaving) if left else 0
    await fleet.record_release(environment, release)
    return marked


def whole(release: Release, standing: Sequence[ServiceState]) -> Release:
    """Return the release with the services that it did not change, in the environment's order."""
    changed = {each.service: each for each in release.services}
    services = []
    for state in standing:
        if (own := changed.get(state.service)) is not None:
            services.append(own)
        elif (image := pinned(state)) is not None and not state.foreign:
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
