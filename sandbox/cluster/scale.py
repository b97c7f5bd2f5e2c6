"""The scale subresource of Deployments and ReplicaSets, as `kubectl scale` and autoscalers use it."""

from __future__ import annotations

from typing import Any

from sandbox.cluster.errors import Cause, invalid
from sandbox.cluster.resources import Json, Kind
from sandbox.cluster.selectors import selector_text


def scale_of(obj: Json) -> Json:
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept},
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": selector_text(obj["spec"].get("selector")),
        },
    }


def scaled(kind: Kind, obj: Json, scale: Json) -> Json:
    """The object with the replicas that a Scale asks for, under the version that it saw."""
    replicas: Any = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        cause = Cause("spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0")
        raise invalid(kind, obj["metadata"]["name"], [cause])
    version = (scale.get("metadata") or {}).get("resourceVersion") or obj["metadata"]["resourceVersion"]
    metadata = {**obj["metadata"], "resourceVersion": version}
    return {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}
