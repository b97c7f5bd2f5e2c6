"""Server-side apply: each manager owns the fields that its configuration names; another's field is a conflict."""

from __future__ import annotations

import copy
import json
from typing import Any

from sandbox.cluster.errors import ApiError
from sandbox.cluster.fields import Fields, Steps, Writer, entry_of, fields_of, from_tree
from sandbox.cluster.merge_keys import Path, identity, is_set, keys_of
from sandbox.cluster.resources import Json


def apply_configuration(live: Json, config: Json, writer: Writer, *, force: bool) -> tuple[Json, set[Steps]]:
    """The merged object, and the fields that the configuration names."""
    wanted = fields_of(config)
    if not force:
        _refuse_conflicts(live, wanted, writer)
    mine = entry_of(live["metadata"], writer, config["apiVersion"])
    others = _owned_by_others(live, writer, config["apiVersion"])
    merged: Json = _merge(live, config, ())
    dropped = (from_tree(mine["fieldsV1"]) if mine else set()) - set(wanted) - others
    for steps in sorted(dropped, key=len, reverse=True):
        _drop(merged, steps, others)
    return merged, set(wanted)


def _owned_by_others(live: Json, writer: Writer, api_version: str) -> set[Steps]:
    mine = entry_of(live["metadata"], writer, api_version)
    entries = [entry for entry in live["metadata"].get("managedFields") or [] if entry is not mine]
    return set().union(*(from_tree(entry["fieldsV1"]) for entry in entries))


def _refuse_conflicts(live: Json, wanted: Fields, writer: Writer) -> None:
    have = fields_of(live)
    changed = {steps for steps, value in wanted.items() if steps[-1] != "." and steps in have and have[steps] != value}
    causes: list[Json] = []
    for entry in live["metadata"].get("managedFields") or []:
        if entry["manager"] == writer.manager and entry["operation"] == "Apply":
            continue
        causes += [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{entry["manager"]}"{_using(entry)}',
                "field": _dotted(steps),
            }
            for steps in sorted(changed & from_tree(entry["fieldsV1"]))
        ]
    if causes:
        raise ApiError(409, "Conflict", _conflict_text(causes), {"causes": causes})


def _using(entry: Json) -> str:
    return f" using {entry['apiVersion']}" if entry["operation"] == "Update" else ""


def _conflict_text(causes: list[Json]) -> str:
    if len(causes) == 1:
        return f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    fields: dict[str, list[str]] = {}
    for cause in causes:
        fields.setdefault(cause["message"], []).append(cause["field"])
    told = (
        f"{who.replace('conflict', 'conflicts', 1)}:" + "".join(f"\n- {each}" for each in of_it)
        for who, of_it in sorted(fields.items())
    )
    return f"Apply failed with {len(causes)} conflicts: " + "\n".join(told)


def _dotted(steps: Steps) -> str:
    text = ""
    for step in steps:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
        else:
            text += f"[{rest}]"
    return text


def _merge(live: Any, config: Any, path: Path) -> Any:
    if isinstance(config, dict):
        merged = dict(live) if isinstance(live, dict) else {}
        for key, value in config.items():
            if value is not None:
                merged[key] = _merge(merged.get(key), value, (*path, key))
        return merged
    if isinstance(config, list) and isinstance(live, list):
        if is_set(path):
            return [*live, *(entry for entry in config if entry not in live)]
        if keys_of(path) and all(isinstance(entry, dict) for entry in config):
            return _merge_list(live, config, path)
    return copy.deepcopy(config)


def _merge_list(live: list[Json], config: list[Json], path: Path) -> list[Json]:
    by_identity = {identity(path, entry): entry for entry in live}
    for entry in config:
        key = identity(path, entry)
        by_identity[key] = _merge(by_identity.get(key), entry, path)
    return list(by_identity.values())


def _drop(obj: Json, steps: Steps, others: set[Steps]) -> None:
    """Remove a field that nobody wants any more; an entry of a list goes with its `.`."""
    if steps[-1] == ".":
        steps = steps[:-1]
        if any(owned[: len(steps)] == steps for owned in others):
            return
        if steps[-1][0] != "k" and _find(obj, steps) not in ({}, []):
            return
    parent = _find(obj, steps[:-1])
    kind, _, rest = steps[-1].partition(":")
    if kind == "f" and isinstance(parent, dict):
        parent.pop(rest, None)
    elif isinstance(parent, list):
        for entry in [entry for entry in parent if _is(entry, kind, rest)]:
            parent.remove(entry)


def _find(obj: Any, steps: Steps) -> Any:
    """The value at a path; containers on the way are copied first, since stored objects stay as they are."""
    for step in steps:
        kind, _, rest = step.partition(":")
        if kind == "f" and isinstance(obj, dict) and rest in obj:
            obj[rest] = copy.copy(obj[rest])
            obj = obj[rest]
        elif kind == "k" and isinstance(obj, list):
            at = next((at for at, entry in enumerate(obj) if _is(entry, kind, rest)), None)
            if at is None:
                return None
            obj[at] = copy.copy(obj[at])
            obj = obj[at]
        else:
            return None
    return obj


def _is(entry: Any, kind: str, rest: str) -> bool:
    wanted = json.loads(rest)
    if kind == "v":
        return bool(entry == wanted)
    default = {"protocol": "TCP"}
    return isinstance(entry, dict) and all(entry.get(key, default.get(key)) == value for key, value in wanted.items())
