"""How the WebSocket connections of a service fare: what dropped, when, why and in which pods, by its logs and by Prometheus.

A log says of each connection when it was opened and how it was closed. A *drop* is a connection that neither side meant to end: one with a
close code other than those of an ordinary end, or one without a code whose line says so in words. A log begins where its pod does, or where
the node has thrown older lines away: minutes before that are unknown, never quiet.
"""

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from runbooks import logs
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.answers import read_time
from runbooks.kit.patterns import compiled
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.logs.model import LogLine, LogReading
from runbooks.logs.reading import read_from, sources_of
from runbooks.metrics.change_points import change_points
from runbooks.redaction.redactor import default_redactor
from runbooks.sync.reading import shown_reason
from runbooks.websockets.settings import MINUTES, WINDOW, WebsocketSettings
from runbooks.wording import counted

ORDERLY = frozenset({1000, 1001, 1005})
"""Close codes of an ordinary end: done, the page was left, a client that gives no code."""
MEANINGS = {
    1000: "closed normally",
    1001: "page left, or server shutting down",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "closed without a code",
    1006: "cut off without a close frame",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1011: "error in the server",
    1012: "server restarts",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake failed",
}
_LEAST = 3.0
"""Drops a minute more than before, from which it is worth a word: the last few lines of a quiet log are no trend."""
_TIMES = 3.0
_RECENT = 3
"""Minutes: what lasts for less is not told from a hiccup."""
_KNOWN = 8
"""Minutes that must be known before the last few are compared with them."""
_ALL_OF = 0.8
"""The share of the drops from which one pod, or one node, is what drops."""
_FEW = 5
PODS = 60
"""So many logs are read at most."""

_CODE = r"\b(?:close_?)?code[\"']?\s*[=:]\s*[\"']?([1-4][0-9]{3})\b"
_REASON = r"\breason[\"']?\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|(.*?)(?:\s+\w+=|[,;}]|$))"
_BROKEN = r"\b(?:lost|dropped|cut off|reset|aborted|terminated|timed? ?out|ping timeout|transport (?:close|error)|broken pipe|econnreset)\b"
_CLOSED = r"\b(?:clos(?:ed|ing|e)|disconnect(?:ed|ion)?)\b"
_REFUSED = r"\b(?:failed|failure|refused|rejected|denied|unauthori[sz]ed|handshake error|upgrade error)\b"
_OPENED = r"\b(?:open(?:ed)?|connected|established|accepted|upgraded)\b"


class LineKind(StrEnum):
    """What a line tells of a connection."""

    OPENED = "opened"
    CLOSED = "closed"
    DROPPED = "dropped"
    REFUSED = "refused"
    """It could not be opened."""


class ConnectionEvent(NamedTuple):
    """One line, read."""

    kind: LineKind
    code: int | None = None
    reason: str = ""
    """As it may be shown."""


def event_of(line: LogLine) -> ConnectionEvent | None:
    """Return what a redacted line tells; None where that is nothing."""
    text = line.message or line.text
    code, reason = _code_and_reason(line)
    broken, closed = _search(_BROKEN, f"{text} {reason}") is not None, _search(_CLOSED, text) is not None
    if code is not None and (broken or closed or code not in ORDERLY):
        return ConnectionEvent(LineKind.CLOSED if code in ORDERLY else LineKind.DROPPED, code, _shown(reason))
    if broken:
        return ConnectionEvent(LineKind.DROPPED, code, _shown(reason))
    if _search(_REFUSED, text) is not None:
        return ConnectionEvent(LineKind.REFUSED, code, _shown(reason))
    if closed:
        return ConnectionEvent(LineKind.CLOSED, code, _shown(reason))
    return ConnectionEvent(LineKind.OPENED) if _search(_OPENED, text) is not None else None


def _search(pattern: str, text: str) -> Any:
    """Return the first match, as bytes. Anybody may write a line that holds up a pattern of Python's own `re`; google-re2 takes linear time."""
    return _compiled(pattern).search(text.encode(errors="replace"))


@cache
def _compiled(pattern: str) -> Any:
    return compiled(f"(?i){pattern}")


def _code_and_reason(line: LogLine) -> tuple[int | None, str]:
    if line.text.lstrip().startswith("{"):
        try:
            fields = json.loads(line.text)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            code = next((fields[key] for key in ("code", "closeCode", "close_code") if key in fields), None)
            reason = next((fields[key] for key in ("reason", "closeReason", "close_reason") if key in fields), "")
            known = isinstance(code, int) and not isinstance(code, bool) and 1000 <= code <= 4999  # noqa: PLR2004 - RFC 6455
            return code if known else None, reason if isinstance(reason, str) else ""
    code_found, reason_found = _search(_CODE, line.text), _search(_REASON, line.text)
    reason = next((each for each in reason_found.groups() if each), b"") if reason_found is not None else b""
    return int(code_found[1]) if code_found is not None else None, reason.decode()


