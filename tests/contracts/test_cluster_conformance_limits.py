"""The sandbox's cluster and a real control plane answer alike: quotas, limits, volume claims, taints."""

import asyncio

import pytest

from tests.support.clusters import BOTH, opened
from tests.support.conformance import deployment, headings, install, set_image


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


def made(kind, name, spec):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def create(cluster, kind, name, spec):
    await cluster.kubectl("create", "-f", "-", stdin=made(kind, name, spec))


async def refuses(cluster, words):
    """Waits until a pod would be refused with these words: a real API server hears of a quota or a limit a little after it was made."""
    spec = {"containers": [{"name": "asked", "image": "x/web:v1", "resources": {"requests": {"cpu": "10m"}}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asked"}, "spec": spec}
    async with asyncio.timeout(60):
        while words not in (await cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=pod, code=None)).err:
            pass


def failure(found):
    """The message of a ReplicaSet that is refused."""
    conditions = [each for item in found["items"] for each in item["status"].get("conditions") or []]
    return next((each["message"] for each in conditions if each["type"] == "ReplicaFailure"), "")


async def test_a_quota_refuses_the_pod_that_is_one_too_many(cluster):
    await install(cluster)
    await create(cluster, "ResourceQuota", "pods", {"hard": {"pods": "2"}})
    await refuses(cluster, "exceeded quota")
    await set_image(cluster, "x/web:v2")
    message = failure(await cluster.until(failure, "replicasets"))
    assert "is forbidden: exceeded quota: pods, requested: pods=1, used: pods=2, limited: pods=2" in message
    await cluster.until(lambda found: 'Error creating: pods "web-' in str(found), "events")
    assert (await cluster.get("resourcequota", "pods"))["status"]["used"] == {"pods": "2"}


async def test_a_refusal_ends_when_there_is_room_again(cluster):
    await install(cluster)
    await create(cluster, "ResourceQuota", "pods", {"hard": {"pods": "2"}})
    await refuses(cluster, "exceeded quota")
    await set_image(cluster, "x/web:v2")
    await cluster.until(failure, "replicasets")
    await cluster.kubectl("delete", "resourcequota", "pods")
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=55s")
    assert not failure(await cluster.until(lambda found: not failure(found), "replicasets"))


async def test_a_limit_range_refuses_what_asks_for_too_little(cluster):
    await create(cluster, "LimitRange", "least", {"limits": [{"type": "Container", "min": {"cpu": "500m"}}]})
    await refuses(cluster, "minimum cpu usage")
    await cluster.kubectl("create", "-f", "-", stdin=deployment())
    message = failure(await cluster.until(failure, "replicasets"))
    assert "is forbidden: minimum cpu usage per Container is 500m, but request is 10m" in message


async def test_a_claim_without_a_class_waits_for_a_volume(cluster):
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await create(cluster, "PersistentVolumeClaim", "uploads", wanted)
    told = await cluster.until(
        lambda found: [each for each in found["items"] if each["reason"] == "FailedBinding"], "events"
    )
    messages = [each["message"] for each in told["items"] if each["reason"] == "FailedBinding"]
    assert messages[0] == "no persistent volumes available for this claim and no storage class is set"
    output = await cluster.kubectl("get", "pvc")
    assert headings(output)[:6] == ["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS"]
    assert output.lines[1].split()[:2] == ["uploads", "Pending"]


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"nodeSelector": {"omnicare.dev/no": "such"}}, "didn't match"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "gone"}}]},
            'persistentvolumeclaim "gone" not found',
        ),
    ],
)
async def test_the_scheduler_says_why_it_places_no_pod(cluster, pod, words):
    body = deployment(replicas=1)
    body["spec"]["template"]["spec"] |= pod
    await cluster.kubectl("create", "-f", "-", stdin=body)

    def unscheduled(found):
        conditions = [each for item in found["items"] for each in item["status"].get("conditions") or []]
        return [each for each in conditions if each["type"] == "PodScheduled" and each["status"] == "False"]

    found = unscheduled(await cluster.until(unscheduled, "pods"))[0]
    assert found["reason"] == "Unschedulable"
    assert "nodes are available: " in found["message"]
    assert words in found["message"]


async def test_a_claim_has_to_say_how_it_is_used(cluster):
    refused = await cluster.kubectl("create", "-f", "-", stdin=made("PersistentVolumeClaim", "uploads", {}), code=1)
    assert "spec.accessModes: Required value: at least 1 access mode is required" in refused.err
    assert "spec.resources[storage]: Required value" in refused.err
