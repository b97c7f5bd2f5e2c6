"""A pod that no node takes: no room (and how much is missing), taints, labels and affinity, cordoned nodes.

The scheduler says why, node by node; how much is missing it does not say, so that is counted here from the nodes and the pods that
the bot may see.
"""

import re
from collections.abc import Sequence

from runbooks.clients.kubernetes.views import NodeView, PodView
from runbooks.diagnosis.quantities import amount, asked, shown
from runbooks.diagnosis.snapshot import Cause, usual
from runbooks.kit.answers import read_time
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import age_since, listed

_NODES = re.compile(r"^\d+/(\d+) nodes are available:? ?(.*)", re.DOTALL)
_PREEMPTION = re.compile(r"\.? preemption: .*", re.DOTALL)
_PART = re.compile(r",\s+(?=\d+ )")
_COUNTED = re.compile(r"(\d+) (.*)", re.DOTALL)
_TAINT = re.compile(r"(?:untolerated taint|had taint)(?:\(s\))? ?(?:\{([^:}]*): ?([^}]*)\})?")
_INSUFFICIENT = re.compile(r"Insufficient (\S+)")
_BLOCKING = ("NoSchedule", "NoExecute")
_PASSING = "node.kubernetes.io/"
"""Kubernetes' own taints begin so: cordoned, not ready, disk pressure. They say nothing about the node's size."""
_EVERY_NODE_HAS = ("cpu", "memory", "ephemeral-storage")
"""A node without such an amount is one whose amount could not be read."""
_TAKERS = 3
_TELLING = 0.1
"""Of what the largest requests: who requests less does not fill a node."""

_ROOM = usual(
    ("the nodes are full", "add or free a node: a rollout needs capacity for one more pod"),
    ("the cluster autoscaler has reached its limit", "check its limits and events"),
)
_TOO_LARGE = usual(
    (
        "no node that the pod may run on is large enough, even empty",
        "lower `resources.requests` on the Deployment, or add a larger node",
    ),
)
_SIZE_UNKNOWN = usual(
    (
        "the pod may request more than any node has (unknown: not all amounts could be read)",
        "compare `resources.requests` on the Deployment with `nodes`",
    ),
)
_TAINTS = usual(
    ("the free nodes are reserved for something else", "add a toleration to the Deployment, if it may run there"),
    ("a node is tainted because of a problem", "`nodes` shows which and why"),
)
_LABELS = usual(
    ("no node has the label that the Deployment requires", "label a node, or fix `nodeSelector` or the affinity"),
    ("pods of one service must not share a node, and there are too few nodes", "add a node, or relax the rule"),
)
_CORDONED = usual(
    ("somebody is draining the nodes", "ask who, or uncordon one; `nodes` names them"),
    ("the nodes are being upgraded", "wait until that has finished, then retry"),
)


def unschedulable(pod: PodView) -> Cause | None:
    """Return why no node takes the pod, where that is so."""
    if not pod.unschedulable:
        return None
    parts = _parts(pod.unschedulable)
    kinds = dict.fromkeys(kind for _, kind, _ in parts)
    room = [detail for _, kind, detail in parts if kind == "room"]
    if list(kinds) == ["room"]:
        what = f"no node has room for the new pod: {listed(dict.fromkeys(room))}"
    elif len(parts) == 1:
        what = f"no node accepts the new pod: {parts[0][2]}"
    else:
        what = f"no node accepts the new pod: {', '.join(f'{detail} on {count}' for count, _, detail in parts)}"
    return Cause(
        code=ReasonCode.UNSCHEDULABLE,
        what=what if parts else "no node accepts the new pod",
        brief=", ".join(dict.fromkeys(detail for _, _, detail in parts)) or "no node accepts it",
        said=(pod.unschedulable,),
        pod=pod,
        silent=True,
        usual=tuple(each for kind in kinds for each in _ADVICE.get(kind, ())) or _ROOM,
    )


_ADVICE: dict[str, tuple[UsualCause, ...]] = {
    "room": _ROOM,
    "taint": _TAINTS,
    "labels": _LABELS,
    "cordoned": _CORDONED,
}


def _parts(message: str) -> list[tuple[int, str, str]]:
    """Return how many nodes, which kind and the words for each, the most frequent first."""
    found = _NODES.match(_PREEMPTION.sub("", message))
    if found is None:
        return [(0, "none", "there is no node")] if message.startswith("no nodes available") else []
    parts = []
    for part in _PART.split(found[2].strip().rstrip(".")):
        counted = _COUNTED.match(part)
        if counted is not None:
            parts.append((int(counted[1]), *_kind(counted[2])))
    return sorted(parts, key=lambda part: -part[0])


