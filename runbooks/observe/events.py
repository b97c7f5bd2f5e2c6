"""The cluster's events of an environment's services, grouped: a hundred times the same message is one line with its count."""

from collections.abc import Sequence
from datetime import datetime

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import EventView
from runbooks.kit.plan import with_names_once
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.redactor import default_redactor

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
    last: datetime | None
    region: str = ""
    """When the newest was last seen; None where none of them gives a time that can be read."""


async def told(
    cluster: ClusterClient, environment: Environment, service: str | None, *, since: datetime
) -> list[EventGroup]:
    """What was told since then of one service or of all: warnings first, then the newest first.

    An event of unknown time may be a new one, so it is told too.
    """
    return of_service(await cluster.events(environment.namespace), environment, service, since=since)


def of_service(
    found: Sequence[EventView], environment: Environment, service: str | None, *, since: datetime
) -> list[EventGroup]:
    """The same, of the namespace's events."""
    known = [each.deployment for each in environment.services]
    wanted = {each.deployment for each in environment.services if service in (None, each.name)}
    return grouped(
        [event for event in found if (event.at is None or event.at >= since) and _deployment_of(event, known) in wanted]
    )


def grouped(found: Sequence[EventView]) -> list[EventGroup]:
    """All of these, in the same order."""
    groups: dict[tuple[str, str, str, str], list[EventView]] = {}
    for event in sorted(found, key=lambda event: event.order, reverse=True):
        shape = event.message.replace(event.about_name, "") if event.about_name else event.message
        groups.setdefault((event.type, event.reason, event.about_kind, shape), []).append(event)
    return [_group(each) for each in sorted(groups.values(), key=_urgency, reverse=True)]


def _urgency(events: Sequence[EventView]) -> tuple[bool, datetime]:
    return events[0].type == "Warning", events[0].order


def _deployment_of(event: EventView, deployments: Sequence[str]) -> str | None:
    """By name, as everything that a Deployment makes is called after it; of two that fit, the longer name."""
    name = event.about_name
    fitting = [each for each in deployments if name == each or name.startswith(f"{each}-")]
    return max(fitting, key=len, default=None)


def _group(events: Sequence[EventView]) -> EventGroup:
    newest = events[0]
    # redacted first, then cut: a cut could leave half of a secret that no pattern knows any more
    plain = with_names_once(" ".join(default_redactor().text(newest.message).split()))
    return EventGroup(
        warning=newest.type == "Warning",
        reason=newest.reason,
        kind=newest.about_kind,
        about=tuple(dict.fromkeys(event.about_name for event in events)),
        message=plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…",
        count=sum(event.count for event in events),
        last=newest.at,
    )
