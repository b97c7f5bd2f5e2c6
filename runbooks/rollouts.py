"""Rolling a service out: one fenced change of a Deployment, then watching it until it is complete or can't be.

`stamp` puts the run's id on every Deployment of the environment. From then on each change carries "the stamp is still mine"
as its condition, so a run that lost its place can change nothing more. `roll_out` may be killed and run again at any moment:
it looks at what is there first. What no waiting will mend ends it at once; the rest at the Deployment's progress deadline.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from runbooks import failures
from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_errors import Conflict, Unprocessable
from runbooks.clients.cluster_views import DeploymentView
from runbooks.failures import Scene
from runbooks.fleet import Fleet, utc_now
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, Stop
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import side_by_side, unless_stopped
from runbooks.rollout_watch import completion, glance, watched
from runbooks.states import (
    CHANGE_CAUSE,
    DEPLOYED_AT,
    DEPLOYED_BY,
    DEPLOYED_IMAGE,
    DEPLOYED_RUN,
    RESTARTED,
    RUN,
    ServiceState,
    current,
    kubectl_lines,
)

__all__ = [
    "CheckResult",
    "RolloutResult",
    "RolloutSettings",
    "ServiceState",
    "Stamped",
    "check",
    "current",
    "kubectl_lines",
    "roll_out",
    "roll_out_together",
    "stamp",
]

_TRIES = 20


class RolloutSettings(Frozen):
    """How patient a rollout is."""

    deadline_seconds: float = 1800.0
    """Of our own, over the whole rollout; the Deployment's progress deadline ends it too, and usually first."""
    settle_seconds: float = 30.0
    """How long `check` gives pods to be ready again."""
    crash_restarts: int = 3
    """So many restarts of a container are a crash loop, whatever it is called."""
    log_lines: int = 10


class RolloutResult(Frozen):
    """One service as it is after its rollout."""

    service: str
    ready: int
    desired: int
    digest: str | None
    """What every new pod runs."""
    seconds: float
    revision: int
    already: bool
    """It was set before this call (the step was killed and ran again)."""


class Stamped(Frozen):
    """The Deployments that carry the run's id now."""

    deployments: tuple[str, ...]


class CheckResult(Frozen):
    """Every service runs what was asked, everywhere, and is ready."""

    services: tuple[RolloutResult, ...]
    seconds: float


_DEFAULTS = RolloutSettings()


async def stamp(pulse: Pulse, cluster: ClusterClient, fleet: Fleet, environment: Environment) -> Stamped:
    """Puts the run's id on every Deployment of the environment, if the run still holds the environment."""
    names = [service.deployment for service in environment.services]
    await side_by_side(*(_stamp(pulse, cluster, fleet, environment, name) for name in names))
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
    """Sets the image and waits until every pod runs it and is ready. `cause` becomes `kubernetes.io/change-cause`."""
    return await unless_stopped(pulse, _roll_out(pulse, cluster, change, cause, by, settings))


async def roll_out_together(
    pulse: Pulse,
    cluster: ClusterClient,
    changes: Sequence[ImageChange],
    *,
    cause: str,
    by: str = "",
    settings: RolloutSettings = _DEFAULTS,
) -> list[RolloutResult]:
    """Several services at the same time, as one step; each is let end before the first failure is raised."""
    told: dict[str, str] = {}
    parts = [_Part(pulse, change.service, told) for change in changes]
    return await side_by_side(
        *(
            roll_out(part, cluster, change, cause=cause, by=by, settings=settings)
            for part, change in zip(parts, changes, strict=True)
        )
    )


async def check(
    pulse: Pulse, cluster: ClusterClient, changes: Sequence[ImageChange], *, settings: RolloutSettings = _DEFAULTS
) -> CheckResult:
    """Looks once more at everything that was changed: the same digests everywhere, all ready."""
    began = time.monotonic()

    async def one(change: ImageChange) -> RolloutResult:
        scene = await _now(pulse, cluster, change) or await _until_complete(
            pulse, cluster, change, settings, since=None, deadline=settings.settle_seconds, silent=True
        )
        return _result(change, scene, time.monotonic() - began, already=True)

    results = await unless_stopped(pulse, side_by_side(*(one(change) for change in changes)))
    pulse.say("same digests, all ready")
    return CheckResult(services=tuple(results), seconds=round(time.monotonic() - began, 3))


async def _now(pulse: Pulse, cluster: ClusterClient, change: ImageChange) -> Scene | None:
    """The scene if all is well at the first look, as it nearly always is; else it is worth watching."""
    scene = await glance(cluster, change)
    _still_ours(scene, change, pulse.run)
    return scene if completion(scene).complete else None


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