def _kind(text: str) -> tuple[str, str]:
    if found := _INSUFFICIENT.match(text):
        return "room", f"insufficient {found[1]}"
    if "too many pods" in text.lower():
        return "room", "the node's maximum number of pods"
    if found := _TAINT.search(text):
        taint = "=".join(filter(None, (found[1], (found[2] or "").strip())))
        return "taint", f"an untolerated taint{f' ({taint})' if taint else ''}"
    lower = text.lower()
    if "unschedulable" in lower:
        return "cordoned", "cordoned"
    if "anti-affinity" in lower and "affinity/anti" not in lower:
        return "labels", "its anti-affinity rule"
    if "topology spread" in lower:
        return "labels", "its topology spread rule"
    if "pod affinity" in lower:
        return "labels", "its affinity rule"
    if "affinity" in lower or "selector" in lower:
        return "labels", "a label mismatch"
    if "free ports" in lower:
        return "room", "no free host port"
    return "other", text.replace("node(s) ", "").strip()


def sized(causes: Sequence[UsualCause], *, large: bool | None) -> tuple[UsualCause, ...]:
    """Return the usual causes with what `too_large` says of the pod: that it is too large for every node, or that nobody knows."""
    if large is None:
        return (*causes, *_SIZE_UNKNOWN)
    return (*_TOO_LARGE, *(each for each in causes if each not in _ROOM)) if large else tuple(causes)


def too_large(pod: PodView, nodes: Sequence[NodeView]) -> bool | None:
    """Return whether the pod requests more than any node has that it may run on, if that were empty; None where that is not known."""
    needs = {resource: asked(pod, resource) for resource in _insufficient(pod)}
    if not needs:
        return False
    allowed = [node for node in nodes if _allows(node, pod, passing=False)]
    sizes = [{resource: _size(node, resource) for resource in needs} for node in allowed]
    if not sizes or not all(needs.values()):
        return None
    if any(all(size is not None and needs[each] <= size for each, size in node.items()) for node in sizes):
        return False
    over = all(any(size is not None and needs[each] > size for each, size in node.items()) for node in sizes)
    return True if over else None


def _insufficient(pod: PodView) -> list[str]:
    """Return the resources of which the scheduler says that a node has too little left."""
    return list(dict.fromkeys(found[1].rstrip(",.") for found in _INSUFFICIENT.finditer(pod.unschedulable)))


def _size(node: NodeView, resource: str) -> float | None:
    """Return how much of it the node has for pods; None where that could not be read."""
    return amount(node.allocatable.get(resource, 0)) or (None if resource in _EVERY_NODE_HAS else 0.0)


def missing(pod: PodView, nodes: Sequence[NodeView], neighbours: Sequence[PodView]) -> tuple[str, str]:
    """Return how much is missing and how that was counted; empty texts where it is not known.

    `neighbours` are the pods that the bot may see; those of other namespaces take room too, so what is missing is a lower bound.
    """
    fitting = [node for node in nodes if _fits(node, pod)]
    for resource in _insufficient(pod):
        needs = asked(pod, resource)
        if not fitting or not needs:
            continue
        left = {node.name: _left(node, neighbours, resource) for node in fitting}
        most = max(left, key=lambda name: left[name])
        room = next(amount(node.allocatable.get(resource, 0)) for node in fitting if node.name == most)
        asks = f"The pod requests {shown(resource, needs)}"
        if needs > left[most]:
            lack = f"at least {shown(resource, needs - max(left[most], 0.0))} is missing"
            has = f"{shown(resource, max(left[most], 0.0))} of {shown(resource, room)}"
            return lack, f"{asks}; {most} has the most left, {has}."
        return "", f"{asks}; pods in other namespaces use what {most} seems to have left."
    return "", ""


def largest(pod: PodView, nodes: Sequence[NodeView], neighbours: Sequence[PodView]) -> str:
    """Return which pods request most of what is missing, on the nodes that the pod may be placed on; empty where that is not known."""
    there = {node.name for node in nodes if _fits(node, pod)}
    others = [each for each in neighbours if each.node in there and not each.over and each.uid != pod.uid]
    for resource in _insufficient(pod):
        takers = sorted(((asked(each, resource), each) for each in others), key=lambda each: (-each[0], each[1].name))
        named = [
            _taker(each, shown(resource, much)) for much, each in takers[:_TAKERS] if much > takers[0][0] * _TELLING
        ]
        if named:
            return f"Most is requested by {listed(named)}."
    return ""


def _taker(pod: PodView, much: str) -> str:
    created = read_time(pod.created)
    since = f", for {age_since(created)}" if created is not None else ""
    return f"{pod.name} on {pod.node} ({much}{since})"


def _fits(node: NodeView, pod: PodView) -> bool:
    """Return whether the pod may be placed on the node, apart from its free capacity."""
    return node.ready and not node.cordoned and _allows(node, pod)


def _allows(node: NodeView, pod: PodView, *, passing: bool = True) -> bool:
    """Return whether labels and taints let the pod onto the node; `passing`: Kubernetes' own taints count, too."""
    blocked = any(
        taint.effect in _BLOCKING
        and (passing or not taint.key.startswith(_PASSING))
        and not taint.tolerated(pod.tolerations)
        for taint in node.taints
    )
    return not blocked and all(node.labels.get(key) == value for key, value in pod.wanted_labels.items())


def _left(node: NodeView, neighbours: Sequence[PodView], resource: str) -> float:
    taken = sum(asked(pod, resource) for pod in neighbours if pod.node == node.name and not pod.over)
    return amount(node.allocatable.get(resource, 0)) - taken
