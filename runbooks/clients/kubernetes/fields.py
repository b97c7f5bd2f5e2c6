"""Functions that return one field of Kubernetes' JSON with its expected type, or empty.

An API server ensures most types, but an aggregated or broken one may not, and a proxy in between can send anything. A view
is always created: one unreadable field does not hide the others.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks.kit.answers import read_stamp, read_time

Json = Mapping[str, Any]

_MOST = 1 << 31
"""Kubernetes counts in 32 bits."""
_MOST_GENERATIONS = 1 << 63
_SKEW = timedelta(minutes=1)
"""By how much the cluster's clock may be ahead."""


def fields(item: object, *path: str) -> Json:
    """Return the object at that path, or an empty one."""
    for name in path:
        item = item.get(name) if isinstance(item, Mapping) else None
    return item if isinstance(item, Mapping) else {}


def listed(item: Json, name: str) -> list[Json]:
    """Return the objects in that list, without other values."""
    found = item.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def text(item: Json, name: str, otherwise: str = "") -> str:
    """Return the text, or `otherwise` if it is not text."""
    found = item.get(name)
    return found if isinstance(found, str) and found else otherwise


def texts(item: Json, name: str) -> tuple[str, ...]:
    """Return the texts of that list."""
    found = item.get(name)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def mapped(item: Json, name: str) -> dict[str, str]:
    """Return the texts by key; a number (as a quantity may be written) is one."""
    found = item.get(name)
    if not isinstance(found, Mapping):
        return {}
    return {key: str(each) for key, each in found.items() if isinstance(each, str) or type(each) in (int, float)}


def count(item: Json, name: str, otherwise: int = 0) -> int:
    """Return the number, or `otherwise` if it is not a valid 32-bit count."""
    found = item.get(name)
    return found if type(found) is int and 0 <= found < _MOST else otherwise


def generation(item: Json, name: str) -> int:
    """Return a generation, which Kubernetes counts in 64 bits."""
    found = item.get(name)
    return found if type(found) is int and 0 <= found < _MOST_GENERATIONS else 0


def code(item: Json, name: str) -> int | None:
    """Return an exit code."""
    found = item.get(name)
    return found if type(found) is int and -_MOST <= found < _MOST else None


def past(item: Json, name: str) -> datetime | None:
    """Return the time, or None if it is none or has not come yet: who edits an object may write any time into `managedFields`, and the last one counts."""
    found = read_time(item.get(name))
    return found if found is not None and found <= datetime.now(UTC) + _SKEW else None


def stamp(item: Json, name: str) -> str:
    """Return the time as the server wrote it, or empty if it is not a time."""
    found = item.get(name)
    return found if isinstance(found, str) and read_time(found) is not None and read_stamp(found) else ""
