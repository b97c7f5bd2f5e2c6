"""Causes that need no kubelet, on the sandbox's cluster and on a real control plane: its own scheduler and controllers say them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from tests.runbooks.release.test_rollouts import explained, only_backend, overdue, stamped
from tests.support.real import Place
from tests.support.stand_in_node import schedulable

LABEL = "omnicare.dev/test-node"
REQUESTS = {"resources": {"requests": {"cpu": "10m"}}}


def in_template(here: Place, path: str, value: object) -> Awaitable[object]:
    return here.patch("backend", {"op": "add", "path": f"/spec/template/spec/{path}", "value": value})


async def make(here: Place, plural: str, kind: str, name: str, spec: Mapping[str, Any]) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    await here.create(f"/api/v1/namespaces/{here.namespace}/{plural}", body)


async def quota(here: Place) -> None:
    await make(here, "resourcequotas", "ResourceQuota", "pods", {"hard": {"pods": "2"}})
    await here.until_refused("exceeded quota")


async def quota_that_wants_limits(here: Place) -> None:
    await make(here, "resourcequotas", "ResourceQuota", "compute", {"hard": {"limits.cpu": "4"}})
    await here.until_refused("failed quota")


async def limits(here: Place) -> None:
    await make(here, "limitranges", "LimitRange", "least", {"limits": [{"type": "Container", "min": {"cpu": "500m"}}]})
    await here.until_refused("minimum cpu usage", **REQUESTS)


async def no_such_label(here: Place) -> None:
    await in_template(here, "nodeSelector", {LABEL: here.namespace})


def volume(claim: str) -> list[dict[str, Any]]:
    return [{"name": "uploads", "persistentVolumeClaim": {"claimName": claim}}]


async def no_claim(here: Place) -> None:
    await in_template(here, "volumes", volume("uploads"))


async def claim_without_a_volume(here: Place) -> None:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await make(here, "persistentvolumeclaims", "PersistentVolumeClaim", "uploads", wanted)
    await in_template(here, "volumes", volume("uploads"))


CASES: list[tuple[Callable[[Place], Awaitable[None]], ReasonCode, str, str]] = [
    (quota, ReasonCode.QUOTA_EXCEEDED, "has no room for the new pod: pods 2 of 2 used, 1 more requested", "exceeded quota"),
    (quota_that_wants_limits, ReasonCode.QUOTA_EXCEEDED, "requires pods to set limits.cpu", "failed quota"),
    (limits, ReasonCode.ADMISSION_REFUSED, "rejects the new pods: minimum cpu usage per Container is 500m, but request is 10m", "minimum cpu usage"),
    (no_such_label, ReasonCode.UNSCHEDULABLE, "no node accepts the new pod: a label mismatch", "nodes are available"),
    (no_claim, ReasonCode.VOLUME_UNAVAILABLE, "volume claim uploads does not exist", "not found"),
    (claim_without_a_volume, ReasonCode.VOLUME_UNAVAILABLE, "volume claim uploads is not bound to a volume", "unbound"),
]  # fmt: skip


async def never_complete(here: Place, pulse: PlainPulse) -> PermanentError:
    """A rollout's failure, once people were told why."""
    return await overdue(here, pulse, "v2.0.0", explained(pulse), explain_seconds=1, tick_seconds=0.5)


@pytest.mark.parametrize(("breaks", "code", "what", "said"), CASES, ids=lambda case: getattr(case, "__name__", None))
async def test_the_cause_is_named_in_the_cluster_s_own_words(
    here: Place, breaks: Callable[[Place], Awaitable[None]], code: ReasonCode, what: str, said: str
):
    await only_backend(here, container=REQUESTS)
    pulse = await stamped(here)
    await breaks(here)
    error = await never_complete(here, pulse)
    found = error.diagnosis
    assert (error.code, what in found.cause) == (code, True), found
    assert any(said in word for word in found.said), found
    assert found.causes
    if code in (ReasonCode.UNSCHEDULABLE, ReasonCode.VOLUME_UNAVAILABLE):
        assert any("; 1 pod pending: " in word for word in pulse.said), pulse.said


async def test_what_a_claim_waits_for_is_said(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    await claim_without_a_volume(here)
    async with asyncio.timeout(60):
        while not any(each.reason == "FailedBinding" for each in await here.cluster.events(here.namespace)):  # noqa: ASYNC110 - a test's own
            await asyncio.sleep(0.1)
    found = (await never_complete(here, pulse)).diagnosis
    assert "no persistent volumes available for this claim and no storage class is set" in found.said


async def test_a_taint_is_named(here: Place):
    name = here.namespace
    taint = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {LABEL: name}}, "spec": {"taints": [taint]}}  # fmt: skip
    room = {"cpu": "4", "memory": "8Gi", "pods": "50"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is"}
    await here.create("/api/v1/nodes", node)
    try:
        status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        await here.connection.call(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            doing="say that a test's node is ready",
            body=status,
            content_type="application/merge-patch+json",
        )
        await schedulable(here, name)
        await only_backend(here)
        pulse = await stamped(here)
        await no_such_label(here)
        found = (await never_complete(here, pulse)).diagnosis
    finally:
        await here.connection.call("DELETE", f"/api/v1/nodes/{name}", doing="remove a test's node")
    assert "an untolerated taint (dedicated=batch) on 1" in found.cause
    assert any("taint {dedicated: batch}" in word for word in found.said)