def _shown(reason: str) -> str:
    return shown_reason(reason) if reason.strip() else ""


class PodDrops(Frozen):
    """One pod, and what its log says."""

    pod: str
    label: str
    node: str = ""
    started: datetime | None = None
    restarts: int = 0
    drops: int = 0
    """Since the trouble began, where there is some; otherwise in the whole time."""
    unread: str = ""
    """Why its log is missing or incomplete."""


class CloseGroup(Frozen):
    """Closed connections with the same code and reason."""

    code: int | None
    reason: str
    count: int
    drop: bool


class Rise(Frozen):
    """When drops became more frequent, and stayed so."""

    at: datetime
    before: float
    after: float
    """Drops a minute."""


class Spread(StrEnum):
    """Which pods drop."""

    NONE = "none"
    ONE_POD = "one pod"
    ONE_NODE = "one node"
    ALL = "all pods"
    SOME = "some pods"


class WebsocketReading(Frozen):
    """What the logs of one region say."""

    region: str = ""
    service: str
    start: datetime
    minutes: tuple[float | None, ...]
    """Drops in each whole minute; None where no log reaches back so far."""
    drops: int = 0
    orderly: int = 0
    opened: int = 0
    refused: int = 0
    closes: tuple[CloseGroup, ...] = ()
    """Drops first, and of each the most frequent."""
    pods: tuple[PodDrops, ...] = ()
    """The one with most drops first."""
    rise: Rise | None = None
    left_out: int = 0
    """Lines that were too many to be read: the older ones of the time."""
    pods_in_all: int = 0
    """So many there are, where only some of their logs were read."""
    notes: tuple[str, ...] = ()

    @property
    def partly(self) -> str:
        """That not every log was read, as a sentence; empty where each was."""
        if not self.pods_in_all:
            return ""
        some = f"Only {len(self.pods)} of {counted(self.pods_in_all, 'pod')} were read"
        return f"{some}, so there are more drops than counted."

    @property
    def per_minute(self) -> float | None:
        """Drops a minute, the mean of the last `WINDOW` minutes as far as they are known; None where nobody knows."""
        known = [value for value in self.minutes[-WINDOW:] if value is not None]
        return statistics.fmean(known) if known else None

    @property
    def comparable(self) -> bool:
        """Whether enough minutes are known to tell whether there are more drops than before."""
        return sum(value is not None for value in self.minutes) >= _KNOWN

    @property
    def known_from(self) -> datetime | None:
        """When the first known minute began; None where none is known."""
        first = next((place for place, value in enumerate(self.minutes) if value is not None), None)
        return self.start + timedelta(minutes=first) if first is not None else None

    @property
    def spread(self) -> Spread:
        """Which pods drop; of few drops nothing is said."""
        total = sum(each.drops for each in self.pods)
        if total < _FEW:
            return Spread.NONE
        by_node: Counter[str] = Counter()
        for each in self.pods:
            by_node[each.node] += each.drops
        worst = self.pods[0]
        if len(self.pods) > 1 and worst.drops >= total * _ALL_OF:
            return Spread.ONE_POD
        (node, most), *_ = by_node.most_common(1)
        if node and len(by_node) > 1 and most >= total * _ALL_OF:
            return Spread.ONE_NODE
        fair = total / len(self.pods)
        return Spread.ALL if all(each.drops >= fair / _TIMES for each in self.pods) else Spread.SOME

    def pods_started(self, by: datetime, within: timedelta) -> tuple[PodDrops, ...]:
        """Return the pods that started shortly before, or at that time."""
        soon = timedelta(minutes=1)
        return tuple(
            each for each in self.pods if each.started is not None and by - within <= each.started <= by + soon
        )


