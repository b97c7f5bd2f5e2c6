"""The patches that name no types: JSON patch (RFC 6902) and merge patch (RFC 7386)."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.cluster.errors import ApiError, bad_request, patch_refused
from sandbox.cluster.resources import Json

_OPERATIONS = {"add", "remove", "replace", "move", "copy", "test"}


def merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: Json, patch: Any) -> Json:
    """Apply every operation, or refuse them all."""
    if not isinstance(patch, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: Any = copy.deepcopy(target)
    for operation in patch:
        if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
            raise patch_refused()
        document = _operate(document, operation)
    if not isinstance(document, dict):
        raise patch_refused()
    return document


def _operate(document: Any, operation: Json) -> Any:
    op, path = operation["op"], _pointer(operation.get("path"))
    if op == "test":
        if _get(document, path, missing=None) != operation.get("value"):
            raise patch_refused()
        return document
    if op in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = copy.deepcopy(_get(document, source))
        if op == "move":
            document = _remove(document, source)
        return _add(document, path, value)
    if op == "remove":
        return _remove(document, path)
    value = copy.deepcopy(operation.get("value"))
    if op == "replace":
        _get(document, path)
        return _replace(document, path, value)
    return _add(document, path, value)


def _pointer(text: Any) -> list[str]:
    if text == "":
        return []
    if not isinstance(text, str) or not text.startswith("/"):
        raise patch_refused()
    return [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]


_REFUSE = object()


def _get(document: Any, path: list[str], missing: Any = _REFUSE) -> Any:
    value = document
    try:
        for step in path:
            value = value[_index(value, step)] if isinstance(value, list) else value[step]
    except (KeyError, IndexError, TypeError, ApiError):
        if missing is _REFUSE:
            raise patch_refused() from None
        return missing
    return value


def _index(value: list[Any], step: str) -> int:
    if not step.isdigit() or int(step) >= len(value):
        raise patch_refused()
    return int(step)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        at = len(parent) if last == "-" or last == str(len(parent)) else _index(parent, last)
        parent.insert(at, value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise patch_refused()
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    parent[_index(parent, last) if isinstance(parent, list) else last] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise patch_refused()
    _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[_index(parent, last) if isinstance(parent, list) else last]
    return document
