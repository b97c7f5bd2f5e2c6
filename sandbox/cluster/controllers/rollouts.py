"""The arithmetic of a rollout: how many pods may come and go, and what a Deployment's status says about it.

Pure functions over a Deployment and its ReplicaSets; `deployments.py` does what they say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from sandbox.cluster.resources import Json

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
NOT_COPIED = {REVISION, HISTORY, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}


def _share(value: Any, whole: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * whole
        return math.ceil(exact / 100) if up else exact // 100
    return int(value)


def is_rolling(deployment: Json) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def fenceposts(deployment: Json) -> tuple[int, int]:
    """(surge, unavailable): surge is rounded up, unavailable down; both zero would never move, so one may go."""
    wanted = deployment["spec"]["replicas"]
    if not is_rolling(deployment):
        return 0, 0
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def revision_of(obj: Json) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def same_template(left: Json, right: Json) -> bool:
    return _without_hash(left) == _without_hash(right)


def _without_hash(template: Json) -> Json:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {key: value for key, value in metadata.items() if value}}


def asked(sets: Iterable[Json]) -> int:
    return sum(entry["spec"]["replicas"] for entry in sets)


def counted(sets: Iterable[Json], name: str) -> int:
    return sum((entry.get("status") or {}).get(name, 0) for entry in sets)


def new_size(deployment: Json, new: Json | None, everything: list[Json]) -> int:
    """How large the new ReplicaSet may be now."""
    wanted = int(deployment["spec"]["replicas"])
    size = int(new["spec"]["replicas"]) if new else 0
    if not is_rolling(deployment):
        return wanted
    room = wanted + fenceposts(deployment)[0] - asked(everything)
    return size + min(room, wanted - size) if room > 0 else size


def old_sizes(deployment: Json, new: Json, old: list[Json]) -> dict[str, int]:
    """Which old ReplicaSets shrink now, and to what: first what is not available anyway, then what may be missed."""
    sizes = {entry["metadata"]["name"]: int(entry["spec"]["replicas"]) for entry in old}
    everything = [*old, new]
    least = deployment["spec"]["replicas"] - fenceposts(deployment)[1]
    unready = new["spec"]["replicas"] - counted([new], "availableReplicas")
    spare = asked(everything) - least - unready
    if asked(old) == 0 or spare <= 0:
        return {}
    by_age = sorted(old, key=lambda entry: (entry["metadata"]["creationTimestamp"], entry["metadata"]["name"]))
    shrunk = dict(sizes)
    for entry in by_age:
        name = entry["metadata"]["name"]
        gone = min(spare, max(0, sizes[name] - counted([entry], "availableReplicas")))
        shrunk[name] -= gone
        spare -= gone
    missable = counted(everything, "availableReplicas") - least
    for entry in by_age:
        name = entry["metadata"]["name"]
        gone = min(shrunk[name], max(0, missable))
        shrunk[name] -= gone
        missable -= gone
    return {name: size for name, size in shrunk.items() if size != sizes[name]}


def proportional(deployment: Json, sets: list[Json]) -> dict[str, int]:
    """A Deployment that is scaled in the middle of a rollout: every active ReplicaSet gets its share."""
    active = [entry for entry in sets if entry["spec"]["replicas"] > 0]
    wanted = deployment["spec"]["replicas"]
    allowed = wanted + fenceposts(deployment)[0] if wanted else 0
    total = asked(active)
    if not active or not total:
        return {}
    ordered = sorted(active, key=lambda entry: (-entry["spec"]["replicas"], entry["metadata"]["creationTimestamp"]))
    sizes = {entry["metadata"]["name"]: round(entry["spec"]["replicas"] * allowed / total) for entry in ordered}
    first = ordered[0]["metadata"]["name"]
    sizes[first] = max(0, sizes[first] + allowed - sum(sizes.values()))
    return sizes


def status_counts(deployment: Json, new: Json | None, everything: list[Json]) -> Json:
    """The counts of a Deployment's status; zeros are left out, as the real server leaves them out."""
    total, available = counted(everything, "replicas"), counted(everything, "availableReplicas")
    counts = {
        "replicas": total,
        "updatedReplicas": counted([new], "replicas") if new else 0,
        "readyReplicas": counted(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, asked(everything) - available),
    }
    status = {name: count for name, count in counts.items() if count}
    return {"observedGeneration": deployment["metadata"]["generation"], **status}


def is_complete(deployment: Json, status: Json) -> bool:
    wanted = deployment["spec"]["replicas"]
    return all(status.get(name, 0) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))


def has_progressed(before: Json, status: Json) -> bool:
    def old_pods(counts: Json) -> int:
        return int(counts.get("replicas", 0)) - int(counts.get("updatedReplicas", 0))

    return old_pods(status) < old_pods(before) or any(
        status.get(name, 0) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
