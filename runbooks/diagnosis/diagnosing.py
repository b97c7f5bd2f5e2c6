"""From a snapshot to its cause: which families are asked in which order, what is certain, what only takes long."""

from collections.abc import Iterator

from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis import (
    admission,
    conditions,
    config,
    crashes,
    images,
    leaving,
    nodes,
    probes,
    scheduling,
    starting,
    volumes,
)
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, Snapshot, usual
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import counted

_ALIKE = 3
_DIGEST = usual(
    ("an admission webhook rewrites the image of new pods", "ask its owner why it changes the digest"),
)
_UNKNOWN = usual(("no event names the cause", "run `kubectl describe pod`, then check the node"))


def certain(snapshot: Snapshot, *, crash_restarts: int = _ALIKE) -> Cause | None:
    """Return a cause that no waiting will mend, or None."""
    return next((cause for cause in _causes(snapshot, crash_restarts) if cause.certain), None)


def at_deadline(snapshot: Snapshot, seconds: float, *, crash_restarts: int = _ALIKE) -> Cause:
    """Return what took too long, once time is up."""
    found = list(_causes(snapshot, crash_restarts))
    if found:
        return next((cause for cause in found if cause.certain), found[0])
    condition = snapshot.deployment.condition("Progressing")
    said = (condition.message,) if condition is not None and condition.message else ()
    return Cause(
        code=ReasonCode.PROGRESS_DEADLINE,
        what=f"the rollout made no progress within {seconds:.0f} s",
        brief="no progress",
        said=said,
        pod=snapshot.pods[0] if snapshot.pods else None,
        usual=_UNKNOWN,
    )


def standing(snapshot: Snapshot) -> Cause | None:
    """Return what is wrong with the present state, whoever caused it; a certain cause before a likely one."""
    return next(iter(every_standing(snapshot)), None)


def every_standing(snapshot: Snapshot) -> list[Cause]:
    """Return all that is wrong, one cause of each kind, certain ones first."""
    found = sorted(_causes(snapshot, _ALIKE), key=lambda cause: not cause.certain)
    return list({cause.code: cause for cause in reversed(found)}.values())[::-1]


def pending(snapshot: Snapshot, *, after: float, crash_restarts: int = _ALIKE) -> str:
    """Return what takes longer than `after` seconds, and why: "1 pod pending: insufficient cpu, 80 s"; empty where nothing does."""
    staying = leaving.old_pods(snapshot)
    if staying is not None:
        return staying.brief
    refused = admission.refused(snapshot)
    waited = snapshot.seconds_since(admission.since(snapshot))
    if refused is not None and waited >= after:
        return f"no new pod: {refused.brief}, {waited:.0f} s"
    late = [pod for pod in snapshot.pods if not pod.ready and snapshot.seconds_since(pod.created) >= after]
    groups: dict[tuple[str, str], list[PodView]] = {}
    for pod in late:
        cause = next(_of_pod(snapshot, pod, crash_restarts), None)
        word = "pending" if pod.phase == "Pending" else "not ready"
        groups.setdefault((word, cause.brief if cause is not None else ""), []).append(pod)
    return "; ".join(_waiting(snapshot, word, brief, pods) for (word, brief), pods in groups.items())


def _waiting(snapshot: Snapshot, word: str, brief: str, pods: list[PodView]) -> str:
    longest = max(snapshot.seconds_since(pod.created) for pod in pods)
    count = counted(len(pods), "pod")
    return f"{count} {word}{f': {brief}' if brief else ''}, {longest:.0f} s"


def _causes(snapshot: Snapshot, alike: int) -> Iterator[Cause]:
    refused = admission.refused(snapshot)
    if refused is not None:
        yield refused
    staying = leaving.old_pods(snapshot)
    if staying is not None:
        yield staying
    for pod in (*snapshot.pods, *snapshot.leaving):
        if pod in snapshot.pods or (snapshot.new is not None and pod.owner == snapshot.new.uid):
            yield from _of_pod(snapshot, pod, alike)


