"""Why a rollout fails: what Kubernetes shows, turned into one reason, with evidence that a person can read.

`certain` is asked at every change of a rollout: it names what no waiting will mend. `at_deadline` is asked when time is up:
it names what took too long. `explained` makes the error of either, with the pod's own message, its last log lines, what still
serves, and the usual causes. Only `rollouts` uses this.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_views import ContainerView, DeploymentView, EventView, PodView, ReplicaSetView
from runbooks.kit.diagnosis import Diagnosis, UsualCause
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.redaction import default_redactor

_PULLING = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
_PULL_IS_FINAL = {"InvalidImageName", "ErrImageNeverPull"}
_MAY_PASS = re.compile(
    r"timeout|timed out|deadline exceeded|connection (?:refused|reset)|no such host|\beof\b|tls handshake|too ?many ?requests"
    r"|\b(?:429|500|502|503|504)\b|temporary failure"
)
_NAMES = re.compile(r'"[^"]*"|sha256:[0-9a-f]+|\S+@\S+')
"""Image names and digests in a message: any sign may be in them, so they say nothing of the cause."""
_BAD_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_LONGEST_LINE = 300

_CAUSES: dict[ReasonCode, tuple[tuple[str, str], ...]] = {
    ReasonCode.IMAGE_PULL: (
        ("the image was deleted or moved after it was planned", "push it again, or deploy a version that exists"),
        ("the nodes' pull credentials expired", "renew the pull secret, then retry"),
        ("the registry does not answer the nodes", "look at the registry, then retry"),
    ),
    ReasonCode.CRASH_LOOP: (
        ("a setting or secret that this version needs is missing", "compare its release notes with the Deployment"),
        ("a database or another service does not answer the pod", "look at that service first"),
        ("a migration that this version expects has not run", "run it, then retry"),
    ),
    ReasonCode.OUT_OF_MEMORY: (
        ("this version needs more memory than the limit", "raise the limit, then retry"),
        ("a memory leak at start", "roll back, and let its makers look at it"),
    ),
    ReasonCode.CONTAINER_CONFIG: (
        ("a ConfigMap or Secret, or a key in it, is not there", "create it, then retry"),
        ("the container's command does not exist in this image", "mend the Deployment's command"),
    ),
    ReasonCode.NEVER_READY: (
        ("the readiness probe asks a path or port that this version does not serve", "mend the probe, or roll back"),
        ("something that the probe checks (database, cache) does not answer", "look at that service first"),
        ("it needs longer to start than the deadline allows", "raise `progressDeadlineSeconds`, then retry"),
    ),
    ReasonCode.UNSCHEDULABLE: (
        ("the nodes are full", "scale the cluster, or lower the requests"),
        ("no node matches the pod's selector, affinity or tolerations", "mend them, or label a node"),
    ),
    ReasonCode.ADMISSION_REFUSED: (
        ("the namespace's quota is used up", "raise it: a rollout needs room for one more pod"),
        ("an admission policy or webhook refuses the pod", "ask who keeps that policy"),
    ),
    ReasonCode.WRONG_DIGEST: (
        ("the tag was moved in the registry", "plan again"),
        ("a node has another image under the same name", "remove it from the node"),
    ),
    ReasonCode.PROGRESS_DEADLINE: (("something that no event names", "look with `kubectl describe pod`"),),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rollout looks like at one moment."""

    change: ImageChange
    deployment: DeploymentView
    new: ReplicaSetView | None
    pods: Sequence[PodView]
    """The pods of the new ReplicaSet, without those that are being deleted."""
    others: Sequence[PodView] = ()
    """The Deployment's pods of older ReplicaSets."""
    events: Sequence[EventView] = ()
    fresh: bool = True
    """The Deployment's Progressing condition was written since the change: what an older rollout left there is not ours."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason, and what showed it."""

    code: ReasonCode
    what: str
    """Completes "backend: …"."""
    said: tuple[str, ...] = ()
    """Kubernetes' own words."""
    pod: PodView | None = None
    container: str | None = None
    crashed: bool = field(default=False)
    """The log worth reading is that of the container's previous run."""


