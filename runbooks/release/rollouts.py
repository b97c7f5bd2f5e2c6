"""Rolling a service out: one fenced change of a Deployment, then watching it until it is complete or can't be.

`stamp` puts the run's id on every Deployment of the environment. From then on each change carries "the stamp is still mine"
as its condition, so a run that lost its place can change nothing more. `roll_out` may be killed and run again at any moment:
it looks at what is there first. What no waiting will mend ends it at once; the rest at the Deployment's progress deadline.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from runbooks import diagnosis
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.deployments.service_state import DEPLOYED_AT, SURGE, ServiceState, current, kubectl_lines
from runbooks.diagnosis import Snapshot
from runbooks.fleet.fleet import Fleet, utc_now
from runbooks.kit.answers import read_stamp, read_time
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange, Wave
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, Stop, Stopped
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.timeouts import RolloutSettings
from runbooks.kit.waiting import end, side_by_side, unless_stopped
from runbooks.release import max_surge, rollout_capacity
from runbooks.release.guarded_patch import is_ours, set_image, stamp_one, still_ours
from runbooks.release.rollout_watch import Standstill, completion, glance, watched

__all__ = [
    "CheckResult",
    "RolloutResult",
    "RolloutSettings",
    "ServiceState",
    "Stamped",
    "check",
    "current",
    "foreign_digests",
    "kubectl_lines",
    "roll_out",
    "roll_out_after_first",
    "roll_out_together",
    "stamp",
    "until_complete",
]


class RolloutResult(Frozen):
    """One service as it is after its rollout."""

    service: str
    ready: int
    desired: int
    digest: str | None
    """What every new pod is asked to run; where that is a tag alone, what all of them report."""
    seconds: float
    revision: int
    already: bool
    """It was set before this call (the step was killed and ran again)."""
    wave: Wave | None = None
    """How its pods were replaced, where all were to come at once if there was room."""
    reported: tuple[str, ...] = ()
    """Other digests than the asked one that nodes report of its pods."""


class Stamped(Frozen):
    """The Deployments that carry the run's id now."""

    deployments: tuple[str, ...]


class CheckResult(Frozen):
    """Every service runs what was asked, everywhere, and is ready."""

    services: tuple[RolloutResult, ...]
    seconds: float
    warnings: tuple[str, ...] = ()
    """What is worth a look, though all is ready."""
    at: str = ""
    """When that was so (ISO 8601, UTC)."""


_DEFAULTS = RolloutSettings()
_PUT_BACK_PATIENCE = 10.0
_COMPARE_PATIENCE = 3.0
"""Seconds for asking the registry which digests an image has: nothing depends on the answer."""
_SHORT = len("sha256:") + 12
_NOT_TOLD = "the cluster did not report its capacity in time"


class _TheRest:
    """The pods after the first one: they start at once as soon as that is ready."""

    def __init__(self, cluster: ClusterClient, run: str, looking: asyncio.Task[list[Wave]]) -> None:
        self._cluster = cluster
        self._run = run
        self._looking = looking
        self.started = False

    async def wave(self) -> Wave:
        """Return whether there is room for all of them at once."""
        (wave,) = await self._looking
        return wave

    async def start_after(self, snapshot: Snapshot) -> None:
        if self.started or not any(pod.ready for pod in snapshot.pods):
            return
        if (await self.wave()).how != "raised":
            return
        self.started = True
        with contextlib.suppress(RunbookError):  # then the Deployment's own strategy goes on with them
            await max_surge.raise_it(self._cluster, snapshot.deployment, run=self._run)


async def stamp(pulse: Pulse, cluster: ClusterClient, fleet: Fleet, environment: Environment) -> Stamped:
    """Put the run's id on every Deployment of the environment, if the run still holds the environment."""
    names = [service.deployment for service in environment.services]
    await side_by_side(*(stamp_one(pulse, cluster, fleet, environment, name) for name in names))
    return Stamped(deployments=tuple(names))


async def roll_out(
    pulse: Pulse,
    cluster: ClusterClient,
    change: ImageChange,
    *,
    cause: str,
    by: str = "",
    settings: RolloutSettings = _DEFAULTS,
) -> RolloutResult:
    """Set the image and wait until every pod runs it and is ready. `cause` becomes `kubernetes.io/change-cause`."""
    return await unless_stopped(pulse, _roll_out(pulse, cluster, change, cause, by, settings, wave=None))


async def roll_out_after_first(
    pulse: Pulse,
    cluster: ClusterClient,
    environment: Environment,
    change: ImageChange,
    *,
    cause: str,
    by: str = "",
    settings: RolloutSettings = _DEFAULTS,
) -> RolloutResult:
    """Roll out as `roll_out` does; once a first new pod is ready, the others start at once where there is room for them.

    A version whose pods don't get ready goes no further than the Deployment's own strategy takes it.
    """
    # the room is looked for while the first pod starts
    looking = asyncio.create_task(waves_of(cluster, environment, [change], (), patience=settings.room_seconds))
    try:
        rest = _TheRest(cluster, pulse.run, looking)
        return await _in_one_wave(pulse, cluster, change, cause, by, settings, None, rest)
    finally:
        await end(looking)


