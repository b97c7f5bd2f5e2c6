"""Whether a pod is too large for every node is said only where the numbers say so, and called unknown where there are none."""

from typing import Any

import pytest

from runbooks.clients.kubernetes import reading
from runbooks.clients.kubernetes.views import NodeView, PodView
from runbooks.diagnosis.scheduling import sized, too_large, unschedulable
from tests.support.snapshots import meta, unplaced

LARGE = "no node that the pod may run on is large enough, even empty"
UNKNOWN = "the pod may request more than any node has (unknown: not all amounts could be read)"
FULL = "the nodes are full"
CPU = "0/1 nodes are available: 1 Insufficient cpu."
CPU_AND_MEMORY = "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."


def waiting(said: str = CPU, *, cpu: str = "2", memory: str = "4Gi", **spec: Any) -> PodView:
    asked = {"resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return reading.pod(unplaced(said, container=asked, **spec))


def node(cpu: str = "4", memory: str = "16Gi", *, taint: str = "", cordoned: bool = False, **labels: str) -> NodeView:
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    allocatable = {key: value for key, value in {"cpu": cpu, "memory": memory}.items() if value}
    return reading.node(
        {
            "metadata": meta("node-1", "uid-node", labels=labels),
            "spec": {"taints": taints, **({"unschedulable": True} if cordoned else {})},
            "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
        }
    )


@pytest.mark.parametrize(
    ("pod", "nodes", "large"),
    [
        (waiting(), [node()], False),
        (waiting(), [node("1"), node("2")], False),
        (waiting(), [node("1"), node("1900m")], True),
        (waiting(), [node("1"), node("64", taint="dedicated")], True),
        (waiting(), [node("1"), node("64", taint="node.kubernetes.io/unschedulable", cordoned=True)], False),
        (waiting(nodeSelector={"disk": "ssd"}), [node("1", disk="ssd"), node("64")], True),
        (waiting(CPU_AND_MEMORY), [node("1", "16Gi"), node("4", "2Gi")], True),
        (waiting(CPU_AND_MEMORY), [node("4", "16Gi"), node("1", "2Gi")], False),
        (waiting("0/1 nodes are available: 1 Too many pods.", cpu="900"), [node()], False),
        (waiting("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), [node()], None),
        (waiting(), [], None),
        (waiting(), [node("1"), node("")], None),
        (waiting(), [node("a lot"), node("4")], False),
        (waiting(cpu="a lot"), [node()], None),
    ],
)  # fmt: skip
def test_a_pod_is_too_large_only_for_nodes_whose_numbers_say_so(
    pod: PodView, nodes: list[NodeView], large: bool | None
):
    assert too_large(pod, nodes) is large


@pytest.mark.parametrize(
    ("large", "said", "unsaid"),
    [(True, {LARGE}, {FULL, UNKNOWN}), (False, {FULL}, {LARGE, UNKNOWN}), (None, {FULL, UNKNOWN}, {LARGE})],
)
def test_the_possible_causes_are_those_that_the_numbers_allow(large: bool | None, said: set[str], unsaid: set[str]):
    cause = unschedulable(waiting())
    assert cause is not None
    causes = {each.cause for each in sized(cause.usual, large=large)}
    assert said <= causes
    assert not unsaid & causes
