"""`sync websocket`: whether WebSocket connections drop, since when, why, and in which pods."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.deployments.places import asked, named
from runbooks.fleet.records import Release
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Service
from runbooks.logs import LogLimits
from runbooks.metrics.chart import sparkline
from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory
from runbooks.metrics.standing import where as where_in
from runbooks.observe import by_hand
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import SyncStatus
from runbooks.websockets.measured import Drops, drops_of, known_drops, measured
from runbooks.websockets.reading import MEANINGS, ORDERLY, PodDrops, Rise, Spread, WebsocketReading, look
from runbooks.websockets.settings import MINUTES, WINDOW, WebsocketSettings
from runbooks.wording import by_count, counted, duration, listed

T = TypeVar("T")

_BESIDE_SECONDS = 6.0
"""For what stands beside the logs."""
_BEFORE = timedelta(minutes=5)
"""What a deploy or a restart breaks here shows within this time."""
_CODES, _PODS = 6, 8
_WIDTH = 15
_BY_HAND = 200
"""Lines that are shown to a person in a terminal."""
_IN_REGIONS = LogLimits(stream=2.2, silence=2.0, all=2.4)
"""With several regions, each of which is waited for a few seconds only: what can be read by then."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """What stands beside the logs: each may be missing, and why is said."""

    status: SyncStatus | str
    metrics: tuple[MetricHistory, ...]
    metrics_missing: str
    releases: tuple[Release, ...] | None

    @property
    def drops(self) -> tuple[MetricHistory, ...]:
        """The drops a minute by each Prometheus that knows them, the worst first."""
        return known_drops(self.metrics)

    @property
    def worst(self) -> MetricHistory | None:
        """Where they are worst."""
        return next(iter(self.drops), None)


class SyncWebsocket(Observation):
    """Show whether WebSocket connections drop: how many a minute, since when, with which close codes, and in which pods.

    Covers the last 30 minutes, from the pods' logs, and from Prometheus if it is configured. The drops a minute are the mean of the last 5 minutes.
    """

    meta = QueryMeta(
        permission="sync:read",
        examples=["", "backend --env staging"],
        name="sync websocket",
        refreshes=True,
        next=(FollowUp(command="diagnose", trouble=True),),
    )

    service: ServiceName | None = argument("whose connections; default: the configured service", default=None)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings, queue = context.find(WebsocketSettings) or WebsocketSettings(), context.find(SyncQueue)
        service = _service(context, settings, self.service)
        since = [f"--since={MINUTES}m"]
        found = await lines_of(
            context, self.region, lambda place: by_hand.logs(place, service.name, since, settings.pattern, _BY_HAND)
        )
        return (*found, *((queue.status_by_hand,) if queue is not None else ()))

    async def answer(self, context: Context) -> Card:
        settings = context.find(WebsocketSettings) or WebsocketSettings()
        service = _service(context, settings, self.service)
        places = named(context.places, names_of(self.region))
        limits = None if len(places) == 1 else _IN_REGIONS
        (found, missing), beside = await asyncio.gather(
            asked(
                places,
                lambda place: _looked(
                    look(place.cluster, place.environment, service, settings, context.now, limits=limits)
                ),
            ),
            _beside(context, settings, names_of(self.region)),
        )
        return _card(context, service, found, missing, beside)


async def _looked(reading: Awaitable[WebsocketReading]) -> list[WebsocketReading]:
    return [await reading]


def _service(context: Context, settings: WebsocketSettings, named_one: str | None) -> Service:
    """Return the service that was named, else the configured one, that of the sync scripts, or the first."""
    queue = context.find(SyncQueue)
    for name in (named_one, settings.service, queue.scripts.service if queue is not None else None):
        if name is not None and (found := context.where.service(name)) is not None:
            return found
    return context.where.services[0]


async def _beside(context: Context, settings: WebsocketSettings, regions: Sequence[str]) -> _Beside:
    metrics, queue = context.find(Metrics), context.find(SyncQueue)

    async def stands() -> SyncStatus | str:
        if queue is None:
            return "no sync scripts are configured"
        try:
            return await queue.status(seconds=_BESIDE_SECONDS)
        except RunbookError as error:
            return error.message.rstrip(".")

    async def released() -> tuple[Release, ...] | None:
        try:
            async with asyncio.timeout(_BESIDE_SECONDS):
                return (await context.fleet.known_releases(context.where)).releases
        except (RunbookError, TimeoutError):
            return None

    histories, status, releases = await asyncio.gather(
        measured(metrics, settings, context.now, within=_BESIDE_SECONDS, regions=regions),
        stands(),
        released(),
    )
    why = "" if metrics is not None else "no Prometheus is configured"
    if metrics is not None and (unknown := [each for each in histories if each.now is None]):
        whys = {each.regions: f"Prometheus{where_in(each.regions)}: {each.unknown}" for each in reversed(unknown)}
        why = "; ".join(whys.values())
    return _Beside(status, histories, why, releases)


def _card(
    context: Context, service: Service, found: Sequence[WebsocketReading], missing: Sequence[str], beside: _Beside
) -> Card:
    where = context.where.name
    worst = max(found, key=lambda each: (each.rise is not None, each.per_minute or 0.0), default=None)
    drops = drops_of(worst, beside.worst)
    rise = drops.rise
    unknown = worst is None or (worst.per_minute is None and beside.worst is None)
    text = _answer(service.name, where, worst, drops)
    body: list[Element] = []
    if worst is not None and rise is not None:
        body.append(Paragraph(text=_cause(worst, rise, beside, where)))
    elif worst is not None and worst.refused:
        body.append(Paragraph(text=words(f"{counted(worst.refused, 'connection')} could not be opened.")))
    body.append(Facts(facts=tuple(_facts(found, beside))))
    for reading in found:
        body += _tables(reading, several=len(found) > 1)
    body += [Note(text=_counted(found)), *(Note(text=words(why)) for why in _notes(found, missing, beside))]
    return Card(
        state=State.FAILED if rise is not None else State.WAITING if unknown else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=tuple(_buttons(worst, rise, service.name, where)),
        data={
            "environment": where,
            "service": service.name,
            "connected": _connected(beside)[0],
            "rising": rise.model_dump(mode="json") if rise is not None else None,
            "regions": [
                {
                    **each.model_dump(mode="json", exclude={"notes"}),
                    "per_minute": each.per_minute,
                    "spread": each.spread,
                }
                for each in found
            ],
            "missing": list(missing),
        },
    )


def _answer(service: str, where: str, worst: WebsocketReading | None, drops: Drops) -> str:
    """The one sentence."""
    rise, rate = drops
    if rise is not None:
        now = rate if rate is not None else rise.after
        return f"WebSocket connections of {service} in {where} drop: {now:.3g} a minute, up from {rise.before:.3g}"
    if worst is None or rate is None:
        return f"WebSocket connections of {service} in {where}: unknown, no log could be read"
    if worst.drops == 0 and not rate:
        seen = "" if worst.opened or worst.orderly else ", and no log line mentions one"
        return f"WebSocket connections of {service} in {where}: none dropped{seen}"
    return f"WebSocket connections of {service} in {where} are steady: {rate:.3g} {by_count(round(rate), 'drop', 'drops')} a minute"


def _cause(worst: WebsocketReading, rise: Rise, beside: _Beside, where: str) -> Text:
    """Since when, in which pods, and what that means."""
    since = words("Since ", Moment(at=rise.at, age=True), ". ")
    release = _release_before(rise.at, beside)
    started = worst.pods_started(rise.at, _BEFORE)
    pod = worst.pods[0] if worst.pods else None
    deployed = (
        f"{release.version} was deployed {duration(max(0.0, (rise.at - at).total_seconds()))} before, by {release.by}. "
        if release is not None and (at := read_time(release.at)) is not None
        else ""
    )
    if worst.spread is Spread.ONE_POD and pod is not None:
        return words(
            since, f"{deployed}Nearly all are in one pod: ", Code(text=pod.pod), *_of_one(pod), _advice(worst, where)
        )
    if worst.spread is Spread.ONE_NODE and pod is not None:
        return words(
            since, f"{deployed}Nearly all are in pods on node ", Code(text=pod.node), ". ", _advice(worst, where)
        )
    if worst.spread is Spread.NONE:
        return words(since, f"{deployed}The logs don't show in which pods.")
    which = "All pods drop about equally" if worst.spread is Spread.ALL else "Several pods drop"
    if started:
        those = f"{len(started)} of {counted(len(worst.pods), 'pod')} started just before"
        return words(since, f"{deployed}{which}, and {those}: each new pod makes its clients connect again.")
    if deployed:
        return words(since, f"{deployed}{which}, so the release may be the cause.")
    return words(
        since,
        f"{which}, none of them restarted and nothing was deployed, so the cause is probably in front of them: the load balancer "
        "(its idle timeout, its targets), the WAF or the network.",
    )


def _of_one(pod: PodDrops) -> tuple[str, ...]:
    on = f" on node {pod.node}" if pod.node else ""
    restarted = (
        f", which has restarted {counted(pod.restarts, 'time')}" if pod.restarts else ", which has not restarted"
    )
    return (f"{on}{restarted}. ",)


def _advice(worst: WebsocketReading, where: str) -> Text:
    pod = worst.pods[0]
    if worst.spread is Spread.ONE_NODE:
        return sentence(f"`describe {pod.pod} --env {where}` shows its node's state.")
    return sentence(f"`describe {pod.pod} --env {where}` shows how it may differ from the others.")


def _release_before(at: datetime, beside: _Beside) -> Release | None:
    """Return the newest release shortly before."""
    timed = ((read_time(each.at), each) for each in beside.releases or ())
    soon = [
        (when, each) for when, each in timed if when is not None and at - _BEFORE <= when <= at + timedelta(minutes=1)
    ]
    return max(soon, key=lambda each: each[0])[1] if soon else None


def _connected(beside: _Beside) -> tuple[int | None, str]:
    """Return how many connections are open now, and who says so or why nobody does."""
    known = [each for each in beside.metrics if each.query.name == "connections" and each.now is not None]
    if known:
        regions = [region for each in known for region in each.regions]
        return round(sum(each.now or 0.0 for each in known)), f"from Prometheus{where_in(regions)}"
    if isinstance(beside.status, SyncStatus) and beside.status.connected is not None:
        return beside.status.connected, f"from the status script in pod {beside.status.pod}"
    return None, beside.status if isinstance(beside.status, str) else "the status script does not say"


def _facts(found: Sequence[WebsocketReading], beside: _Beside) -> Iterator[Fact]:
    count, who = _connected(beside)
    yield Fact(label="Connected now", value=words(f"{count} ({who})" if count is not None else f"unknown: {who}"))
    for each in found:
        place = f" in {each.region}" if each.region else ""
        now = f"{each.per_minute:.3g}" if each.per_minute is not None else "unknown"
        spark = sparkline(each.minutes, _WIDTH)
        yield Fact(label=f"Drops a minute{place}", value=words(f"{now} by the logs {spark}"))
        yield Fact(
            label=f"In {MINUTES} min{place}",
            value=words(f"{each.drops} dropped, {each.orderly} closed normally, {each.opened} opened"),
        )
    for history in beside.drops:
        shown = f"{history.query.shown(history.now)} {sparkline(history.values, _WIDTH)}"
        yield Fact(label=f"By Prometheus{where_in(history.regions)}", value=words(shown))
    start = found[0].start if found else None
    recent = [
        each for each in beside.releases or () if start and (at := read_time(each.at)) is not None and at >= start
    ]
    if recent:
        spans = [
            part
            for place, each in enumerate(recent[:3])
            for part in (f"{'; ' if place else ''}{each.version} by {each.by} at ", _moment(each))
        ]
        yield Fact(label="Deployed", value=words(*spans))


def _counted(found: Sequence[WebsocketReading]) -> Text:
    """Return what a drop is, and over what time drops are counted."""
    codes = listed((str(code) for code in sorted(ORDERLY)), "or")
    known = [each.known_from for each in found if each.known_from is not None]
    since = (" The logs are counted from ", Moment(at=min(known)), ".") if known else ()
    return words(
        f"A drop is a connection that ended with a close code other than {codes}, or that was lost, as its log line says. "
        f"The drops a minute are the mean of the last {WINDOW} min.",
        *since,
    )


def _moment(release: Release) -> Moment | str:
    at = read_time(release.at)
    return Moment(at=at) if at is not None else "an unknown time"


def _tables(reading: WebsocketReading, *, several: bool) -> Iterator[Element]:
    place = f" in {reading.region}" if several else ""
    if reading.closes:
        rows = tuple(
            (
                words(str(each.code) if each.code is not None else "none"),
                words(each.reason or MEANINGS.get(each.code or 0, "not given")),
                words(f"{each.count}{', dropped' if each.drop else ''}"),
            )
            for each in reading.closes[:_CODES]
        )
        yield Table(columns=("Close code", "Reason", "Connections"), rows=rows, caption=f"How they ended{place}")
        if (left := sum(each.count for each in reading.closes[_CODES:])) > 0:
            yield Note(text=words(f"{counted(left, 'more connection')} with other codes or reasons."))
    if any(each.drops for each in reading.pods):
        of_pods = tuple(
            (words(each.label), words(each.node or "unknown"), words(str(each.drops)), words(str(each.restarts)))
            for each in reading.pods[:_PODS]
        )
        since = " since then" if reading.rise is not None else ""
        caption = f"Drops of each pod{place}{since}"
        yield Table(columns=("Pod", "Node", "Drops", "Restarts"), rows=of_pods, caption=caption)
        if (more := len(reading.pods) - _PODS) > 0:
            left = sum(each.drops for each in reading.pods[_PODS:])
            yield Note(text=words(f"{counted(more, 'more pod')} with {counted(left, 'dropped connection')}."))


def _notes(found: Sequence[WebsocketReading], missing: Sequence[str], beside: _Beside) -> Iterator[str]:
    """What could not be read."""
    yield from missing
    for each in found:
        place = f"{each.region}: " if each.region else ""
        unread = [pod for pod in each.pods if pod.unread]
        if unread:
            yield f"{place}{listed((f'{pod.label} ({pod.unread})' for pod in unread), most=3)}: log missing or incomplete."
        known = each.known_from
        if known is None:
            yield f"{place}No log of the last {MINUTES} min could be read."
        elif (since := known - each.start) > timedelta(minutes=1):
            ago = duration(MINUTES * 60 - since.total_seconds())
            yield f"{place}The logs go back only {ago}; earlier drops are unknown."
        yield from (f"{place}{note}" for note in (*filter(None, [each.partly]), *each.notes))
        if each.left_out:
            yield f"{place}{counted(each.left_out, 'older line')} not read: the counts are of the newest ones."
    if beside.metrics_missing:
        yield f"Without metrics: {beside.metrics_missing}."
    if beside.releases is None:
        yield "The fleet's record could not be read, so no deploys are marked."


def _buttons(worst: WebsocketReading | None, rise: Rise | None, service: str, where: str) -> Iterator[Button]:
    target = service
    if rise is not None and worst is not None and worst.pods and worst.spread is Spread.ONE_POD:
        target = worst.pods[0].pod
        yield Button(label="Describe the pod", does=Typed(text=f"describe {target} --env {where}"))
    region = f" --region {worst.region}" if worst is not None and worst.region else ""
    yield Button(
        label="Log lines", does=Typed(text=f"logs {target} --since {MINUTES}m --grep websocket{region} --env {where}")
    )
    yield Button(label="Sync status", does=Typed(text=f"sync status --env {where}"))
