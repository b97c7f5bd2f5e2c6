"""What keeps a placed pod from starting: its sandbox with the network in it, and an init container that does not end."""

import re

from runbooks.clients.kubernetes.views import ContainerView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual, words
from runbooks.kit.reasons import ReasonCode

_SANDBOX = (
    "FailedCreatePodSandBox", "FailedPodSandBoxStatus", "NetworkNotReady", "FailedCreatePodContainer", "HostPortConflict",
)  # fmt: skip
_HOW = (
    (re.compile(r"assign an? ip|no available ip|no ip addresses available|range set.*(?:full|exhausted)|out of ip", re.IGNORECASE), "no IP address is free for it"),
    (re.compile(r"cni|network", re.IGNORECASE), "its network can't be set up"),
    (re.compile(r"runtimeclass|runtime handler", re.IGNORECASE), "its runtime class is unknown there"),
    (re.compile(r"cgroup", re.IGNORECASE), "its control group can't be created"),
)  # fmt: skip
_NETWORK = usual(
    ("the network plugin on that node is down", "check its pod (in kube-system) on that node"),
    ("the node's subnet has no free address", "add addresses, or nodes in another subnet"),
    ("the container runtime on that node hangs", "run `kubectl describe node`, then restart or remove the node"),
)
_WAITS = usual(
    (
        "something it waits for (database, migration, another service) is missing",
        "read its last log lines, then check that dependency",
    ),
    ("it runs a long migration", "check that it makes progress, and raise `progressDeadlineSeconds`"),
)


def sandbox(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return why the node can't create the pod's sandbox."""
    if any(container.phase in ("running", "terminated") for container in pod.containers):
        return None
    told = snapshot.told(pod, *_SANDBOX)
    if not told:
        return None
    said = words(*(event.message for event in reversed(told)))
    how = next((how for pattern, how in _HOW if pattern.search(said[0])), "its sandbox can't be created")
    where = f" {pod.node}" if pod.node else ""
    return Cause(
        code=ReasonCode.POD_SANDBOX,
        what=f"the node{where} can't start the new pod: {how}",
        brief=how,
        said=said,
        pod=pod,
        silent=True,
        usual=_NETWORK,
    )


def init_waits(snapshot: PodsSnapshot, pod: PodView, container: ContainerView) -> Cause | None:
    """Return the init container that runs and does not end, so nothing after it starts."""
    if not container.init or container.phase != "running":
        return None
    seconds = snapshot.seconds_since(container.started_at)
    since = f" for {seconds:.0f} s" if seconds >= 1 else ""
    return Cause(
        code=ReasonCode.INIT_WAITS,
        what=f"init container {container.name} has been running{since}, so the pod does not start",
        brief=f"init container {container.name} is still running",
        said=pod.said("Initialized"),
        pod=pod,
        container=container.name,
        usual=_WAITS,
    )
