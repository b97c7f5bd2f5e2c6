"""Going back: all services at once, and what their pods said is kept beside it, so that nobody waits for that."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.diagnosis import evidence
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import ImageChange, Wave
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.timeouts import RolloutSettings
from runbooks.release import rollouts
from runbooks.release.rollouts import RolloutResult
from runbooks.wording import short_id


class GoneBack(Frozen):
    """How it went."""

    services: tuple[RolloutResult, ...]
    evidence: str
    """What was kept of the pods before, in words."""
    lock: str = ""
    """Whose lock it passed, which still stands."""


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
) -> GoneBack:
    """Roll all services back at once. Where that fails, the kept evidence stays."""
    services = [change.service for change in images]
    async with evidence.keeping(pulse.run, cluster, environment, services) as keeping:
        now, _ = await asyncio.gather(rollouts.waves_of(cluster, environment, images, waves), keeping.head_start())
        results = await rollouts.roll_out_together(
            pulse, cluster, images, now, cause=cause, by=by, settings=settings or RolloutSettings()
        )
    return GoneBack(services=tuple(results), evidence=keeping.kept.said)
