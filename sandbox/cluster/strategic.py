"""Strategic merge patch: a merge patch that knows which lists are maps (what `kubectl set image` sends).

Directives: `$patch` (delete, replace, merge), `$deleteFromPrimitiveList/…`, `$retainKeys`, `$setElementOrder/…`.
"""

from __future__ import annotations

import copy
from typing import Any

from sandbox.cluster.errors import bad_request
from sandbox.cluster.merge_keys import Path, is_set, merge_key
from sandbox.cluster.resources import Json

_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merge(target: Json, patch: Any) -> Json:
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a strategic merge patch is an object")
    return _merge(target, patch, ())


def _merge(target: Json, patch: Json, path: Path) -> Json:
    directive = patch.get("$patch")
    if directive == "replace":
        replaced: Json = _plain(patch)
        return replaced
    if directive == "delete":
        return {}
    merged = dict(target)
    if "$retainKeys" in patch:
        merged = {key: value for key, value in merged.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            merged[name] = [entry for entry in merged.get(name) or [] if entry not in value]
        elif not key.startswith("$"):
            _merge_field(merged, key, value, (*path, key))
    for key, value in patch.items():
        if key.startswith(_ORDER):
            _order(merged, key.removeprefix(_ORDER), value, path)
    return merged


def _merge_field(merged: Json, key: str, value: Any, path: Path) -> None:
    old = merged.get(key)
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        merged[key] = _merge(old if isinstance(old, dict) else {}, value, path)
    elif isinstance(value, list):
        merged[key] = _merge_list(old if isinstance(old, list) else [], value, path)
    else:
        merged[key] = value


def _merge_list(old: list[Any], patch: list[Any], path: Path) -> list[Any]:
    if is_set(path):
        return [*old, *(entry for entry in patch if entry not in old)]
    key = merge_key(path)
    if key is None:
        return _plain_list(patch)
    if any(isinstance(entry, dict) and entry.get("$patch") == "replace" for entry in patch):
        return _plain_list([entry for entry in patch if entry.get("$patch") != "replace"])
    merged = list(old)
    for entry in patch:
        if not isinstance(entry, dict) or key not in entry:
            raise bad_request(f"map: {entry} does not contain declared merge key: {key}")
        at = next((at for at, have in enumerate(merged) if have.get(key) == entry[key]), None)
        if entry.get("$patch") == "delete":
            merged = [have for have in merged if have.get(key) != entry[key]]
        elif at is None:
            merged.append(_merge({}, entry, path))
        else:
            merged[at] = _merge(merged[at], entry, path)
    return merged


def _order(merged: Json, name: str, order: list[Any], path: Path) -> None:
    """Entries that the order names come in that order; the others keep their place after what stood before them."""
    entries = merged.get(name)
    if not isinstance(entries, list):
        return
    key = merge_key((*path, name))
    wanted = [entry.get(key) if key and isinstance(entry, dict) else entry for entry in order]

    def rank(entry: Any) -> int:
        value = entry.get(key) if key and isinstance(entry, dict) else entry
        return wanted.index(value) if value in wanted else len(wanted)

    merged[name] = sorted(entries, key=rank)


def _plain_list(value: list[Any]) -> list[Any]:
    return [_plain(inner) for inner in value]


def _plain(value: Any) -> Any:
    """A copy without directives, for what is taken over as it is."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if not key.startswith("$") and inner is not None}
    if isinstance(value, list):
        return _plain_list(value)
    return copy.deepcopy(value)
