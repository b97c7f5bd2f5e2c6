"""Managed fields: who set which field, by what operation and when (FieldsV1).

It is how anybody can tell afterwards who changed an image by hand. A set of fields is a set of paths; a path is a
tuple of steps as FieldsV1 writes them: `f:name`, `k:{"name":"backend"}`, `v:"x"`, and `.` for a container itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sandbox.cluster.merge_keys import Path, identity, is_set, keys_of
from sandbox.cluster.resources import Json

Steps = tuple[str, ...]
Fields = dict[Steps, Any]

_NOT_MANAGED = {
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "selfLink",
}
_ATOMIC = {("spec", "selector"), ("subsets",)}


@dataclass(frozen=True)
class Writer:
    """Who writes: the manager's name, the operation, and the subresource where there is one."""

    manager: str
    operation: str = "Update"
    subresource: str = ""


def fields_of(obj: Json) -> Fields:
    """Each managed field of an object with its value; a container that is itself owned ends in `.`."""
    return _fields_in(_parts(obj))


def _parts(obj: Json) -> Json:
    """What of an object is managed, by its first key: metadata, spec, status."""
    parts = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    if "metadata" in parts:
        parts["metadata"] = {name: inner for name, inner in parts["metadata"].items() if name not in _NOT_MANAGED}
    return parts


def _fields_in(parts: Json) -> Fields:
    found: Fields = {}
    for key, value in parts.items():
        _walk(value, (key,), (f"f:{key}",), found, top=True)
    return found


def _walk(value: Any, path: Path, steps: Steps, found: Fields, *, top: bool = False) -> None:
    """Put each field at and below `value` into `found`."""
    if isinstance(value, dict) and value and path not in _ATOMIC and not _is_deployment_selector(path):
        if not top:
            found[*steps, "."] = None
        for key, inner in value.items():
            _walk(inner, (*path, key), (*steps, f"f:{key}"), found)
    elif isinstance(value, list) and value and keys_of(path) and all(isinstance(entry, dict) for entry in value):
        found[*steps, "."] = None
        for entry in value:
            _walk(entry, path, (*steps, _entry_step(identity(path, entry))), found)
    elif isinstance(value, list) and is_set(path):
        found[*steps, "."] = None
        for entry in value:
            found[*steps, "v:" + json.dumps(entry)] = entry
    elif not (top and not value):
        found[steps] = value


@lru_cache(maxsize=1024)
def _entry_step(keys: tuple[tuple[str, object], ...]) -> str:
    """The step to an entry of a list. Each update walks the same few entries again, so it is kept."""
    return "k:" + json.dumps(dict(keys), separators=(",", ":"))


def _is_deployment_selector(path: Path) -> bool:
    return path[-1] == "selector" and path[0] == "spec"


def as_tree(steps: set[Steps]) -> Json:
    """FieldsV1: the same set as nested objects."""
    tree: Json = {}
    for path in sorted(steps):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def from_tree(tree: Json) -> set[Steps]:
    found: set[Steps] = set()

    def walk(node: Json, path: Steps) -> None:
        for step, inner in node.items():
            if inner:
                walk(inner, (*path, step))
            else:
                found.add((*path, step))

    walk(tree, ())
    return found


def entry_of(metadata: Json, writer: Writer, api_version: str) -> Json | None:
    return next((entry for entry in metadata.get("managedFields") or [] if _is_of(entry, writer, api_version)), None)


def _is_of(entry: Json, writer: Writer, api_version: str) -> bool:
    return (
        entry.get("manager") == writer.manager
        and entry.get("operation") == writer.operation
        and entry.get("subresource", "") == writer.subresource
        and entry.get("apiVersion") == api_version
    )


def own_changes(old: Json | None, new: Json, writer: Writer, now: str) -> list[Json]:
    """The managed fields after `writer` made `new` of `old` by an update.

    Most updates change one part of the object (its status), so the others are compared as a whole and not looked into.
    """
    parts, former = _parts(new), _parts(old) if old else {}
    same = {key for key, value in parts.items() if key in former and former[key] == value}
    before = _fields_in({key: value for key, value in former.items() if key not in same})
    after = _fields_in({key: value for key, value in parts.items() if key not in same})
    touched = {steps for steps, value in after.items() if steps not in before or before[steps] != value}
    return _entries(new, touched, after, frozenset(f"f:{key}" for key in same), writer, now)


def own_applied(old: Json | None, new: Json, applied: set[Steps], writer: Writer, now: str) -> list[Json]:
    """The managed fields after `writer` applied a configuration that names exactly the fields `applied`."""
    before, after = fields_of(old) if old else {}, fields_of(new)
    moved = {steps for steps in applied if steps in after and after[steps] != before.get(steps)}
    kept = []
    for entry in (old or {"metadata": {}})["metadata"].get("managedFields") or []:
        if _is_of(entry, writer, new["apiVersion"]):
            continue
        have = (from_tree(entry["fieldsV1"]) & set(after)) - moved
        if have:
            kept.append({**entry, "fieldsV1": as_tree(have)})
    return [*kept, _entry(new, applied & set(after), writer, now)]


def _entries(
    new: Json, touched: set[Steps], present: Fields, same: frozenset[str], writer: Writer, now: str
) -> list[Json]:
    """`present`: the fields in the parts that changed. `same`: the first steps of the parts that did not."""
    entries, mine = [], set(touched)
    moved = {steps for steps in touched if steps[-1] != "."}
    for entry in new["metadata"].get("managedFields") or []:
        own = _is_of(entry, writer, new["apiVersion"])
        if same.issuperset(entry["fieldsV1"]) and not (own and touched):
            entries.append(entry)  # all of its fields are as they were
            continue
        have = from_tree(entry["fieldsV1"])
        left = {steps for steps in have if steps[0] in same or steps in present}
        if own and (touched or left != have):
            mine |= left
        elif left := left if own else left - moved:
            entries.append(entry if left == have else {**entry, "fieldsV1": as_tree(left)})
    if mine:
        entries.append(_entry(new, mine, writer, now))
    return entries


def _entry(obj: Json, steps: set[Steps], writer: Writer, now: str) -> Json:
    entry: Json = {"manager": writer.manager, "operation": writer.operation, "apiVersion": obj["apiVersion"]}
    entry.update(time=now, fieldsType="FieldsV1", fieldsV1=as_tree(steps))
    if writer.subresource:
        entry["subresource"] = writer.subresource
    return entry
