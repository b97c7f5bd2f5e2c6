"""Snapshots of a rollout from Kubernetes' own JSON, for tests of what is read out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks.clients.kubernetes import cluster_events, reading
from runbooks.diagnosis import Snapshot
from runbooks.diagnosis.snapshot import snapshot_of
from runbooks.kit.plan import ImageChange
from tests.support.real import image

Json = dict[str, Any]
NOW = datetime(2026, 3, 9, 3, 7, tzinfo=UTC)
DEPLOYMENT, OLD, NEW, POD = "uid-deployment", "uid-old", "uid-new", "uid-pod"
MESSAGE_SECONDS = 80


def stamp(ago: float = 0.0) -> str:
    """RFC 3339, as Kubernetes writes it."""
    return (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, uid: str, owner: str = "", **more: Any) -> Json:
    owners = [{"uid": owner, "controller": True, "kind": "ReplicaSet", "name": "x"}] if owner else []
    return {
        "name": name, "namespace": "omnicare-prod", "uid": uid, "resourceVersion": "1",
        "creationTimestamp": stamp(MESSAGE_SECONDS), "ownerReferences": owners, **more,
    }  # fmt: skip


def status_of(state: Json, *, restarts: int = 0, last: Json | None = None, name: str = "backend") -> Json:
    """One container's status."""
    return {
        "name": name, "image": "x", "imageID": "", "ready": False, "restartCount": restarts, "state": state,
        **({"lastState": {"terminated": last}} if last else {}),
    }  # fmt: skip


def pod(
    *statuses: Json,
    init: Sequence[Json] = (),
    phase: str = "Pending",
    conditions: Sequence[Json] = (),
    container: Mapping[str, Any] | None = None,
    uid: str = POD,
    owner: str = NEW,
    **spec: Any,
) -> Json:
    asked = {"name": "backend", "image": image("backend", "v2.0.0").reference, **(container or {})}
    return {
        "metadata": meta(f"backend-7c9f-{uid[-5:]}", uid, owner),
        "spec": {"containers": [asked], "nodeName": "node-1", **spec},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(init),
        },
    }


def unplaced(message: str, **spec: Any) -> Json:
    """A pod that the scheduler can't place."""
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[refused], nodeName="", **spec)


def event(reason: str, message: str, *, about: str = POD, kind: str = "Pod", name: str = "", path: str = "") -> Json:
    return {
        "metadata": meta(f"e-{reason}-{hash(message)}", f"uid-{reason}-{hash(message)}"),
        "type": "Warning", "reason": reason, "message": message, "count": 1, "lastTimestamp": stamp(5),
        "involvedObject": {
            "uid": about, "kind": kind, "name": name or f"backend-7c9f-{about[-5:]}", "fieldPath": path,
        },
    }  # fmt: skip


def change() -> ImageChange:
    return ImageChange(
        service="backend", namespace="omnicare-prod", deployment="backend", container="backend",
        before=image("backend", "v1.2.0"), after=image("backend", "v2.0.0"),
    )  # fmt: skip


def snapshot(
    *pods: Json, events: Sequence[Json] = (), refused: str = "", desired: int = 3, unavailable: str | int = "25%"
) -> Snapshot:
    """The rollout of the backend with these new pods."""
    asked = change()
    annotations = {"annotations": {"deployment.kubernetes.io/revision": "2"}}
    template = {"spec": {"containers": [{"name": "backend", "image": asked.after.reference}]}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": unavailable}}
    deployment = {
        "metadata": meta("backend", DEPLOYMENT, generation=2, **annotations),
        "spec": {"replicas": desired, "template": template, "strategy": rolling},
        "status": {"observedGeneration": 2, "replicas": desired},
    }
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused}
    new = {
        "metadata": meta("backend-7c9f", NEW, DEPLOYMENT, **annotations),
        "spec": {"replicas": 1, "template": template},
        "status": {"conditions": [{**condition, "lastTransitionTime": stamp(MESSAGE_SECONDS)}] if refused else []},
    }
    first = {"annotations": {"deployment.kubernetes.io/revision": "1"}}
    old = {"metadata": meta("backend-5b8d", OLD, DEPLOYMENT, **first), "spec": {"replicas": 3}, "status": {}}
    made = snapshot_of(
        asked,
        reading.deployment(deployment),
        [reading.replica_set(old), reading.replica_set(new)],
        [reading.pod(each) for each in pods],
        [cluster_events.event(each) for each in events],
    )
    return replace(made, at=NOW)