async def look(
    cluster: ClusterClient,
    environment: Environment,
    service: Service,
    settings: WebsocketSettings,
    now: datetime,
    *,
    most: int = PODS,
    limits: logs.LogLimits | None = None,
) -> WebsocketReading:
    """Return what the logs of a service's pods say of the last minutes. Raises `RunbookError` where its pods can't be listed.

    Of more pods than `most` so many are read, spread over all of them.
    """
    start = whole_minute(now).astimezone(UTC) - timedelta(minutes=MINUTES)
    asked = logs.Asked(target=service.name, tail=logs.MOST, since=start, grep=settings.pattern)
    deployment = await cluster.deployment(environment.namespace, service.deployment)
    pods = await cluster.pods_of(deployment)
    streams = await sources_of(cluster, environment, asked)
    if (count := len(streams.found)) > most:
        some = tuple(streams.found[place * count // most] for place in range(most))
        streams = streams._replace(found=some)
    found = await read_from(cluster, asked, streams, default_redactor().scope, limits)
    # in a thread: there may be thousands of lines
    told = await asyncio.to_thread(read, found, pods, service, start, region=environment.region)
    return told.model_copy(update={"pods_in_all": count}) if count > most else told


def whole_minute(now: datetime) -> datetime:
    """Return when the minute began. Drops are counted by the clock's minutes: whoever asks some seconds later gets the same counts and the same `since`."""
    return now.replace(second=0, microsecond=0)


def read(
    found: LogReading, pods: Sequence[PodView], service: Service, start: datetime, *, region: str = ""
) -> WebsocketReading:
    """Return the reading of these lines."""
    events = [(read_time(line.at), line.pod, event) for line in found.lines if (event := event_of(line)) is not None]
    drops = [(at, pod) for at, pod, event in events if event.kind is LineKind.DROPPED and at is not None]
    minutes = _minutes([at for at, _ in drops], start, _covered(found, start))
    rise = rise_of(minutes, start, timedelta(minutes=1))
    since = rise.at if rise is not None else start
    counts = Counter(pod for at, pod in drops if at >= since)
    kinds = Counter(event.kind for _, _, event in events)
    return WebsocketReading(
        region=region,
        service=service.name,
        start=start,
        minutes=minutes,
        drops=kinds[LineKind.DROPPED],
        orderly=kinds[LineKind.CLOSED],
        opened=kinds[LineKind.OPENED],
        refused=kinds[LineKind.REFUSED],
        closes=_closes(event for _, _, event in events),
        pods=_pods(found, pods, service, counts),
        rise=rise,
        left_out=found.counts.left_out,
        notes=found.notes,
    )


def _covered(found: LogReading, start: datetime) -> datetime | None:
    """Return from when on the logs of at least half of the pods are known; None where they never are."""
    begins = sorted(at for each in found.begins if (at := read_time(each)) is not None)
    if len(begins) * 2 < len(found.labels) or not begins:
        return None
    begun = begins[(len(found.labels) + 1) // 2 - 1]
    oldest = read_time(found.oldest) if found.counts.left_out else None
    return max(begun, start, oldest or start)


def _minutes(drops: Iterable[datetime], start: datetime, covered: datetime | None) -> tuple[float | None, ...]:
    counts = Counter(int((at - start).total_seconds() // 60) for at in drops)
    if covered is None:
        return (None,) * MINUTES
    first = -(-(covered - start).total_seconds() // 60)  # a minute that is known in part only is not known
    first = 0 if (covered - start).total_seconds() < 1 else first  # the first second of the time is no part
    return tuple(float(counts[minute]) if minute >= first else None for minute in range(MINUTES))


def rise_of(values: Sequence[float | None], start: datetime, step: timedelta) -> Rise | None:
    """Return since when the values have been much higher than before, still now; None where they have not.

    What lasts too short for a change of behaviour is compared with the usual value.
    """
    changes = change_points(values)
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if changes and much_higher(changes[-1].before, changes[-1].after):
        before, begun = changes[-1].before, changes[-1].index
    elif len(known) < _KNOWN:
        return None
    else:
        before, begun = statistics.median(value for _, value in known[:-_RECENT]), known[-_RECENT][0]
        if not all(much_higher(before, value) for _, value in known[-_RECENT:]):
            return None
    higher = [(place, value) for place, value in known if place >= begun]
    first = next(
        (place for place, value in higher if much_higher(before, value)), begun
    )  # a level begins at its first high value
    after = statistics.median(value for place, value in higher if place >= first)
    return Rise(at=start + step * first, before=before, after=after)


def much_higher(before: float, after: float) -> bool:
    """Return whether it is so much more that it is worth a word."""
    return after >= before * _TIMES and after - before >= _LEAST


def _closes(events: Iterable[ConnectionEvent]) -> tuple[CloseGroup, ...]:
    closed = (each for each in events if each.kind in (LineKind.CLOSED, LineKind.DROPPED))
    counts = Counter((each.code, each.reason, each.kind is LineKind.DROPPED) for each in closed)
    return tuple(
        CloseGroup(code=code, reason=reason, count=count, drop=drop)
        for (code, reason, drop), count in sorted(
            counts.items(), key=lambda each: (not each[0][2], -each[1], str(each[0]))
        )
    )


def _pods(found: LogReading, pods: Sequence[PodView], service: Service, counts: Counter[str]) -> tuple[PodDrops, ...]:
    unread = {each.pod: each.why for each in found.silent}
    known = []
    for label in found.labels:
        pod = next((each for each in pods if each.name == label or each.name.endswith(f"-{label}")), None)
        container = pod.container(service.container) if pod is not None else None
        known.append(
            PodDrops(
                pod=pod.name if pod is not None else label,
                label=label,
                node=pod.node if pod is not None else "",
                started=read_time(container.started_at) if container is not None else None,
                restarts=container.restarts if container is not None else 0,
                drops=counts[label],
                unread=unread.get(label, ""),
            )
        )
    return tuple(sorted(known, key=lambda each: (-each.drops, each.pod)))
