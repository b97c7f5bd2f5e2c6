"""What `kubectl get` prints: each kind's columns and the cells of one object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.cluster.clock import parse
from sandbox.cluster.controllers.owners import condition, is_leaving, is_ready
from sandbox.cluster.resources import (
    AS_WRITTEN,
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINTS,
    EVENT,
    JOB,
    LIMIT_RANGE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from sandbox.cluster.selectors import selector_text

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 86400 * 365
_SHOWN_ADDRESSES = 3
_WIDE = frozenset(
    [
        "Containers",
        "Images",
        "Selector",
        "IP",
        "Node",
        "Nominated-Node",
        "Readiness-Gates",
        "Subobject",
        "Source",
        "First-Seen",
        "Count",
        "Internal-IP",
        "External-IP",
        "OS-Image",
        "Kernel-Version",
        "Container-Runtime",
    ]
)
Cells = Callable[[Json, datetime], list[Any]]


def duration(seconds: float) -> str:
    """`45s`, `5m12s`, `3h20m`, `12d`: short, as kubectl writes ages."""
    whole = int(max(0.0, seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return f"{whole // _MINUTE}m{whole % _MINUTE}s" if whole % _MINUTE else f"{whole // _MINUTE}m"
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        minutes = whole % _HOUR // _MINUTE
        return f"{whole // _HOUR}h{minutes}m" if minutes else f"{whole // _HOUR}h"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        hours = whole % _DAY // _HOUR
        return f"{whole // _DAY}d{hours}h" if hours else f"{whole // _DAY}d"
    return f"{whole // _DAY}d" if whole < 2 * _YEAR else f"{whole // _YEAR}y"


def _since(stamp: str | None, now: datetime) -> str:
    return duration((now - parse(stamp)).total_seconds()) if stamp else "<unknown>"


def _age(obj: Json, now: datetime) -> str:
    return _since(obj["metadata"].get("creationTimestamp"), now)


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def _containers(spec: Json) -> tuple[str, str]:
    entries = spec.get("containers") or []
    return ",".join(str(entry["name"]) for entry in entries), ",".join(str(entry["image"]) for entry in entries)


def _initializing(pod: Json) -> str:
    """`Init:0/1`, `Init:CrashLoopBackOff`; empty once all init containers have ended well."""
    entries = pod["status"].get("initContainerStatuses") or []
    for number, entry in enumerate(entries):
        state = entry.get("state") or {}
        end = state.get("terminated")
        if end is not None and end["exitCode"] == 0:
            continue
        if end is not None:
            return f"Init:{end.get('reason') or 'ExitCode'}"
        reason = (state.get("waiting") or {}).get("reason", "PodInitializing")
        return f"Init:{reason}" if reason != "PodInitializing" else f"Init:{number}/{len(entries)}"
    return ""


def pod_status(pod: Json) -> str:
    """The one word for a pod: its phase, or why a container does not run."""
    reason = str(pod["status"].get("reason") or pod["status"].get("phase", "Unknown"))
    waiting = _initializing(pod)
    if waiting:
        return "Terminating" if is_leaving(pod) else waiting
    ready_running = False
    for entry in reversed(pod["status"].get("containerStatuses") or []):
        state = entry.get("state") or {}
        if "waiting" in state and state["waiting"].get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            end = state["terminated"]
            reason = end.get("reason") or f"ExitCode:{end['exitCode']}"
        elif entry.get("ready") and "running" in state:
            ready_running = True
    if reason == "Completed" and ready_running:
        reason = "Running" if is_ready(pod) else "NotReady"
    return "Terminating" if is_leaving(pod) else reason


def _pod(pod: Json, now: datetime) -> list[Any]:
    statuses = pod["status"].get("containerStatuses") or []
    ready = sum(1 for entry in statuses if entry.get("ready"))
    restarts = sum(int(entry.get("restartCount", 0)) for entry in statuses)
    ends = [((entry.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for entry in statuses]
    last = max((end for end in ends if end), default=None)
    shown = f"{restarts} ({_since(last, now)} ago)" if restarts and last else str(restarts)
    return [
        _name(pod),
        f"{ready}/{len(pod['spec']['containers'])}",
        pod_status(pod),
        shown,
        _age(pod, now),
        pod["status"].get("podIP", "<none>"),
        pod["spec"].get("nodeName", "<none>"),
        "<none>",
        "<none>",
    ]


def _deployment(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    return [
        _name(obj),
        f"{status.get('readyReplicas', 0)}/{spec['replicas']}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        names,
        images,
        selector_text(spec["selector"]),
    ]


def _replica_set(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    counts = [spec["replicas"], status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), names, images, selector_text(spec["selector"])]


def _job(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    word = "Complete" if condition(obj, "Complete") else "Failed" if condition(obj, "Failed") else "Running"
    start, end = status.get("startTime"), status.get("completionTime")
    lasted = duration(((parse(end) if end else now) - parse(start)).total_seconds()) if start else ""
    done = f"{status.get('succeeded', 0)}/{spec['completions']}"
    return [_name(obj), word, done, lasted, _age(obj, now), names, images, selector_text(spec["selector"])]


def _service(obj: Json, now: datetime) -> list[Any]:
    spec = obj["spec"]
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in spec.get("ports") or []) or "<none>"
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items())) or "<none>"
    return [_name(obj), spec["type"], spec.get("clusterIP", "<none>"), "<none>", ports, _age(obj, now), selector]


def _endpoints(obj: Json, now: datetime) -> list[Any]:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    more = len(found) - _SHOWN_ADDRESSES
    text = ",".join(found[:_SHOWN_ADDRESSES]) + (f" + {more} more..." if more > 0 else "")
    return [_name(obj), text or "<none>", _age(obj, now)]


def _event(obj: Json, now: datetime) -> list[Any]:
    about = obj["involvedObject"]
    first, series = obj.get("firstTimestamp") or obj.get("eventTime"), obj.get("series") or {}
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    source = obj.get("source") or {}
    by = source.get("component") or obj.get("reportingComponent"), source.get("host") or obj.get("reportingInstance")
    where = ", ".join(part for part in by if part)
    return [
        _since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(about['kind']).lower()}/{about['name']}",
        about.get("fieldPath", ""),
        where,
        str(obj.get("message", "")).strip(),
        _since(first, now),
        str(series.get("count") or obj.get("count") or 1),
        _name(obj),
    ]


def _node(obj: Json, now: datetime) -> list[Any]:
    info, addresses = obj["status"]["nodeInfo"], obj["status"]["addresses"]
    word = "Ready" if is_ready(obj) else "NotReady"
    if obj["spec"].get("unschedulable"):
        word += ",SchedulingDisabled"
    address = next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), "<none>")
    details = [info["osImage"], info["kernelVersion"], info["containerRuntimeVersion"]]
    return [_name(obj), word, "<none>", _age(obj, now), info["kubeletVersion"], address, "<none>", *details]


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _claim(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    capacity = (status.get("capacity") or {}).get("storage", "")
    modes = ",".join(_MODES.get(mode, mode) for mode in status.get("accessModes") or [])
    volume = spec.get("volumeName", "")
    return [
        _name(obj),
        status.get("phase", ""),
        volume,
        capacity,
        modes,
        spec.get("storageClassName", ""),
        _age(obj, now),
    ]


def _quota(obj: Json, now: datetime) -> list[Any]:
    status = obj.get("status") or {}
    have, hard = status.get("used") or {}, status.get("hard") or obj["spec"].get("hard") or {}
    parts = {name: f"{name}: {have.get(name, 0)}/{bound}" for name, bound in sorted(hard.items())}
    limits = [text for name, text in parts.items() if name.startswith("limits.")]
    requests = [text for name, text in parts.items() if not name.startswith("limits.")]
    return [_name(obj), _age(obj, now), ", ".join(requests), ", ".join(limits)]


def _autoscaler(obj: Json, now: datetime) -> list[Any]:
    target = obj["spec"].get("scaleTargetRef") or {}
    return [_name(obj), f"{target.get('kind')}/{target.get('name')}", _age(obj, now)]


def _plain(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), _age(obj, now)]


_TABLES: dict[Kind, tuple[str, Cells]] = {
    **dict.fromkeys(AS_WRITTEN, ("Name Age", _plain)),
    POD: ("Name Ready Status Restarts Age IP Node Nominated-Node Readiness-Gates", _pod),
    DEPLOYMENT: ("Name Ready Up-to-date Available Age Containers Images Selector", _deployment),
    REPLICA_SET: ("Name Desired Current Ready Age Containers Images Selector", _replica_set),
    JOB: ("Name Status Completions Duration Age Containers Images Selector", _job),
    SERVICE: ("Name Type Cluster-IP External-IP Port(s) Age Selector", _service),
    ENDPOINTS: ("Name Endpoints Age", _endpoints),
    EVENT: ("Last-Seen Type Reason Object Subobject Source Message First-Seen Count Name", _event),
    NODE: (
        "Name Status Roles Age Version Internal-IP External-IP OS-Image Kernel-Version Container-Runtime",
        _node,
    ),
    NAMESPACE: ("Name Status Age", lambda obj, now: [_name(obj), obj["status"]["phase"], _age(obj, now)]),
    CONFIG_MAP: ("Name Data Age", lambda obj, now: [_name(obj), len(obj.get("data") or {}), _age(obj, now)]),
    SECRET: (
        "Name Type Data Age",
        lambda obj, now: [_name(obj), obj["type"], len(obj.get("data") or {}), _age(obj, now)],
    ),
    PERSISTENT_VOLUME_CLAIM: ("Name Status Volume Capacity Access-Modes StorageClass Age", _claim),
    RESOURCE_QUOTA: ("Name Age Request Limit", _quota),
    LIMIT_RANGE: ("Name Created-At", lambda obj, _: [_name(obj), obj["metadata"].get("creationTimestamp", "")]),
    AUTOSCALER: ("Name Reference Age", _autoscaler),
    SERVICE_ACCOUNT: (
        "Name Secrets Age",
        lambda obj, now: [_name(obj), len(obj.get("secrets") or []), _age(obj, now)],
    ),
}
_HYPHENATED = {"Up-to-date", "Cluster-IP", "Internal-IP", "External-IP", "OS-Image", "Kernel-Version"}
_NUMBERS = {"Desired", "Current"}


def _columns(kind: Kind, names: list[str]) -> list[Json]:
    columns = []
    for name in names:
        hidden = name in _WIDE and not (kind == SERVICE and name == "External-IP")
        hidden = hidden or (kind == EVENT and name == "Name")
        title = name if name in _HYPHENATED or name == "Container-Runtime" else name.replace("-", " ")
        columns.append(
            {
                "name": title,
                "type": "integer" if name in _NUMBERS else "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": 1 if hidden else 0,
            }
        )
    return columns


def table(kind: Kind, objects: list[Json], now: datetime, *, include: str = "Metadata", heading: bool = True) -> Json:
    """A Table of some objects; `include` is how much of each object goes with its row."""
    names, cells = _TABLES[kind]
    rows = [{"cells": cells(obj, now), "object": _included(obj, include)} for obj in objects]
    answer: Json = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "rows": rows}
    answer["columnDefinitions"] = _columns(kind, names.split()) if heading else []
    return answer


def _included(obj: Json, include: str) -> Json | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