async def roll_out_together(
    pulse: Pulse,
    cluster: ClusterClient,
    images: Sequence[ImageChange],
    waves: Sequence[Wave],
    *,
    cause: str,
    by: str = "",
    settings: RolloutSettings = _DEFAULTS,
) -> list[RolloutResult]:
    """Roll out all services at the same time, each as its wave (see `waves_of`) says; return the results.

    Each is let end before the first failure is raised.
    """
    told: dict[str, str] = {}
    return await side_by_side(
        *(
            _in_one_wave(_Part(pulse, change.service, told), cluster, change, cause, by, settings, wave)
            for change, wave in zip(images, waves, strict=True)
        )
    )


async def waves_of(
    cluster: ClusterClient,
    environment: Environment,
    images: Sequence[ImageChange],
    planned: Sequence[Wave],
    *,
    patience: float = _DEFAULTS.room_seconds,
) -> list[Wave]:
    """Return the wave for each image: in one where there is room now, as planned where the cluster does not answer in time."""
    parts = rollout_capacity.PATIENCE / _DEFAULTS.room_seconds * patience
    try:
        async with asyncio.timeout(patience):
            return await rollout_capacity.waves(cluster, environment, images, patience=parts)
    except (RunbookError, TimeoutError):
        before = {wave.service: wave for wave in planned}
        own = {change.service: Wave(service=change.service, how="own", why=_NOT_TOLD) for change in images}
        return [(own | before)[change.service] for change in images]


async def _in_one_wave(
    pulse: Pulse,
    cluster: ClusterClient,
    change: ImageChange,
    cause: str,
    by: str,
    settings: RolloutSettings,
    wave: Wave | None,
    rest: _TheRest | None = None,
) -> RolloutResult:
    """Roll out in one wave; `maxSurge` is put back however that ends."""
    rolling = _roll_out(pulse, cluster, change, cause, by, settings, wave=wave, rest=rest)
    try:
        return await unless_stopped(pulse, rolling)
    except (RunbookError, Stopped):
        # What ended it is what people have to know; where this fails too, the end of the run tries again.
        with contextlib.suppress(RunbookError, TimeoutError):
            async with asyncio.timeout(_PUT_BACK_PATIENCE):
                await max_surge.put_back(cluster, change.namespace, change.deployment, run=pulse.run)
        raise


async def check(
    pulse: Pulse,
    cluster: ClusterClient,
    changes: Sequence[ImageChange],
    *,
    registry: RegistryClient | None = None,
    settings: RolloutSettings = _DEFAULTS,
) -> CheckResult:
    """Look once more at everything that was changed: the same digests everywhere, all ready.

    `registry` is asked what digests an image has where a node reports another one than the asked: that may be worth a warning.
    """
    began = time.monotonic()

    async def one(change: ImageChange) -> RolloutResult:
        snapshot = await _now(pulse, cluster, change) or await until_complete(
            pulse, cluster, change, settings, since=None, deadline=settings.settle_seconds, silent=True
        )
        return _result(change, snapshot, time.monotonic() - began, already=True)

    results = await unless_stopped(pulse, side_by_side(*(one(change) for change in changes)))
    warnings = await foreign_digests(registry, changes, results)
    pulse.say("all ready, but nodes report other digests" if warnings else "same digests, all ready")
    seconds = round(time.monotonic() - began, 3)
    return CheckResult(services=tuple(results), seconds=seconds, warnings=warnings, at=utc_now())


async def foreign_digests(
    registry: RegistryClient | None, changes: Sequence[ImageChange], results: Sequence[RolloutResult]
) -> tuple[str, ...]:
    """Return a sentence for each service of which a node reports a digest that its image does not have in the registry."""

    async def one(change: ImageChange, result: RolloutResult) -> str:
        if registry is None or not result.reported or change.after.digest is None:
            return ""
        try:
            async with asyncio.timeout(_COMPARE_PATIENCE):
                known = await registry.digests_within(change.after.repository, change.after.digest)
        except (RunbookError, TimeoutError):
            return ""  # the ReplicaSet has proved what runs; there is nothing to compare the report with
        foreign = [digest for digest in result.reported if digest not in known]
        if not foreign:
            return ""
        names = ", ".join(digest[:_SHORT] for digest in foreign)
        return (
            f"{change.service}: a node reports {names}, which {change.after.short} does not have in the registry. "
            "The pods belong to the approved ReplicaSet."
        )

    found = await asyncio.gather(*(one(change, result) for change, result in zip(changes, results, strict=True)))
    return tuple(sentence for sentence in found if sentence)


async def _now(pulse: Pulse, cluster: ClusterClient, change: ImageChange) -> Snapshot | None:
    """Return the snapshot if all is well at the first look, as nearly always; else None, and it is worth watching."""
    snapshot = await glance(cluster, change)
    still_ours(snapshot, change, pulse.run)
    return snapshot if completion(snapshot).complete else None


