"""Going back: all services at once, and what their pods said is kept beside it, so that nobody waits for that."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.diagnosis import evidence
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import ImageChange, Wave
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, is_unreachable, retried
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.timeouts import RolloutSettings
from runbooks.kit.waiting import side_by_side
from runbooks.release import rollouts
from runbooks.release.rollouts import RolloutResult
from runbooks.wording import short_id

_PATIENCE = 3.0
"""Seconds that taking the Deployments of a region away from home may last before the rollback goes on."""


class GoneBack(Frozen):
    """How it went."""

    services: tuple[RolloutResult, ...]
    evidence: str
    """What was kept of the pods before, in words."""
    lock: str = ""
    """Whose lock it passed, which still stands."""
    unreachable: str = ""
    """Why nothing could be done there: the region's cluster does not answer."""


def left_by(run: str) -> str:
    """Return why the release that the run went back from is bad, for the fleet's record."""
    return f"left by run {short_id(run)}"


async def begin(
    pulse: Pulse,
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    left: str | None,
    services: Sequence[str] = (),
) -> rollouts.Stamped:
    """Take the Deployments, and mark the release that is left as bad already now, not only after success.

    Else a rollback that is asked for while this one goes on, or after it failed, would go forth again to what this one left, which is
    the newest release that was good. Where it can't be said, nobody waits for it.
    """
    taken = await rollouts.stamp(pulse, cluster, fleet, environment)
    if left is not None:
        with suppress(RunbookError):
            await fleet.mark_bad(environment, left, left_by(pulse.run), services)
    return taken


async def go_back(
    pulse: Pulse,
    cluster: ClusterClient,
    environment: Environment,
    images: Sequence[ImageChange],
    waves: Sequence[Wave],
    *,
    cause: str,
    by: str = "",
    settings: RolloutSettings | None = None,
    home: ClusterClient | None = None,
) -> GoneBack:
    """Roll all services back at once. Where that fails, the kept evidence stays. `home`: where that is kept, if it is another cluster."""
    services = [change.service for change in images]
    async with evidence.keeping(pulse.run, cluster, environment, services, home=home) as keeping:
        now, _ = await asyncio.gather(rollouts.waves_of(cluster, environment, images, waves), keeping.head_start())
        results = await rollouts.roll_out_together(
            pulse, cluster, images, now, cause=cause, by=by, settings=settings or RolloutSettings()
        )
    return GoneBack(services=tuple(results), evidence=keeping.kept.said)


async def unless_unreachable(pulse: Pulse, act: Callable[[], Awaitable[GoneBack]], seconds: float) -> GoneBack:
    """Return how it went; or, where the region's cluster does not answer for so many seconds, that it could not be reached."""
    try:
        return await retried(act, seconds=seconds, may_help=is_unreachable, pause=hearing(pulse))
    except RunbookError as error:
        if not is_unreachable(error):
            raise
        pulse.say("not reached")
        return GoneBack(services=(), evidence="", unreachable=error.message)


async def taken_everywhere(pulse: Pulse, fleet: Fleet, places: Sequence[Place]) -> None:
    """Put the run's id on every Deployment of all regions, as `rollouts.stamp` does; a region that does not answer in time is left for its own step."""

    async def one(place: Place) -> None:
        away = place.name != place.environment.home
        try:
            async with asyncio.timeout(_PATIENCE if away else None):
                await rollouts.stamp(pulse, place.cluster, fleet, place.environment)
        except (RunbookError, TimeoutError) as error:
            if not away or (isinstance(error, RunbookError) and error.code is ReasonCode.OVERTAKEN):
                raise

    await side_by_side(*(one(place) for place in places))
