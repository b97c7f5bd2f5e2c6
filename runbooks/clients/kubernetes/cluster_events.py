"""A Kubernetes event as a typed value, from every form in which events give their time and count.

There are three: the old form (`count`, `lastTimestamp`), the new one of a single event (`eventTime` alone, as the scheduler writes
it), and the new one that was repeated (`series`). The API shows each of them as core/v1 or as events.k8s.io/v1, where the old fields
are called `deprecated…`. Anybody may write events, so unreadable fields are unknown and never an error.
"""

from datetime import UTC, datetime

from runbooks.clients.kubernetes.fields import Json, count, fields, text
from runbooks.clients.kubernetes.views import EventView, Seen

LISTED: Seen[EventView] = Seen("synced")
"""What a watch of events yields once they are listed."""
_YEARS = range(1970, 9999)
"""Kubernetes writes year 1 for a time that is not set; the calendar's last year overflows in other time zones."""


def event(item: Json) -> EventView:
    """Return the event, whichever API and form it is in."""
    meta, about = fields(item, "metadata"), fields(item, "involvedObject") or fields(item, "regarding")
    return EventView(
        namespace=text(meta, "namespace"),
        name=text(meta, "name"),
        uid=text(meta, "uid"),
        resource_version=text(meta, "resourceVersion"),
        type=text(item, "type"),
        reason=text(item, "reason"),
        message=text(item, "message") or text(item, "note"),
        count=_count(item),
        at=_last(item),
        first=_first(item),
        about=text(about, "uid"),
        about_kind=text(about, "kind"),
        about_name=text(about, "name"),
        container=_container(text(about, "fieldPath")),
    )


def _count(item: Json) -> int:
    """Return how often it happened: the largest count in any of the forms."""
    return max(count(item, "count"), count(item, "deprecatedCount"), count(fields(item, "series"), "count")) or 1


def _last(item: Json) -> datetime | None:
    """Return when it was last seen: the latest time in any of the forms, or the event's creation time."""
    stamps = (
        fields(item, "series").get("lastObservedTime"), item.get("lastTimestamp"), item.get("deprecatedLastTimestamp"),
        item.get("eventTime"), item.get("firstTimestamp"), item.get("deprecatedFirstTimestamp"),
    )  # fmt: skip
    given = [at for at in map(_moment, stamps) if at is not None]
    return max(given, default=_moment(fields(item, "metadata").get("creationTimestamp")))


def _first(item: Json) -> datetime | None:
    """Return when it was first seen: the earliest time in any of the forms, or the event's creation time."""
    stamps = (item.get("firstTimestamp"), item.get("deprecatedFirstTimestamp"), item.get("eventTime"))
    given = [at for at in map(_moment, stamps) if at is not None]
    return min(given, default=_moment(fields(item, "metadata").get("creationTimestamp")))


def _moment(stamp: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    if at is None or at.year not in _YEARS:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _container(path: str) -> str:
    """`spec.containers{backend}` → `backend`."""
    return path.partition("{")[2].removesuffix("}") if path.endswith("}") else ""
