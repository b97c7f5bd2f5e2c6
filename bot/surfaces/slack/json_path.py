"""Typed reading of JSON that came from Slack: what is missing or of another type than expected counts as not there."""

from collections.abc import Mapping


def at(value: object, *path: str) -> object:
    """Return what stands at the path; None where something on the way is missing or is no object."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_at(value: object, *path: str) -> str | None:
    """Return the text at the path; None where there is none or it is empty."""
    found = at(value, *path)
    return found if isinstance(found, str) and found else None


def list_at(value: object, *path: str) -> list[object]:
    """Return the items at the path; empty where there is no list."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def object_at(value: object, *path: str) -> Mapping[str, object]:
    """Return the object at the path; empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}