async def _stamp(pulse: Pulse, cluster: ClusterClient, fleet: Fleet, environment: Environment, name: str) -> None:
    """Read, then ask for the place, then write only over what was read: in this order an older run can't win.

    Who takes a place over writes the record first and stamps afterwards. So if the record still names this run, the newer
    stamp comes after our read, and our write meets it as a conflict.
    """
    for _ in range(_TRIES):
        seen = await cluster.deployment(environment.namespace, name)
        record = await fleet.read(environment)
        if record.run is None or record.run.run != pulse.run:
            holder = f"{record.run.title} (run {record.run.run})" if record.run is not None else "nobody"
            raise PermanentError(
                f"This run no longer holds {environment.name}; {holder} does.", code=ReasonCode.OVERTAKEN
            )
        if seen.annotations.get(RUN) == pulse.run:
            return
        try:
            await cluster.patch_deployment(environment.namespace, name, _stamping(seen, pulse.run))
        except (Unprocessable, Conflict):
            continue
        return
    raise Conflict(f"Deployment {name} changes too fast to be stamped.", code=ReasonCode.CHANGED_MEANWHILE)


def _stamping(seen: DeploymentView, run: str) -> list[dict[str, Any]]:
    path = _annotation(RUN)
    if RUN in seen.annotations:
        return [
            {"op": "test", "path": path, "value": seen.annotations[RUN]},
            {"op": "replace", "path": path, "value": run},
        ]
    missing = [] if seen.has_annotations else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": seen.resource_version},
        *missing,
        {"op": "add", "path": path, "value": run},
    ]


async def _roll_out(
    pulse: Pulse, cluster: ClusterClient, change: ImageChange, cause: str, by: str, settings: RolloutSettings
) -> RolloutResult:
    began = time.monotonic()
    seen = await cluster.deployment(change.namespace, change.deployment)
    already = _is_ours(seen, change, pulse.run)
    if already:
        set_at = datetime.fromisoformat(seen.annotations[DEPLOYED_AT])
        began -= max(0.0, (datetime.now(UTC) - set_at).total_seconds())
    else:
        seen = await _set_image(pulse, cluster, seen, change, cause, by)
    scene = await _until_complete(
        pulse, cluster, change, settings, since=None if already else seen, deadline=settings.deadline_seconds
    )
    return _result(change, scene, time.monotonic() - began, already=already)


async def _set_image(
    pulse: Pulse, cluster: ClusterClient, seen: DeploymentView, change: ImageChange, cause: str, by: str
) -> DeploymentView:
    """The one change, on the condition that everything still is as the plan saw it and the run still holds its place."""
    index = _refuse_at_once(seen, change, pulse.run)
    image = f"/spec/template/spec/containers/{index}/image"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": _annotation(RUN), "value": pulse.run},
        {"op": "test", "path": f"/spec/template/spec/containers/{index}/name", "value": change.container},
        {"op": "test", "path": image, "value": change.before.reference},
        {"op": "replace", "path": image, "value": change.after.reference},
    ]
    facts = {
        CHANGE_CAUSE: cause,
        DEPLOYED_RUN: pulse.run,
        DEPLOYED_BY: by,
        DEPLOYED_AT: utc_now(),
        DEPLOYED_IMAGE: change.after.reference,
    }
    patch += [{"op": "add", "path": _annotation(key), "value": value} for key, value in facts.items()]
    if change.before.reference == change.after.reference:
        # A rollout of the same image that hangs: new pods, since the old ones may wait minutes before they pull again.
        restart = {
            "op": "add",
            "path": f"/spec/template/metadata/annotations/{_escaped(RESTARTED)}",
            "value": pulse.run,
        }
        patch += (
            []
            if seen.template_annotated
            else [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {}}]
        )
        patch.append(restart)
    try:
        return await cluster.patch_deployment(change.namespace, change.deployment, patch)
    except Unprocessable as error:
        now = await cluster.deployment(change.namespace, change.deployment)
        if _is_ours(now, change, pulse.run):
            return now
        _refuse_at_once(now, change, pulse.run)
        raise _does_not_fit(change, error) from error


