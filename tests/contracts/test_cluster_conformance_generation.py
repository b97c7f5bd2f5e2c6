"""The sandbox's cluster and a real control plane count the same changes in `metadata.generation`."""

import json

import pytest

from tests.support.clusters import BOTH, opened
from tests.support.conformance import install, names


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


CHANGES = {
    "label": ("--type=merge", "-p", '{"metadata":{"labels":{"a":"b"}}}'),
    "annotation": ("--type=merge", "-p", '{"metadata":{"annotations":{"a":"b"}}}'),
    "the same annotation": ("--type=merge", "-p", '{"metadata":{"annotations":{"a":"b"}}}'),
    "annotation taken away": ("--type=merge", "-p", '{"metadata":{"annotations":{"a":null}}}'),
}


async def _counted(cluster, kind, name, changes):
    """The changes of an object that raised its generation; it stands still meanwhile."""
    raised = []
    for what, patch in changes.items():
        before = (await cluster.get(kind, name))["metadata"].get("generation", 0)
        (changed,) = (
            await cluster.kubectl("patch", kind, name, *patch, "-o", "jsonpath={.metadata.generation}")
        ).lines or ["0"]
        if int(changed or 0) != before:
            assert int(changed) == before + 1
            raised.append(what)
    return raised


async def test_a_deployment_counts_its_specification_and_its_annotations(cluster):
    await install(cluster, paused=True, wait=False, replicas=0)
    await cluster.until(lambda found: found["items"][0]["status"].get("observedGeneration"), "deployments")
    raised = await _counted(
        cluster,
        "deployment",
        "web",
        CHANGES
        | {
            "specification": ("--type=merge", "-p", '{"spec":{"minReadySeconds":1}}'),
            "pod template": ("--type=merge", "-p", '{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}'),
            "status": ("--type=merge", "-p", '{"status":{"replicas":7}}'),
        },
    )
    assert raised == ["annotation", "annotation taken away", "specification", "pod template"]


async def test_a_scale_counts_and_a_status_does_not(cluster):
    await install(cluster, paused=True, wait=False, replicas=0)
    await cluster.until(lambda found: found["items"][0]["status"].get("observedGeneration"), "deployments")
    before = (await cluster.get("deployment", "web"))["metadata"]["generation"]
    await cluster.kubectl("scale", "deployment/web", "--replicas=1")
    assert (await cluster.get("deployment", "web"))["metadata"]["generation"] == before + 1
    status = '{"metadata":{"annotations":{"by":"status"}},"status":{"collisionCount":1}}'
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web/status"
    found = await cluster.session.patch(path, data=status, headers={"Content-Type": "application/merge-patch+json"})
    answered = json.loads(await found.read())
    assert answered["metadata"]["annotations"]["by"] == "status"
    assert answered["metadata"]["generation"] == before + 1


async def test_a_replica_set_counts_its_specification_alone(cluster):
    await install(cluster, replicas=0)
    await cluster.kubectl("patch", "deployment", "web", "-p", '{"spec":{"paused":true}}')
    (name,) = names(await cluster.get("replicasets"))
    raised = await _counted(
        cluster,
        "replicaset",
        name,
        CHANGES | {"specification": ("--type=merge", "-p", '{"spec":{"minReadySeconds":1}}')},
    )
    assert "annotation" not in raised
    assert raised[-1] == "specification"


@pytest.mark.parametrize("kind", ["configmap", "service", "pod"])
async def test_what_no_controller_observes_has_no_generation(cluster, kind):
    meta = {"name": "thing"}
    body = {
        "configmap": {"data": {"a": "b"}},
        "service": {"spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}},
        "pod": {"spec": {"containers": [{"name": "web", "image": "x/web:v1"}]}},
    }[kind]
    title = {"configmap": "ConfigMap", "service": "Service", "pod": "Pod"}[kind]
    await cluster.kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": title, "metadata": meta, **body})
    assert await _counted(cluster, kind, "thing", CHANGES) == []
    assert "generation" not in (await cluster.get(kind, "thing"))["metadata"]


async def test_the_controller_observes_a_change_after_it_was_answered(cluster):
    await install(cluster, replicas=0)
    before = await cluster.get("deployment", "web")
    answer = (await cluster.kubectl("annotate", "deployment", "web", "a=b", "-o", "json")).out
    changed = json.loads(answer)
    assert changed["metadata"]["generation"] > before["status"]["observedGeneration"]
    assert changed["status"]["observedGeneration"] == before["status"]["observedGeneration"]
    await cluster.until(
        lambda found: found["items"][0]["status"]["observedGeneration"] >= changed["metadata"]["generation"],
        "deployments",
    )
