"""What the fleet's record says once something runs: the release, whole, and what was left as bad."""

import asyncio
from collections.abc import Sequence

from pydantic import model_validator

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import ServiceState, current, pinned
from runbooks.fleet.fleet import Fleet, Release, ReleasedService, utc_now
from runbooks.fleet.records import ReleasedConfiguration
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image, ImageChange, versions
from runbooks.kit.targets import Environment, Frozen
from runbooks.release.rollback import left_by
from runbooks.release.rollouts import RolloutResult
from runbooks.verification.findings import Verified, worst
from runbooks.wording import listed

_AWAY = 3.0
"""Seconds that the end of a run waits for a region that it was not about."""
UNPROVEN = "no record lists this image as good"


class Recorded(Frozen):
    """What was written."""

    marked: int = 0
    """How many releases were marked bad."""
    hanging: tuple[str, ...] = ()
    """The services that this run did not change and that do not run completely: what becomes of them is still to be decided."""
    elsewhere: tuple[str, ...] = ()
    """The same of regions that the run was not about, where something was undecided before."""
    back_to: str | None = None
    """The newest other good release, which a rollback leads to; empty where none is recorded, None where that was not looked at."""

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
    return Recorded(marked=marked, hanging=hanging, back_to=await _back_to(fleet, environment, release))


async def _back_to(fleet: Fleet, environment: Environment, release: Release) -> str | None:
    try:
        known = await fleet.releases(environment)
    except RunbookError:  # only told: the release is written
        return None
    return next((each.version for each in known if each.verdict == "good" and each.version != release.version), "")


async def hanging_in(fleet: Fleet, environment: Environment, places: Sequence[Place]) -> tuple[str, ...]:
    """Return the services of these regions that do not run completely, where something is undecided: success elsewhere does not decide it.

    A region that does not answer is left out: it is told by itself, and nobody could decide anything there.
    """
    if not places or (await fleet.read(environment)).undecided is None:
        return ()
    found = await asyncio.gather(*(place.states(patience=_AWAY) for place in places), return_exceptions=True)
    if failed := [each for each in found if isinstance(each, BaseException) and not isinstance(each, RunbookError)]:
        raise failed[0]
    states = [state for each in found if not isinstance(each, BaseException) for state in each]
    return tuple(state.named for state in states if not state.runs_completely)


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