def _refuse_at_once(seen: DeploymentView, change: ImageChange, run: str) -> int:
    """The container's index, if the Deployment still is what the plan saw and the run still holds its place."""
    holder = seen.annotations.get(RUN)
    if holder != run:
        raise PermanentError(
            f"{change.service}: another run ({holder}) took this run's place, so nothing was changed"
            if holder
            else f"{change.service}: the Deployment does not carry this run's stamp, so nothing was changed",
            code=ReasonCode.OVERTAKEN,
        )
    found = seen.container(change.container)
    if found is None:
        raise PermanentError(
            f"{change.service}: deployment {change.deployment} has no container {change.container}",
            code=ReasonCode.NOT_FOUND,
        )
    index, container = found
    if container.image != change.before.reference:
        raise _changed(change, container.image)
    if seen.paused:
        raise PermanentError(
            f"{change.service}: deployment {change.deployment} is paused",
            code=ReasonCode.PAUSED,
            advice=(f"kubectl rollout resume deployment/{change.deployment} -n {change.namespace}",),
        )
    return index


async def _until_complete(
    pulse: Pulse,
    cluster: ClusterClient,
    change: ImageChange,
    settings: RolloutSettings,
    *,
    since: DeploymentView | None,
    deadline: float,
    silent: bool = False,
) -> Scene:
    """Watches until the rollout is complete; raises what stops it. `since` is the Deployment as the patch returned it."""
    began, said, scene = time.monotonic(), "", None
    try:
        async with asyncio.timeout(deadline), watched(cluster, change, since) as scenes:
            async for scene in scenes:
                _still_ours(scene, change, pulse.run)
                progress = completion(scene)
                if progress.detail != said and not silent:
                    said = progress.detail
                    pulse.say(said)
                if progress.complete:
                    return scene
                found = failures.certain(scene, crash_restarts=settings.crash_restarts)
                if found is None and progress.past_deadline:
                    found = failures.at_deadline(scene, scene.deployment.progress_deadline)
                if found is not None:
                    raise await failures.explained(cluster, scene, found, log_lines=settings.log_lines)
    except TimeoutError as error:
        if scene is None:
            raise _never_seen(change, deadline) from error
        found = failures.at_deadline(scene, time.monotonic() - began)
        raise await failures.explained(cluster, scene, found, log_lines=settings.log_lines) from error
    raise _never_seen(change, deadline)


def _still_ours(scene: Scene, change: ImageChange, run: str) -> None:
    holder = scene.deployment.annotations.get(RUN)
    if holder != run:
        raise PermanentError(
            f"{change.service}: another run ({holder}) took this run's place during the rollout",
            code=ReasonCode.OVERTAKEN,
        )
    found = scene.deployment.container(change.container)
    if found is None or found[1].image != change.after.reference:
        raise _changed(change, found[1].image if found is not None else "no such container")


def _is_ours(seen: DeploymentView, change: ImageChange, run: str) -> bool:
    """This very run set the image before: the step was killed, or the answer was lost."""
    found = seen.container(change.container)
    return (
        found is not None
        and found[1].image == change.after.reference
        and seen.annotations.get(DEPLOYED_RUN) == run
        and seen.annotations.get(DEPLOYED_IMAGE) == change.after.reference
        and seen.annotations.get(RUN) == run
    )


def _result(change: ImageChange, scene: Scene, seconds: float, *, already: bool) -> RolloutResult:
    digests = {c.digest for c in (pod.container(change.container) for pod in scene.pods) if c is not None}
    return RolloutResult(
        service=change.service,
        ready=sum(pod.ready for pod in scene.pods),
        desired=scene.deployment.desired,
        digest=next(iter(digests)) if len(digests) == 1 else change.after.digest,
        seconds=round(seconds, 3),
        revision=scene.deployment.revision,
        already=already,
    )


def _changed(change: ImageChange, now: str) -> PermanentError:
    return PermanentError(
        f"{change.service}: somebody else changed the image since the plan was made",
        code=ReasonCode.CHANGED_MEANWHILE,
        evidence=(f"planned from {change.before.reference} to {change.after.reference}", f"now {now}"),
        advice=("Plan it again.",),
    )


def _does_not_fit(change: ImageChange, error: RunbookError) -> PermanentError:
    return PermanentError(
        f"{change.service}: the cluster does not accept the change",
        code=ReasonCode.CLUSTER_REFUSED,
        evidence=error.evidence,
    )


def _never_seen(change: ImageChange, seconds: float) -> PermanentError:
    return PermanentError(
        f"{change.service}: the cluster told nothing of the rollout for {seconds:.0f} s", code=ReasonCode.TIMED_OUT
    )


def _annotation(key: str) -> str:
    return f"/metadata/annotations/{_escaped(key)}"


def _escaped(key: str) -> str:
    """A key inside a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")
