"""Plays a scenario on the sandbox's cluster: its acts one after another, and how long Kubernetes waits before it gives up."""

from sandbox.cluster import Cluster
from sandbox.cluster.fields import Writer
from sandbox.cluster.quantities import quantity, requested
from sandbox.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    Json,
    Kind,
)
from sandbox.scenarios import (
    PRODUCTION,
    Act,
    BreakDatabase,
    BreakGate,
    BreakLogs,
    BreakMetrics,
    BreakSync,
    Fault,
    FillNodes,
    Forget,
    Make,
    Remove,
    Scenario,
    TaintNodes,
)

_KINDS: dict[str, Kind] = {kind.name: kind for kind in (CONFIG_MAP, SECRET, PERSISTENT_VOLUME_CLAIM)}
_BY_HAND = Writer("kubectl-edit")


def play(cluster: Cluster, scenario: Scenario) -> None:
    """What the scenario breaks is broken when this returns; what runs goes on."""
    for act in scenario.acts:
        if not isinstance(
            act, BreakDatabase | BreakGate | BreakLogs | BreakMetrics | BreakSync
        ):  # those are the world's to do, whose they are
            _do(cluster, act)
    if scenario.deadline is not None:
        for deployment in list(cluster.store.all(DEPLOYMENT, PRODUCTION)):
            _give_up_after(cluster, deployment["metadata"]["name"], scenario.deadline)


def _do(cluster: Cluster, act: Act) -> None:
    match act:
        case Make(manifest):
            cluster.create(manifest)
        case Remove(kind, name):
            # by force, as somebody who takes a finalizer off: what runs keeps what it has
            found = cluster.store.get(_KINDS[kind], PRODUCTION, name)
            if found is not None:
                cluster.store.remove(_KINDS[kind], found)
        case Forget(kind, name, key):
            cluster.api.modify(
                _KINDS[kind], PRODUCTION, name, lambda draft: draft["data"].pop(key, None) and None, _BY_HAND
            )
        case TaintNodes(key, value, effect):
            for node in list(cluster.store.all(NODE)):
                _taint(cluster, node["metadata"]["name"], {"key": key, "value": value, "effect": effect})
        case FillNodes(name, leave):
            for node in list(cluster.store.all(NODE)):
                _fill(cluster, node, name, leave)
        case Fault(name, value):
            setattr(cluster.faults, name, value)


def _fill(cluster: Cluster, node: Json, name: str, leave: float) -> None:
    where = node["metadata"]["name"]
    taken = sum(requested(pod, "cpu") for pod in cluster.store.all(POD) if pod["spec"].get("nodeName") == where)
    rest = quantity(node["status"]["allocatable"]["cpu"]) - taken - leave
    resources = {"requests": {"cpu": f"{rest * 1000:.0f}m"}}
    container = {"name": "export", "image": "ghcr.io/omnicare/export:v7", "resources": resources}
    metadata = {"name": f"{name}-{where}", "namespace": PRODUCTION, "labels": {"app": name}}
    spec = {"nodeName": where, "containers": [container]}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _taint(cluster: Cluster, node: str, taint: Json) -> None:
    def change(draft: Json) -> None:
        draft["spec"]["taints"] = [*(draft["spec"].get("taints") or []), taint]

    cluster.api.modify(NODE, "", node, change, _BY_HAND)


def _give_up_after(cluster: Cluster, deployment: str, seconds: int) -> None:
    def change(draft: Json) -> None:
        draft["spec"]["progressDeadlineSeconds"] = seconds

    cluster.api.modify(DEPLOYMENT, PRODUCTION, deployment, change, _BY_HAND)
