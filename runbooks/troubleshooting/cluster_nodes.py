"""The cluster's nodes: not ready, under pressure, or cordoned while pods wait for room."""

from collections import Counter
from collections.abc import Iterator, Sequence

from runbooks.clients.kubernetes.views import NodeView, PodView
from runbooks.kit.answers import read_time
from runbooks.observe import by_hand
from runbooks.observe.nodes import Problem, problems_of
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, Thing, ToDo, Trouble
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import by_count, counted, listed

_MOST = 5
"""Findings about single nodes: a cluster that falls apart has one cause, and the first few show it."""
_NAMED = 4
_SYMPTOMS = (Trouble.NOT_READY, Trouble.ROLLOUT_STUCK, Trouble.NOT_SERVED, Trouble.TARGETS, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC, Trouble.ALERT)  # fmt: skip
_EXPLAINS = {
    "not-ready": (Trouble.PENDING, Trouble.EVICTED, Trouble.RESTARTS, *_SYMPTOMS),
    "pressure": (Trouble.EVICTED, Trouble.PENDING, Trouble.IMAGE, Trouble.RESTARTS, Trouble.DISK_FULL, *_SYMPTOMS),
    "condition": (Trouble.RESTARTS, *_SYMPTOMS),
}
_TO_DO = {
    "not-ready": "Look at the machine (stopped, network, kubelet); its pods start elsewhere after about five minutes if there is room",
    "pressure": "Find what fills the node, or drain it and replace it",
    "condition": "If it stays like this, drain the node and replace it",
}


class ClusterNodes(RegionRule):
    """Looks at the state of every node, and at cordoned ones while pods are pending."""

    name = "nodes"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:  # noqa: ARG002 - nodes are not of one service
        """Return the nodes that are not well. Where the bot may not list nodes, it could not look."""
        nodes, seen = await place.nodes(), await place.listed()
        pods = [pod for pod in seen.pods if not pod.over and not pod.deleting]
        on = Counter(pod.node for pod in pods)
        bad = [(node, each) for node in nodes for each in problems_of(node)[:1] if each.serious]
        bad.sort(key=lambda pair: (-on[pair[0].name], pair[0].name))
        findings = [_finding(node, each, on[node.name]) for node, each in bad[:_MOST]]
        return RuleAnswer(found=(*findings, *_cordoned(place, nodes, pods)), details=counted(len(nodes), "node"))


def _finding(node: NodeView, problem: Problem, pods: int) -> Finding:
    here = f"{counted(pods, 'pod')} of this environment {by_count(pods, 'is', 'are')} on it." if pods else ""
    sure = Confidence.CERTAIN if problem.code != "condition" else Confidence.LIKELY
    return Finding(
        kind=Trouble.NODE_DOWN if problem.code == "not-ready" else Trouble.NODE_PRESSURE,
        cause=f"Node {node.name} {problem.what}",
        evidence=tuple(filter(None, (problem.said, here))),
        # a node without pods of ours is trouble of somebody else's first
        confidence=sure if pods else Confidence.POSSIBLE,
        since=read_time(problem.since),
        to_do=(
            ToDo(text=_TO_DO[problem.code]),
            ToDo(text="See the node's conditions, pods and events", command=f"nodes {node.name}", label="Node"),
        ),
        about=(Thing(kind="node", name=node.name),),
        explains=_EXPLAINS[problem.code],
    )


def _cordoned(place: PlaceFacts, nodes: Sequence[NodeView], pods: Sequence[PodView]) -> Iterator[Finding]:
    cordoned = [node.name for node in nodes if node.cordoned]
    waiting = [pod for pod in pods if pod.unschedulable]
    if not cordoned or not waiting:
        return
    told = [pod for pod in waiting if "unschedulable" in pod.unschedulable]
    names = listed(cordoned, most=_NAMED)
    line = by_hand.kubectl(place.environment, "uncordon", cordoned[0], everywhere=True)
    yield Finding(
        kind=Trouble.NODE_DOWN,
        cause=f"{len(cordoned)} of {counted(len(nodes), 'node')} {by_count(len(cordoned), 'is', 'are')} cordoned while {counted(len(waiting), 'pod')} {by_count(len(waiting), 'waits', 'wait')} for room",
        evidence=(f"Cordoned: {names}.",),
        # the scheduler names cordoned nodes among its reasons, but another may be what is missing
        confidence=Confidence.LIKELY if told else Confidence.POSSIBLE,
        since=min((at for pod in waiting if (at := read_time(pod.created)) is not None), default=None),
        to_do=(
            ToDo(text=f"If the work on them is over: `{line}`"),
            ToDo(text="See all nodes", command="nodes", label="Nodes"),
        ),
        about=tuple(Thing(kind="node", name=name) for name in cordoned[:_NAMED]),
        explains=(Trouble.PENDING, Trouble.ROLLOUT_STUCK, Trouble.NOT_READY, Trouble.ALERT),
    )
