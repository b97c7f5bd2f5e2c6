"""What the pod's conditions, its gates and the cluster's own warnings name, where no other family knows the words.

A gate is set by somebody else's controller, so waiting may mend it: nothing here is certain.
"""

from runbooks.clients.kubernetes.views import Condition, ContainerView, EventView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual, words
from runbooks.kit.reasons import ReasonCode

_ON_ITS_WAY = {"", "ContainerCreating", "PodInitializing"}
"""What a container that waits says while nothing is wrong."""
_FOLLOWS = {"ContainersNotReady", "ContainersNotInitialized", "PodCompleted", "ReadinessGatesNotReady", "Unschedulable"}
"""Reasons of conditions that only repeat what containers and gates say themselves."""

_READINESS_GATE = usual(
    ("the controller that sets this condition is down or lacks the permission", "check that controller and its log"),
    ("the pod waits for something unhealthy (a load balancer's target, a mesh)", "check that first"),
)
_SCHEDULING_GATE = usual(
    ("the controller that removes the gate is down or waits for a quota", "check that controller and its log"),
)
_OTHER = usual(("see Kubernetes' own message above", "run `kubectl describe pod`, then check the node"))
_OVER = usual(
    ("the node ran out of capacity for the pod", "run `kubectl describe node`"),
    ("another pod preempted it, or the node is being drained", "ask who is draining nodes, then retry"),
)


def readiness_gate(pod: PodView) -> Cause | None:
    """Return the readiness gate that is not met though all containers are ready."""
    if pod.ready or not pod.containers or not all(each.ready for each in pod.containers if not each.init):
        return None
    for gate in pod.readiness_gates:
        condition = pod.condition(gate)
        if condition is None:
            what = f"readiness gate {gate} was never set: its controller has not reported on this pod"
            return _gate(pod, ReasonCode.READINESS_GATE, what, gate, pod.said("Ready"))
        if condition.status != "True":
            reason = f": {condition.reason}" if condition.reason else ""
            what = f"all containers are ready, but readiness gate {gate} is {condition.status}{reason}"
            return _gate(pod, ReasonCode.READINESS_GATE, what, gate, words(condition.message, condition.reason))
    return None


def scheduling_gate(pod: PodView) -> Cause | None:
    """Return the scheduling gate that keeps the pod from the scheduler."""
    placed = pod.condition("PodScheduled")
    gated = placed is not None and placed.status == "False" and placed.reason == "SchedulingGated"
    if pod.node or not (pod.scheduling_gates or gated):
        return None
    names = ", ".join(pod.scheduling_gates)
    what = f"the new pod is not scheduled because of {f'scheduling gate {names}' if names else 'a scheduling gate'}"
    said = words(placed.message, placed.reason) if placed is not None else ()
    return _gate(pod, ReasonCode.SCHEDULING_GATED, what, names or "SchedulingGated", said)


def over(pod: PodView) -> Cause | None:
    """Return why the new pod was ended as a whole: evicted, refused by its node, or shut down with it."""
    if pod.phase != "Failed" or not pod.reason:
        return None
    return Cause(
        code=ReasonCode.POD_ENDED,
        what=f"a new pod was terminated: {pod.reason}",
        brief=f"a pod was terminated: {pod.reason}",
        said=words(pod.message, pod.disrupted),
        pod=pod,
        silent=True,
        usual=_OVER,
    )


def named(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return any other cause that Kubernetes names: a waiting container, a warning about the pod, an unmet condition."""
    if pod.ready:
        return None
    waiting = next(
        (each for each in pod.containers if each.phase == "waiting" and each.reason not in _ON_ITS_WAY), None
    )
    if waiting is not None:
        return _told(
            pod, f"container {waiting.name} is waiting: {waiting.reason}", waiting.reason, (waiting.message,), waiting
        )
    warned = sorted(
        (e for e in snapshot.events if e.about == pod.uid and e.type == "Warning" and not _passed(e, pod)),
        key=lambda event: event.order,
    )
    if warned:
        last = warned[-1]
        return _told(pod, f"the new pod does not start: {last.reason}", last.reason, (last.message,))
    failed = next((each for each in pod.conditions if _unmet(each)), None)
    if failed is not None:
        what = f"the new pod's condition {failed.type} is {failed.status}: {failed.reason}"
        return _told(pod, what, failed.reason, (failed.message,))
    return None


def _passed(event: EventView, pod: PodView) -> bool:
    """Return whether the event tells why the pod was not scheduled, and it has been scheduled since."""
    return event.reason == "FailedScheduling" and bool(pod.node)


def _unmet(condition: Condition) -> bool:
    return condition.status != "True" and bool(condition.reason) and condition.reason not in _FOLLOWS


def _gate(pod: PodView, code: ReasonCode, what: str, gate: str, said: tuple[str, ...]) -> Cause:
    advice = _READINESS_GATE if code is ReasonCode.READINESS_GATE else _SCHEDULING_GATE
    return Cause(code=code, what=what, brief=f"waits for {gate}", said=said, pod=pod, silent=True, usual=advice)


def _told(pod: PodView, what: str, brief: str, said: tuple[str, ...], container: ContainerView | None = None) -> Cause:
    return Cause(
        code=ReasonCode.POD_WAITS,
        what=what,
        brief=brief,
        said=words(*said) or (brief,),
        pod=pod,
        container=container.name if container is not None else None,
        silent=True,
        usual=_OTHER,
    )
