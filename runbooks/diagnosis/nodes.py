"""A node that is lost while a new pod is on it: the node controller says so, at first in an event, later by deleting the pod.

A node may come back, so this is never certain.
"""

import re
from collections.abc import Sequence

from runbooks.clients.kubernetes.views import NodeView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual, words
from runbooks.kit.reasons import ReasonCode

_LOST = {"NodeLost", "NodeAffinity", "NodeShutdown"}
_DISRUPTED = re.compile(
    r"taint manager|node no longer exists|podgc|node .*shutdown|deletionbytaintmanager", re.IGNORECASE
)

_USUAL = usual(
    (
        "the node crashed, or lost its network",
        "check the machine; its pods are recreated elsewhere after a few minutes",
    ),
    ("somebody is replacing or upgrading nodes", "ask who, and retry afterwards"),
    ("the node's kubelet hangs (memory, disk)", "run `kubectl describe node`, then restart or remove the node"),
)


def lost(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return that the pod's node is lost, where its status or an event says so."""
    if pod.ready or not pod.node:
        return None
    told = snapshot.told(pod, "NodeNotReady", "TaintManagerEviction")
    told = [event for event in told if "cancelling" not in event.message.lower()]
    disrupted = bool(_DISRUPTED.search(pod.disrupted))
    if not told and pod.reason not in _LOST and not disrupted:
        return None
    return _cause(
        pod, words(pod.disrupted if disrupted else "", *(event.message for event in reversed(told)), pod.reason)
    )


def gone(pod: PodView, nodes: Sequence[NodeView]) -> Cause | None:
    """Return the same by the nodes' own status: the node controller says nothing of a pod that was never ready."""
    if pod.ready or not pod.node or not nodes:
        return None
    found = next((node for node in nodes if node.name == pod.node), None)
    if found is not None and found.ready:
        return None
    return _cause(pod, words(found.ready_message if found is not None else f"{pod.node} is no longer in the cluster"))


def _cause(pod: PodView, said: tuple[str, ...]) -> Cause:
    return Cause(
        code=ReasonCode.NODE_LOST,
        what=f"node {pod.node} was lost while the new pod ran on it",
        brief=f"its node {pod.node} is lost",
        said=said,
        pod=pod,
        silent=True,
        usual=_USUAL,
    )


def now(pod: PodView, nodes: Sequence[NodeView]) -> str:
    """Return a sentence about the node's present status."""
    found = next((node for node in nodes if node.name == pod.node), None)
    if found is None:
        return f"Node {pod.node} is no longer in the cluster."
    state = "ready again" if found.ready else "not ready"
    return f"Node {pod.node} is {state}{f': {found.ready_message}' if found.ready_message else ''}"
