"""The nodes of a cluster: what is wrong with one, in words, and what is on it."""

from typing import Any

import pytest

from runbooks.clients.kubernetes import reading
from runbooks.observe.nodes import list_nodes, one_node, problems_of
from tests.support.real import Place


def node(*conditions: tuple[str, str], **update: Any) -> dict[str, Any]:
    """A node as Kubernetes has it: ready, unless a condition says otherwise."""
    states = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False"} | dict(conditions)
    return {
        "metadata": {"name": "node-1", "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {},
        "status": {
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": "Why",
                    "message": f"{kind} said so",
                    "lastTransitionTime": "2026-05-06T07:08:09Z",
                }
                for kind, status in states.items()
            ],
            "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "10"},
            "nodeInfo": {"kubeletVersion": "v1.30.2"},
        },
    } | update


@pytest.mark.parametrize(
    ("item", "code", "what"),
    [
        (node(("Ready", "False")), "not-ready", "is not ready"),
        (node(("Ready", "Unknown"), ("DiskPressure", "Unknown")), "not-ready", "does not answer"),
        (node(("DiskPressure", "True")), "pressure", "has a disk that is nearly full"),
        (node(("MemoryPressure", "Unknown")), "pressure", "is short of memory"),
        (node(("ReadonlyFilesystem", "True")), "condition", "reports ReadonlyFilesystem True (Why)"),
        (node(("StorageReady", "False")), "condition", "reports StorageReady False (Why)"),
        (node(spec={"unschedulable": True}), "cordoned", "is cordoned: no new pods are scheduled on it"),
    ],
)
def test_what_is_wrong_is_told_once_and_since_when(item: dict[str, Any], code: str, what: str):
    (found,) = problems_of(reading.node(item))
    assert found.code == code
    assert found.what.startswith(what)
    assert found.since == ("" if code == "cordoned" else "2026-05-06T07:08:09Z")


def test_a_healthy_node_has_nothing_wrong():
    item = node(("KernelReady", "True"), ("KernelDeadlock", "False"))
    assert problems_of(reading.node(item), "v1.31.0", 5) == []


@pytest.mark.parametrize(
    ("plane", "what"),
    [
        ("v1.33.0-eks-1", ""),
        ("v1.34.1", "too old for the control plane's v1.34.1"),
        ("v1.29.0", "newer than"),
        ("odd", ""),
        ("v0.0.0-master+faecb196815e2", ""),
    ],
)
def test_a_kubelet_of_another_version_is_told_where_kubernetes_does_not_support_it(plane: str, what: str):
    found = problems_of(reading.node(node()), plane)
    assert [each.code for each in found] == (["version"] if what else [])
    assert all(what in each.what for each in found)


def test_a_node_that_takes_hardly_another_pod_is_told():
    assert [each.what for each in problems_of(reading.node(node()), "", 9)] == ["has 9 pods and takes 10"]


async def test_each_node_has_its_pods_amounts_and_version_and_one_has_more(here: Place):
    await here.deploy("backend", replicas=2)
    await here.deploy("frontend", replicas=1)
    found = await list_nodes(here.cluster, here.environment)
    assert found.version.startswith("v")
    # other tests have nodes of their own on the real plane, whose kubelets tell no version
    own = [each for each in found.nodes if each.own_pods]
    assert all(each.kubelet.startswith("v") and each.created for each in own)
    assert not any(each.code == "version" for node in own for each in node.problems)
    assert sum(each.own_pods for each in found.nodes) == 3
    assert all(each.pods is not None and each.pods >= each.own_pods for each in found.nodes)
    busy = next(each for each in found.nodes if each.own_pods)
    assert busy.usage.cpu.limit
    one = await one_node(here.cluster, here.environment, busy.name)
    assert one is not None
    assert len(one.own) == busy.own_pods
    assert "Ready" in [each.type for each in one.node.conditions]
    assert await one_node(here.cluster, here.environment, "no-such-node") is None