def certain(scene: Scene, *, crash_restarts: int) -> Cause | None:
    """What no waiting will mend, or None."""
    refused = _refused(scene.new)
    if refused is not None:
        return refused
    for pod in scene.pods:
        for container in pod.containers:
            cause = (
                _pull(pod, container, scene.events, final_only=True)
                or _crash(pod, container, crash_restarts)
                or _config(pod, container)
                or _digest(pod, container, scene.change)
            )
            if cause is not None:
                return cause
    return None


def at_deadline(scene: Scene, seconds: float) -> Cause:
    """What took too long, once time is up."""
    for pod in scene.pods:
        if pod.unschedulable:
            what = "no node has room for the new pod"
            return Cause(ReasonCode.UNSCHEDULABLE, what, (pod.unschedulable,), pod)
        for container in pod.containers:
            cause = _pull(pod, container, scene.events, final_only=False)
            if cause is not None:
                return cause
    for pod in scene.pods:
        late = next((c for c in pod.containers if c.phase == "running" and not c.ready), None)
        if late is not None:
            said = _told(scene.events, pod, "Unhealthy")
            what = f"the new pod runs, but was not ready after {seconds:.0f} s"
            return Cause(ReasonCode.NEVER_READY, what, said, pod, late.name)
    condition = scene.deployment.condition("Progressing")
    said = (condition.message,) if condition is not None and condition.message else ()
    what = f"the rollout made no progress within {seconds:.0f} s"
    return Cause(ReasonCode.PROGRESS_DEADLINE, what, said, scene.pods[0] if scene.pods else None)


async def explained(cluster: ClusterClient, scene: Scene, cause: Cause, *, log_lines: int) -> RunbookError:
    """The error for people: one sentence, and the diagnosis that was made."""
    service = scene.change.service
    seen: list[str] = []
    log: list[str] = []
    previous = False
    if cause.pod is not None:
        seen.append(f"Pod {cause.pod.name}, {_ready(scene.pods)} of {scene.deployment.desired} new pods ready.")
        about = [e for e in scene.events if e.about == cause.pod.uid and e.type == "Warning"]
        # an event often repeats the pod's own message
        told = [e for e in about if not any(e.message in said or said in e.message for said in cause.said)]
        seen += [f"Event {event.reason}: {event.message}" for event in told[-3:]]
        log, previous = await _last_log(cluster, cause, log_lines)
    diagnosis = Diagnosis(
        service=service,
        cause=_clean(cause.what),
        serves=(_clean(still_serving([*scene.pods, *scene.others], scene.change)),),
        said=tuple(_clean(word) for word in cause.said),
        seen=tuple(_clean(line) for line in seen),
        log=tuple(_clean(line) for line in log),
        before_exit=previous,
        causes=tuple(UsualCause(cause=why, to_do=to_do) for why, to_do in _CAUSES.get(cause.code, ())),
    )
    return PermanentError(f"{service}: {diagnosis.cause}", code=cause.code, diagnosis=diagnosis)


def still_serving(pods: Sequence[PodView], change: ImageChange) -> str:
    """What serves while the rollout is stuck, by version."""
    serving: dict[str, int] = {}
    for pod in pods:
        asked = next((c.image for c in pod.asked if c.name == change.container), None)
        if asked is not None and pod.ready and not pod.deleting:
            version = Image.parse(asked).tag or Image.parse(asked).short
            serving[version] = serving.get(version, 0) + 1
    if not serving:
        return f"No pod of {change.service} is ready."
    words = [
        f"{version} with {count} ready pod{'s' if count != 1 else ''}" for version, count in sorted(serving.items())
    ]
    return f"Still serves {change.service}: {', '.join(words)}."


def _refused(new: ReplicaSetView | None) -> Cause | None:
    for condition in new.conditions if new is not None else ():
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return Cause(
                ReasonCode.ADMISSION_REFUSED, "the cluster refuses to create the new pods", (condition.message,)
            )
    return None


