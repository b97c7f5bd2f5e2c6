"""The cluster's events of an environment's services, grouped: a hundred times the same message is one line with its count."""

from collections.abc import Sequence
from datetime import UTC, datetime

from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_views import EventView
from runbooks.kit.redaction import default_redactor
from runbooks.kit.targets import Environment, Frozen

_LONGEST = 300


class EventGroup(Frozen):
    """Events that say the same of objects of one kind."""

    warning: bool
    reason: str
    kind: str
    """Pod, ReplicaSet, Deployment …"""
    about: tuple[str, ...]
    """The objects' names, the one of the newest event first."""
    message: str
    """Of the newest."""
    count: int
    last: datetime


async def told(
    cluster: ClusterClient, environment: Environment, service: str | None, *, since: datetime
) -> list[EventGroup]:
    """What was told since then of one service or of all: warnings first, then the newest first."""
    return of_service(await cluster.events(environment.namespace), environment, service, since=since)


def of_service(
    found: Sequence[EventView], environment: Environment, service: str | None, *, since: datetime
) -> list[EventGroup]:
    """The same, of the namespace's events."""
    known = [each.deployment for each in environment.services]
    wanted = {each.deployment for each in environment.services if service in (None, each.name)}
    events = [
        (event, at)
        for event in found
        if (at := _moment(event.at)) is not None and at >= since and _deployment_of(event, known) in wanted
    ]
    return _grouped(events)


def grouped(found: Sequence[EventView]) -> list[EventGroup]:
    """All of these, in the same order."""
    return _grouped([(event, at) for event in found if (at := _moment(event.at)) is not None])


def _grouped(events: Sequence[tuple[EventView, datetime]]) -> list[EventGroup]:
    groups: dict[tuple[str, str, str, str], list[tuple[EventView, datetime]]] = {}
    for event, at in sorted(events, key=lambda pair: pair[1], reverse=True):
        shape = event.message.replace(event.about_name, "")
        groups.setdefault((event.type, event.reason, event.about_kind, shape), []).append((event, at))
    return sorted(
        (_group(each) for each in groups.values()), key=lambda group: (not group.warning, -group.last.timestamp())
    )


def _deployment_of(event: EventView, deployments: Sequence[str]) -> str | None:
    """By name, as everything that a Deployment makes is called after it; of two that fit, the longer name."""
    name = event.about_name
    fitting = [each for each in deployments if name == each or name.startswith(f"{each}-")]
    return max(fitting, key=len, default=None)


def _group(events: list[tuple[EventView, datetime]]) -> EventGroup:
    newest, last = events[0]
    # redacted first, then cut: a cut could leave half of a secret that no pattern knows any more
    plain = " ".join(default_redactor().text(newest.message).split())
    return EventGroup(
        warning=newest.type == "Warning",
        reason=newest.reason,
        kind=newest.about_kind,
        about=tuple(dict.fromkeys(event.about_name for event, _ in events)),
        message=plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…",
        count=sum(max(1, event.count) for event, _ in events),
        last=last,
    )


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
