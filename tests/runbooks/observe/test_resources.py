"""What is in a namespace: each kind with how ready it is, what is not well first, and a sentence for what can't be read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.clients.kubernetes.errors import Forbidden
from runbooks.kit.targets import Environment
from runbooks.observe.resources import resources
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.settings import Rule, Settings, User

WHERE = Environment(name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=())


@asynccontextmanager
async def _seen_by(tmp_path: Path, user: User, *manifests: dict[str, Any]) -> AsyncIterator[ClusterClient]:
    cluster = Cluster(Settings(users=(user,)))
    seed_omnicare(cluster)
    for each in manifests:
        cluster.create({**each, "metadata": {**each["metadata"], "namespace": "omnicare-prod"}})
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig(user.name))
        async with ClusterClient(kubeconfig=str(kubeconfig), timing=Timing(connect=5, call=10)) as client:
            yield client


ALL = User("bot", "t", (Rule(("*",)),))
ORPHAN = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "orphan"},
    "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 9000}]},
}
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "backend"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "backend"}, "minReplicas": 3, "maxReplicas": 9},
}


async def test_each_kind_is_told_with_how_ready_it_is(tmp_path: Path):
    async with _seen_by(tmp_path, ALL, ORPHAN, SCALER) as client:
        found = {each.kind: each for each in await resources(client, WHERE)}
    assert {kind: len(each.found) for kind, each in found.items()} == {
        "Deployment": 2, "Pod": 6, "ReplicaSet": 2, "Service": 3, "Job": 0, "Autoscaler": 1,
    }  # fmt: skip
    assert [(each.name, each.state) for each in found["Deployment"].found] == [
        ("backend", "3/3 ready"),
        ("frontend", "3/3 ready"),
    ]
    assert found["ReplicaSet"].left_out == 2  # of the release before
    first, second, _ = found["Service"].found
    assert (first.name, first.state, first.well) == ("orphan", "ClusterIP 9000, 0 ready behind it", False)
    assert (second.name, second.state, second.well) == ("backend", "ClusterIP 3001, 3 ready behind it", True)
    assert found["Autoscaler"].found[0].state.startswith("Deployment/backend: 0 replicas, between 3 and 9")


async def test_what_may_not_be_read_is_unknown_and_the_rest_is_told(tmp_path: Path):
    user = User("bot", "t", (Rule(("list",), ("deployments", "pods")),))
    async with _seen_by(tmp_path, user) as client:
        found = {each.kind: each for each in await resources(client, WHERE)}
    assert len(found["Pod"].found) == 6
    assert (
        found["Job"].unknown == "Jobs are unknown: The cluster denied the bot permission to list Jobs in omnicare-prod."
    )
    assert not found["Service"].found


async def test_where_nothing_may_be_read_the_refusal_is_the_answer(tmp_path: Path):
    async with _seen_by(tmp_path, User("bot", "t")) as client:
        with pytest.raises(Forbidden):
            await resources(client, WHERE)
