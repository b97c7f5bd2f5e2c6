"""Label and field selectors: the query strings of the API, and the selector objects inside specifications."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sandbox.cluster.errors import bad_request
from sandbox.cluster.resources import EVENT, Json, Kind

Labels = Mapping[str, str]
Match = Callable[[Json], bool]

_SET = re.compile(r"^(?P<key>[\w./-]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)$")
_BARE = re.compile(r"^(?P<not>!?)\s*(?P<key>[\w./-]+)$")
_COMMAS = re.compile(r",(?![^(]*\))")

_FIELDS_OF_ALL = {"metadata.name", "metadata.namespace"}
_FIELDS = {
    "Pod": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
    "Event": {
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    },
    "Node": {"spec.unschedulable"},
    "Namespace": {"status.phase"},
    "Secret": {"type"},
    "ReplicaSet": {"status.replicas"},
    "Job": {"status.successful"},
}


def labels_of(obj: Json) -> Labels:
    return obj["metadata"].get("labels") or {}


def label_match(text: str) -> Match | None:
    """A selector string as a predicate over objects; None where everything matches."""
    tests = [_requirement(part.strip()) for part in _COMMAS.split(text) if part.strip()]
    if not tests:
        return None
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def _requirement(part: str) -> Callable[[Labels], bool]:
    if found := _SET.match(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _BARE.match(part):
        key = found["key"]
        return (lambda labels: key not in labels) if found["not"] else (lambda labels: key in labels)
    msg = f"unable to parse requirement: {part!r}"
    raise bad_request(msg)


def field_match(kind: Kind, text: str) -> Match | None:
    tests = [_field(kind, part.strip()) for part in text.split(",") if part.strip()]
    if not tests:
        return None
    return lambda obj: all(test(obj) for test in tests)


def _field(kind: Kind, part: str) -> Match:
    found = re.match(r"^([\w.]+)(==|=|!=)(.*)$", part)
    if not found:
        raise bad_request(f"invalid selector: {part!r}; can't understand {part!r}")
    path, op, value = found[1], found[2], found[3]
    if path not in _FIELDS_OF_ALL | _FIELDS.get(kind.name, set()):
        raise bad_request(f"field label not supported: {path}")
    if op == "!=":
        return lambda obj: _at(kind, obj, path) != value
    return lambda obj: _at(kind, obj, path) == value


def _at(kind: Kind, obj: Json, path: str) -> str:
    if kind == EVENT and path == "source":
        path = "source.component"
    value: object = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def selects(selector: Json | None, labels: Labels) -> bool:
    """Whether a `LabelSelector` object selects these labels; an empty one selects nothing here, as for workloads."""
    if not selector:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or [])


def _expression(entry: Json, labels: Labels) -> bool:
    key, op, values = entry["key"], entry["operator"], entry.get("values") or []
    if op == "In":
        return bool(labels.get(key) in values)
    if op == "NotIn":
        return bool(labels.get(key) not in values)
    return bool((key in labels) == (op == "Exists"))


def selector_text(selector: Json | None) -> str:
    """A selector as tables print it: `app=backend,tier in (a,b)`."""
    selector = selector or {}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or []:
        op, values = entry["operator"], ",".join(entry.get("values") or [])
        if op in ("In", "NotIn"):
            parts.append(f"{entry['key']} {op.lower()} ({values})")
        else:
            parts.append(f"{'' if op == 'Exists' else '!'}{entry['key']}")
    return ",".join(parts) or "<none>"