class _Part:
    """One service's voice where several roll out at the same time."""

    def __init__(self, pulse: Pulse, service: str, told: dict[str, str]) -> None:
        self._pulse = pulse
        self._service = service
        self._told = told

    @property
    def run(self) -> str:
        return self._pulse.run

    def say(self, detail: str) -> None:
        self._told[self._service] = detail
        self._pulse.say(", ".join(f"{service} {said}" for service, said in sorted(self._told.items())))

    async def stop(self) -> Stop:
        return await self._pulse.stop()


async def _roll_out(
    pulse: Pulse,
    cluster: ClusterClient,
    change: ImageChange,
    cause: str,
    by: str,
    settings: RolloutSettings,
    *,
    wave: Wave | None,
    rest: _TheRest | None = None,
) -> RolloutResult:
    """`wave`: it begins with the image; `rest`: it begins when a first new pod is ready."""
    began = time.monotonic()
    seen = await cluster.deployment(change.namespace, change.deployment)
    already = is_ours(seen, change, pulse.run)
    if already:
        set_at = read_time(read_stamp(seen.annotations.get(DEPLOYED_AT)))
        if set_at is not None:  # else somebody changed it since, and it counts from now
            passed = (datetime.now(UTC) - set_at).total_seconds()
            began -= min(max(0.0, passed), settings.deadline_seconds)
        # What room there is now says nothing of how it was begun.
        wave = await rest.wave() if rest is not None else wave
        wave = wave.model_copy(update={"how": "raised", "why": ""}) if wave and SURGE in seen.annotations else None
    else:
        at_once = wave is not None and wave.how == "raised"
        seen = await set_image(pulse, cluster, seen, change, cause, by, at_once=at_once)
    snapshot = await until_complete(
        pulse,
        cluster,
        change,
        settings,
        since=None if already else seen,
        deadline=settings.deadline_seconds,
        rest=rest,
    )
    if rest is not None and not already:
        wave = await rest.wave()
    seen_raised = SURGE in snapshot.deployment.annotations
    if seen_raised or (rest is not None and rest.started):  # the last view may be from before it was raised
        last = snapshot.deployment if seen_raised else None
        await max_surge.put_back(cluster, change.namespace, change.deployment, run=pulse.run, seen=last)
    return _result(change, snapshot, time.monotonic() - began, already=already, wave=wave)


async def until_complete(
    pulse: Pulse,
    cluster: ClusterClient,
    change: ImageChange,
    settings: RolloutSettings,
    *,
    since: DeploymentView | None,
    deadline: float,
    silent: bool = False,
    rest: _TheRest | None = None,
    pods: str = "new pods",
) -> Snapshot:
    """Watch until the rollout is complete and return the last snapshot; raises what stops it. `since` is the Deployment as the patch returned it.

    `pods` is what the progress calls them.
    """
    began, said, snapshot = time.monotonic(), "", None
    first, standstill = since, Standstill()
    try:
        async with asyncio.timeout(deadline), watched(cluster, change, since, tick=settings.tick_seconds) as snapshots:
            async for snapshot in snapshots:
                first = first or snapshot.deployment
                still_ours(snapshot, change, pulse.run, since=first, answer=since)
                progress = completion(snapshot, pods)
                late = diagnosis.pending(snapshot, after=settings.explain_seconds)
                detail = f"{progress.detail}; {late}" if late else progress.detail
                if detail != said and not silent:
                    said = detail
                    pulse.say(said)
                if progress.complete:
                    return snapshot
                if rest is not None:
                    await rest.start_after(snapshot)
                found = diagnosis.certain(snapshot, crash_restarts=settings.crash_restarts)
                stands = await standstill.confirmed(cluster, change, snapshot, settings.lag_seconds)
                if found is None and (stands or progress.past_deadline):
                    found = diagnosis.at_deadline(snapshot, snapshot.deployment.progress_deadline)
                if found is not None:
                    raise await diagnosis.explained(cluster, snapshot, found, log_lines=settings.log_lines)
    except TimeoutError as error:
        if snapshot is None:
            raise _never_seen(change, deadline) from error
        found = diagnosis.at_deadline(snapshot, time.monotonic() - began)
        raise await diagnosis.explained(cluster, snapshot, found, log_lines=settings.log_lines) from error
    raise _never_seen(change, deadline)


def _result(
    change: ImageChange, snapshot: Snapshot, seconds: float, *, already: bool, wave: Wave | None = None
) -> RolloutResult:
    views = [view for pod in snapshot.pods if (view := pod.container(change.container)) is not None]
    digests = {view.digest for view in views}
    reported = {view.reported for view in views} - {"", change.after.digest}
    return RolloutResult(
        service=change.service,
        ready=sum(pod.ready for pod in snapshot.pods),
        desired=snapshot.deployment.desired,
        digest=change.after.digest or (next(iter(digests)) if len(digests) == 1 else None),
        seconds=round(seconds, 3),
        revision=snapshot.deployment.revision,
        already=already,
        wave=wave,
        reported=tuple(sorted(reported)) if change.after.digest else (),
    )


def _never_seen(change: ImageChange, seconds: float) -> PermanentError:
    return PermanentError(
        f"{change.service}: the cluster did not report on the rollout for {seconds:.0f} s", code=ReasonCode.TIMED_OUT
    )
