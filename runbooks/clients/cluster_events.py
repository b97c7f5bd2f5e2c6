"""An event of Kubernetes as a typed value, in every form in which one gives its time and its count.

There are three: the old form (`count`, `lastTimestamp`), the new one of a single event (`eventTime` alone, as the scheduler writes
it), and the new one that was repeated (`series`). The API shows each of them as core/v1 or as events.k8s.io/v1, where the old fields
are called `deprecated…`. Events may be written by anybody, so what can't be read is unknown and never an error.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from runbooks.clients.cluster_views import EventView

Json = Mapping[str, Any]

_YEARS = range(1970, 9999)
"""Kubernetes writes the year 1 for a time that is not set; the calendar's last year falls off it in another zone."""
_MOST = 1 << 31
"""Kubernetes counts in 32 bits."""


def event(item: Json) -> EventView:
    """Return the event, whichever API and form it is in."""
    meta, about = _fields(item, "metadata"), _fields(item, "involvedObject") or _fields(item, "regarding")
    return EventView(
        namespace=_text(meta, "namespace"),
        name=_text(meta, "name"),
        uid=_text(meta, "uid"),
        resource_version=_text(meta, "resourceVersion"),
        type=_text(item, "type"),
        reason=_text(item, "reason"),
        message=_text(item, "message") or _text(item, "note"),
        count=_count(item),
        at=_last(item),
        about=_text(about, "uid"),
        about_kind=_text(about, "kind"),
        about_name=_text(about, "name"),
        container=_container(_text(about, "fieldPath")),
    )


def _count(item: Json) -> int:
    """How often it happened: the largest count that any of the forms gives."""
    given = (item.get("count"), item.get("deprecatedCount"), _fields(item, "series").get("count"))
    return max((each for each in given if type(each) is int and 0 < each < _MOST), default=1)


def _last(item: Json) -> datetime | None:
    """When it was last seen: the latest time that any of the forms gives, else when the event itself was created."""
    stamps = (
        _fields(item, "series").get("lastObservedTime"), item.get("lastTimestamp"), item.get("deprecatedLastTimestamp"),
        item.get("eventTime"), item.get("firstTimestamp"), item.get("deprecatedFirstTimestamp"),
    )  # fmt: skip
    given = [at for at in map(_moment, stamps) if at is not None]
    return max(given, default=_moment(_fields(item, "metadata").get("creationTimestamp")))


def _moment(stamp: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    if at is None or at.year not in _YEARS:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _fields(item: Json, name: str) -> Json:
    found = item.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(item: Json, name: str) -> str:
    found = item.get(name)
    return found if isinstance(found, str) else ""


def _container(path: str) -> str:
    """`spec.containers{backend}` → `backend`."""
    return path.partition("{")[2].removesuffix("}") if path.endswith("}") else ""