def _of_pod(snapshot: Snapshot, pod: PodView, alike: int) -> Iterator[Cause]:
    """Yield the causes for one pod; a lost node comes first, because it explains everything else."""
    found = list(_known(snapshot, pod, alike))
    other = conditions.named(snapshot, pod) if not found and not (pod.deleting or pod.over) else None
    yield from found if other is None else (other,)


def of_job(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return what keeps a Job's pod from running, or ended it from outside; None where its program runs, or ended by itself."""
    lost = nodes.lost(snapshot, pod)
    if lost is not None or pod.over:
        return lost or conditions.over(pod) or next(_of_containers(snapshot, pod, _ALIKE, once=True), None)
    found = [
        *_unstarted(snapshot, pod),
        *_of_containers(snapshot, pod, _ALIKE, once=True),
        *_waiting_for(snapshot, pod),
    ]
    if found or pod.deleting or pod.phase == "Running":
        return next((cause for cause in found if cause.certain), found[0] if found else None)
    return conditions.named(snapshot, pod)


def _known(snapshot: Snapshot, pod: PodView, alike: int) -> Iterator[Cause]:
    lost = nodes.lost(snapshot, pod)
    if lost is not None:
        yield lost
    if pod.deleting:
        return
    if pod.over:
        ended = conditions.over(pod)
        if ended is not None and lost is None:
            yield ended
        return
    other = _other_image(snapshot, pod)
    if other is not None:
        yield other
    yield from _unstarted(snapshot, pod)
    yield from _of_containers(snapshot, pod, alike)
    yield from _waiting_for(snapshot, pod)


def _unstarted(snapshot: PodsSnapshot, pod: PodView) -> Iterator[Cause]:
    """Yield why no node has the pod."""
    unplaced = conditions.scheduling_gate(pod) or volumes.unplaced(snapshot, pod) or scheduling.unschedulable(pod)
    if unplaced is not None:
        yield unplaced


def _of_containers(snapshot: PodsSnapshot, pod: PodView, alike: int, *, once: bool = False) -> Iterator[Cause]:
    """Yield the causes in the pod's containers. `once`: they run to an end, so an error is no crash, and none has to be ready."""
    for container in pod.containers:
        cause = (
            images.pull(snapshot, pod, container)
            or config.environment(pod, container)
            or crashes.crash(snapshot, pod, container, alike=alike)
            or starting.init_waits(snapshot, pod, container)
            or (None if once else probes.not_ready(snapshot, pod, container))
        )
        if cause is not None and not (once and cause.code is ReasonCode.CRASH_LOOP):
            yield cause


def _waiting_for(snapshot: PodsSnapshot, pod: PodView) -> Iterator[Cause]:
    """Yield what the pod waits for: volumes, the node's sandbox, a readiness gate."""
    waiting = (
        config.mounted(snapshot, pod)
        or volumes.unmounted(snapshot, pod)
        or starting.sandbox(snapshot, pod)
        or conditions.readiness_gate(pod)
    )
    if waiting is not None:
        yield waiting


def _other_image(snapshot: Snapshot, pod: PodView) -> Cause | None:
    """Return that the pod has another digest than its ReplicaSet asks for, which only admission can cause.

    What the node reports as `imageID` is no sign of it (see `completion`).
    """
    asked = snapshot.change.after.digest
    specs = (pod.spec(name) for name in snapshot.change.references_before)
    given = next(
        (found for spec in specs if spec and (found := Image.parse(spec.image).digest) not in (None, asked)), None
    )
    if asked is None or given is None:
        return None
    return Cause(
        code=ReasonCode.WRONG_DIGEST,
        what="the new pod's image is not the approved one",
        brief="the pod's image is not the approved one",
        said=(f"approved {asked}", f"the pod has {given}"),
        pod=pod,
        certain=True,
        silent=True,
        usual=_DIGEST,
    )