def _pull(pod: PodView, container: ContainerView, events: Sequence[EventView], *, final_only: bool) -> Cause | None:
    if container.phase != "waiting" or container.reason not in _PULLING:
        return None
    # While the kubelet backs off, its message no longer says why: the event from the first try does.
    told = [m for m in _told(events, pod, "Failed", "InspectFailed") if "pull" in m.lower() or "image" in m.lower()]
    said = tuple(dict.fromkeys([*([container.message] if container.message else []), *told]))
    if final_only and container.reason not in _PULL_IS_FINAL:
        known = [word.lower() for word in said if not word.lower().startswith(("back-off", "error: "))]
        if not known or any(_MAY_PASS.search(_NAMES.sub(" ", word)) for word in known):
            return None
    return Cause(ReasonCode.IMAGE_PULL, "the image can't be pulled", said or (container.reason,), pod, container.name)


def _crash(pod: PodView, container: ContainerView, crash_restarts: int) -> Cause | None:
    killed = "OOMKilled" in (container.ended_reason, container.reason)
    if killed:
        what = "the container was killed for using more memory than its limit"
        return Cause(
            ReasonCode.OUT_OF_MEMORY,
            what,
            _ended(container),
            pod,
            container.name,
            crashed=container.phase != "terminated",
        )
    looping = container.phase == "waiting" and container.reason == "CrashLoopBackOff"
    if looping or container.restarts >= crash_restarts:
        times = f" ({_times(container.restarts)})" if container.restarts > 0 else ""
        what = f"the container starts and exits again and again{times}"
        return Cause(ReasonCode.CRASH_LOOP, what, _ended(container), pod, container.name, crashed=True)
    return None


def _ended(container: ContainerView) -> tuple[str, ...]:
    code = container.ended_code if container.ended_code is not None else container.exit_code
    reason = container.ended_reason or container.reason
    ended = f"{reason}, exit code {code}" if code is not None else reason
    return tuple(word for word in (ended, container.message) if word)


def _config(pod: PodView, container: ContainerView) -> Cause | None:
    if container.phase != "waiting" or container.reason not in _BAD_CONFIG:
        return None
    said = (container.message or container.reason,)
    return Cause(ReasonCode.CONTAINER_CONFIG, "the container can't be made", said, pod, container.name)


def _digest(pod: PodView, container: ContainerView, change: ImageChange) -> Cause | None:
    asked = change.after.digest
    if container.name != change.container or asked is None or container.digest in (None, asked):
        return None
    said = (f"asked for {asked}", f"running {container.digest}")
    return Cause(ReasonCode.WRONG_DIGEST, "the new pod runs another image than the approved one", said, pod)


def _told(events: Sequence[EventView], pod: PodView, *reasons: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e.message for e in events if e.about == pod.uid and e.reason in reasons and e.message))


def _ready(pods: Sequence[PodView]) -> int:
    return sum(pod.ready for pod in pods)


async def _last_log(cluster: ClusterClient, cause: Cause, count: int) -> tuple[list[str], bool]:
    """The last lines of the container that failed, and whether they are of the life before; a missing log hides no failure."""
    if (
        cause.pod is None
        or cause.container is None
        or cause.code in (ReasonCode.IMAGE_PULL, ReasonCode.CONTAINER_CONFIG)
    ):
        return [], False
    for previous in (True, False) if cause.crashed else (False,):
        try:
            kept = b""
            async for chunk in cluster.logs(
                cause.pod.namespace, cause.pod.name, cause.container, tail=count, previous=previous
            ):
                kept = (kept + chunk)[-count * 4096 :]
        except RunbookError:
            continue
        lines = [line for line in kept.decode(errors="replace").splitlines() if line.strip()][-count:]
        if lines:
            return lines, previous
    return [], False


def _clean(line: str) -> str:
    """Redacted first, then cut: a cut could leave half of a secret that no pattern knows any more."""
    plain = " ".join(default_redactor().text(line).split())
    return plain if len(plain) <= _LONGEST_LINE else plain[: _LONGEST_LINE - 1] + "…"


def _times(restarts: int) -> str:
    return "1 restart" if restarts == 1 else f"{restarts} restarts"
