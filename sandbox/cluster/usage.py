"""What the metrics API says: CPU and memory of pods and nodes, invented from what the pods request, steady within a minute."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from sandbox.cluster.api import Api
from sandbox.cluster.clock import stamp
from sandbox.cluster.quantities import quantity
from sandbox.cluster.resources import NODE, POD, POD_METRICS, Json, Kind

_WINDOW = 15.0
_OWN = (0.35, 2.0 * 2**30)
"""Cores and bytes that a node itself needs."""
_REQUESTS = (0.05, 64.0 * 2**20)
"""Of a container that requests nothing."""


def usage_of(api: Api, kind: Kind, namespace: str) -> Iterator[Json]:
    """Yield the metrics of each running pod, or of each node."""
    now = api.clock.now()
    pods = [pod for pod in api.list(POD, namespace) if pod.get("status", {}).get("phase") == "Running"]
    if kind == POD_METRICS:
        for pod in pods:
            parts = [{"name": name, "usage": _written(*used)} for name, used in _containers(pod, now)]
            yield {**_head(kind, pod, now), "containers": parts}
        return
    for node in api.list(NODE):
        here = [pod for pod in pods if pod["spec"].get("nodeName") == node["metadata"]["name"]]
        used = [_OWN, *(each for pod in here for _, each in _containers(pod, now))]
        yield {**_head(kind, node, now), "usage": _written(sum(cpu for cpu, _ in used), sum(size for _, size in used))}


def _containers(pod: Json, now: datetime) -> Iterator[tuple[str, tuple[float, float]]]:
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        cpu = quantity(requests.get("cpu", 0)) or _REQUESTS[0]
        memory = quantity(requests.get("memory", 0)) or _REQUESTS[1]
        most = quantity(limits.get("memory", 0)) or memory * 4
        about = f"{pod['metadata']['uid']}/{container['name']}"
        swing = _share(f"{about}/{now:%H:%M}")
        # never so much that a pod, or a node whose CPU is requested in full, comes near a limit by chance
        yield container["name"], (cpu * (0.3 + 0.4 * swing), most * (0.35 + 0.2 * _share(about) + 0.02 * swing))


def _share(seed: str) -> float:
    """Return a number from 0 to 1 that is always the same for the same text."""
    return hashlib.sha256(seed.encode()).digest()[0] / 255


def _written(cpu: float, memory: float) -> Json:
    """Return both as metrics-server writes them."""
    return {"cpu": f"{cpu * 1e9:.0f}n", "memory": f"{memory / 1024:.0f}Ki"}


def _head(kind: Kind, of: Json, now: datetime) -> Json:
    metadata = {key: of["metadata"][key] for key in ("name", "namespace", "labels") if key in of["metadata"]}
    return {
        "kind": kind.name,
        "apiVersion": kind.api_version,
        "metadata": {**metadata, "creationTimestamp": stamp(now)},
        "timestamp": stamp(now),
        "window": f"{_WINDOW:g}s",
    }
