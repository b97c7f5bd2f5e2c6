"""`metrics`: which key metrics are beyond their limits and since when, then all of them as a table, then the ones that matter as a picture."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context, RunRecord
from commands.kit.metric_facts import alerts_in_words, beyond_or_recovering, metric_data, side
from commands.kit.regions import RegionName, names_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import Duration, DurationType, EnvironmentName, MetricName, nearest
from runbooks.deployments.places import named
from runbooks.fleet.records import KnownReleases
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.metrics.chart import Chart, ChartLine, ChartMark, ChartPanel, clock, preceding
from runbooks.metrics.reading import FiringAlerts, Metrics
from runbooks.metrics.recovery import RECOVERY_SECONDS, with_recoveries
from runbooks.metrics.settings import MetricQuery
from runbooks.metrics.standing import MetricHistory, MetricRecovery, Standing, where
from runbooks.wording import by_count, counted, duration, in_sentence, listed

T = TypeVar("T")

_SINCE = 3 * 3600
_BESIDE_SECONDS = 3.0
"""Time limit for what only adds to the answer: releases, runs, alerts."""
_PANELS = 3
"""Metrics in the picture: with more, a phone shows it too small."""
_MARKS = 6
_LINES = 4
"""Regions of a metric in the picture."""
_NAMED = 3
_RAN = ("running", "succeeded", "failed", "cancelled")
_ORDER = {
    Standing.BEYOND: 0,
    Standing.RECOVERING: 1,
    Standing.WITHIN: 2,
    Standing.NO_LIMIT: 2,
    Standing.UNKNOWN: 3,
}
_COLUMNS = ("Metric", "Now", "Usual", "Worst", "Limit", "Group")


@dataclass(frozen=True, slots=True)
class _Beside:
    """What happened meanwhile. A part that does not answer is missing, and said to be."""

    releases: KnownReleases | None
    runs: Sequence[RunRecord]
    alerts: tuple[FiringAlerts, ...]


class MetricsCommand(Observation):
    """Show key metrics: which are beyond their limits and since when, with a table and a picture of the last hours.

    They come from Prometheus: the guide's four groups (application, infrastructure, database, HIPAA compliance), unless the configuration
    names others. A metric that can't be read is unknown, never healthy. Without names the picture shows what is beyond its limit first.
    """

    tool = "curl"
    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "error-rate api-p95 --since 1h", "database"],
        name="metrics",
        refreshes=True,
        next=(FollowUp(command="diagnose", trouble=True),),
    )

    names: tuple[MetricName, ...] = argument(
        "metrics or groups of them (application, infrastructure, database, compliance); all by default", default=()
    )
    since: Duration = option("the time to look at", default=_SINCE)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        metrics = context.use(Metrics, "metrics", "Prometheus")
        _check_names(metrics, self.names)
        named(context.places, names_of(self.region))
        return metrics.by_hand(metrics.named(self.names), self.since, names_of(self.region))

    async def answer(self, context: Context) -> Card:
        metrics = context.use(Metrics, "metrics", "Prometheus")
        _check_names(metrics, self.names)
        named(context.places, regions := names_of(self.region))
        if not {*regions}.isdisjoint(metrics.unmeasured):
            raise PermanentError(f"No Prometheus is configured for {self.region}.", code=ReasonCode.NOT_CONFIGURED)
        histories, beside = await asyncio.gather(
            self._read(context, metrics, regions), _beside(context, metrics, regions)
        )
        return _card(context, histories, beside, self, metrics.unmeasured)

    async def _read(self, context: Context, metrics: Metrics, regions: Sequence[str]) -> tuple[MetricHistory, ...]:
        read = await metrics.histories(metrics.named(self.names), context.now, self.since, regions=regions)
        return await with_recoveries(metrics, read, context.now, within=RECOVERY_SECONDS, regions=regions)


def _check_names(metrics: Metrics, names: Sequence[str]) -> None:
    queries = metrics.settings.queries
    known = [*dict.fromkeys(each.group.value for each in queries), *(each.name for each in queries)]
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            hint = f"Did you mean `{meant}`?" if meant else f"There are: {', '.join(known)}."
            raise PermanentError(f"There is no metric or group `{name}`. {hint}", code=ReasonCode.USAGE)


async def _beside(context: Context, metrics: Metrics, regions: Sequence[str]) -> _Beside:
    where = context.where
    releases, runs, alerts = await asyncio.gather(
        _or_none(context.fleet.known_releases(where)),
        _or_none(context.runs.recent(environment=where.name)),
        metrics.alerts(_BESIDE_SECONDS, regions),
    )
    return _Beside(releases, runs or (), alerts)


async def _or_none(asked: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(_BESIDE_SECONDS):
            return await asked
    except (TimeoutError, RunbookError):
        return None


def _card(
    context: Context,
    histories: Sequence[MetricHistory],
    beside: _Beside,
    asked: MetricsCommand,
    unmeasured: Sequence[str],
) -> Card:
    environment, since = context.where.name, asked.since
    beyond = [each for each in histories if each.standing is Standing.BEYOND]
    recovering = [each for each in histories if each.standing is Standing.RECOVERING]
    unknown = [each for each in histories if each.standing is Standing.UNKNOWN]
    answer = _answer(histories, beyond, recovering, unknown)
    text = f"{f'{asked.region} in ' if asked.region else ''}{environment}: {answer}"
    chart = _chart(environment, histories, beside)
    body: list[Element] = [Paragraph(text=_beyond(each, chart)) for each in beyond]
    body += [Paragraph(text=_recovering(each, each.recovery)) for each in recovering if each.recovery is not None]
    if unknown:
        body.append(Paragraph(text=words(Strong(text="Unknown: "), _why(histories, unknown))))
    if alerts := alerts_in_words(beside.alerts):
        body.append(Paragraph(text=words(Strong(text="Alerts: "), alerts)))
    body += [_table(histories), chart, Note(text=_explained(context, histories, asked))]
    if unmeasured and not asked.region:
        body.append(Note(text=words(f"No Prometheus is configured for {listed(unmeasured)}.")))
    place = ("--region", asked.region) if asked.region else ()
    longest = min(since * 8, 30 * 86_400)
    longer = ["metrics", *asked.names, "--since", DurationType().typed(longest), *place, "--env", environment]
    return Card(
        state=State.FAILED if beyond else State.WAITING if recovering or unknown else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(
            Button(label="Status", does=Typed(text=f"status --env {environment}")),
            Button(label=f"Last {duration(longest)}", does=Typed(text=" ".join(longer))),
        ),
        data={
            "environment": environment,
            "seconds": since,
            "metrics": [metric_data(each) for each in histories],
            "alerts": _alert_data(beside.alerts),
        },
    )


def _explained(context: Context, histories: Sequence[MetricHistory], asked: MetricsCommand) -> Text:
    """What the table's values are: over which time, and of which regions where that may not be what was asked."""
    step = duration(histories[0].step.total_seconds())
    said = f"The last {duration(asked.since)}, one value {'a minute' if step == '1 min' else f'every {step}'}."
    places = _places(histories)
    if len(places) > 1:
        worst = min(histories, key=lambda each: _ORDER[each.standing])
        example = f"metrics --region {worst.regions[0]}"
        return words(
            f"{said} The values are those of now; ", Code(text=example), " also shows the usual and the worst."
        )
    together = places[0] or tuple(each.name for each in context.where.regions)
    shared = f" {listed(together)} have the same Prometheus: the values are those of all of them."
    return words(
        f"{said} Usual is the level that lasted longest.{shared if asked.region and len(together) > 1 else ''}"
    )


def _places(histories: Sequence[MetricHistory]) -> list[tuple[str, ...]]:
    """Return the regions that are measured for themselves, in their order."""
    return list(dict.fromkeys(each.regions for each in histories))


def _by_metric(histories: Sequence[MetricHistory]) -> list[list[MetricHistory]]:
    """Return each metric as it is in each region."""
    found: dict[MetricQuery, list[MetricHistory]] = {}
    for each in histories:
        found.setdefault(each.query, []).append(each)
    return list(found.values())


def _alert_data(said: Sequence[FiringAlerts]) -> list[dict[str, object]] | None:
    """None where an Alertmanager is asked and none answers."""
    if said and all(each.why for each in said):
        return None
    return [alert.model_dump(mode="json") | {"regions": [*each.regions]} for each in said for alert in each.alerts]


def _silent(histories: Sequence[MetricHistory]) -> list[tuple[str, ...]]:
    """Return the regions of several of which nothing is known."""
    known = {each.regions for each in histories if each.standing is not Standing.UNKNOWN}
    places = _places(histories)
    return [each for each in places if each not in known] if len(places) > 1 else []


def _answer(
    histories: Sequence[MetricHistory],
    beyond: list[MetricHistory],
    recovering: list[MetricHistory],
    unknown: list[MetricHistory],
) -> str:
    """The one sentence."""
    silent = _silent(histories)
    some = sum(each.regions not in silent for each in unknown)
    missing = [f"all metrics{where(each)} are unknown" for each in silent]
    also = "".join(f", {each}" for each in missing)
    if beyond or recovering:
        also += f", {counted(some, 'metric')} {by_count(some, 'is', 'are')} unknown" if some else ""
        better = [f"{in_sentence(each.title)} has been {beyond_or_recovering(each)}" for each in recovering]
        return f"{', '.join([*_beyond_limits(beyond), *better])}{also}"
    if some:
        return f"{some} of {counted(len(histories), 'metric')} {by_count(some, 'is', 'are')} unknown{also}"
    if missing:
        return ", ".join(missing)
    metrics = {each.query for each in histories}
    places = [region for each in _places(histories) for region in each]
    limited = sum(each.limit is not None for each in metrics)
    if not limited:
        return f"{counted(len(metrics), 'metric')}{where(places)}, none of which has a limit"
    return f"{counted(limited, 'metric')} within {by_count(limited, 'its limit', 'their limits')}{where(places)}"


def _beyond_limits(beyond: Sequence[MetricHistory]) -> Iterator[str]:
    if len(beyond) == 1:
        yield f"{in_sentence(beyond[0].title)} is {beyond_or_recovering(beyond[0])}"
    elif beyond:
        yield f"{listed((in_sentence(each.title) for each in beyond), most=_NAMED)} are beyond their limits"


def _recovering(history: MetricHistory, recovery: MetricRecovery) -> Text:
    """Since when, and why the value is beyond its limit nevertheless."""
    query = history.query
    return words(
        Strong(text=f"{history.title}: {query.shown(history.now)}"),
        ", recovering since ",
        Moment(at=recovery.since, age=True),
        f": {query.shown(recovery.now)} over the newest minute, the limit is {query.limit_shown}. "
        f"The value over {duration(recovery.window.total_seconds())} still contains the time before.",
    )


def _beyond(history: MetricHistory, chart: Chart) -> Text:
    query = history.query
    since = history.beyond_since
    began: tuple[str | Moment, ...] = (
        ("since ", Moment(at=since, age=True)) if since else ("since before ", Moment(at=history.start))
    )
    usual = history.usual
    usually = f", usually {query.shown(usual)}" if usual is not None and query.holds(usual) else ""
    return words(
        Strong(text=f"{history.title}: {query.shown(history.now)}"),
        f", {side(query)} its limit ({query.limit_shown}) ",
        *began,
        usually,
        *_after(since, chart, history.step),
    )


def _after(since: datetime | None, chart: Chart, step: timedelta) -> tuple[str, ...]:
    """Which release or rollback came shortly before: the first thing to look at."""
    mark = preceding(chart.marks, since, step) if since is not None else None
    if mark is None or since is None:
        return ()
    return (f". {duration(max(0.0, (since - mark.at).total_seconds()))} before: {mark.text}",)


def _why(histories: Sequence[MetricHistory], unknown: Sequence[MetricHistory]) -> str:
    """Metrics by what is in their way: mostly it is the same for all."""
    silent = _silent(histories)
    by_reason: dict[str, list[str]] = {}
    for each in unknown:
        title = f"all{where(each.regions)}" if each.regions in silent else each.title
        titles = by_reason.setdefault(each.unknown, [])
        titles += [title] if title not in titles else []
    return "; ".join(f"{', '.join(titles)} ({why})" for why, titles in by_reason.items())


def _table(histories: Sequence[MetricHistory]) -> Table:
    """Return now, usual and worst of each metric; where several regions are measured for themselves, each one's value now beside the others'."""
    places = _places(histories)
    if len(places) == 1:
        return Table(columns=_COLUMNS, rows=tuple(_row(each) for each in histories))
    rows = [
        (
            words(each[0].query.title),
            *(words(_now(history)) for history in each),
            words(each[0].query.limit_shown),
            words(each[0].query.group.shown),
        )
        for each in _by_metric(histories)
    ]
    return Table(columns=("Metric", *(listed(each) for each in places), "Limit", "Group"), rows=tuple(rows))


def _now(history: MetricHistory) -> str:
    stands = {Standing.BEYOND: f", {side(history.query)}", Standing.RECOVERING: ", recovering"}
    return f"{history.query.shown(history.now)}{stands.get(history.standing, '')}"


def _row(history: MetricHistory) -> tuple[Text, ...]:
    query = history.query
    return (
        words(query.title),
        words(_now(history)),
        words("" if history.usual is None else query.shown(history.usual)),
        words("" if history.worst is None else query.shown(history.worst)),
        words(query.limit_shown),
        words(query.group.shown),
    )


def _chart(environment: str, histories: Sequence[MetricHistory], beside: _Beside) -> Chart:
    shown = sorted(_by_metric(histories), key=lambda each: min(_ORDER[one.standing] for one in each))[:_PANELS]
    start, end = histories[0].start, histories[0].end
    marks = _marks(beside, start, end + histories[0].step)
    panels = tuple(_panel(each) for each in shown)
    alt = [f"{panel.title}: {panel.now}, {panel.verdict}." for panel in panels]
    alt += [f"{clock(mark.at.astimezone(end.tzinfo), end - start)} {mark.text}." for mark in marks]
    return Chart(
        filename=f"{environment}-metrics-{end:%H-%M}.png",
        caption=listed(each[0].query.title for each in shown),
        alt=f"Metrics of {environment}, {start:%d %b %H:%M} to {end:%d %b %H:%M}. {' '.join(alt)}",
        start=start,
        end=end,
        panels=panels,
        marks=marks,
    )


def _panel(regions: Sequence[MetricHistory]) -> ChartPanel:
    """One metric, as it is in each region; its value is that of the region where it is worst."""
    query = regions[0].query
    worst = regions[0]
    for each in regions[1:]:
        if each.now is not None and (worst.now is None or query.worse(worst.now, each.now) != worst.now):
            worst = each
    place = f" ({listed(worst.regions)})" if len(regions) > 1 and worst.now is not None else ""
    return ChartPanel(
        title=f"{query.title}{where(worst.regions) if len(regions) == 1 else ''}",
        now=f"{query.shown(worst.now)}{place}",
        verdict=_verdict(regions, worst),
        beyond=worst.standing is Standing.BEYOND,
        limit=query.limit,
        limit_shown=query.limit_shown,
        good_below=query.must_be == "below",
        lines=tuple(_lines(regions)),
    )


def _verdict(regions: Sequence[MetricHistory], worst: MetricHistory) -> str:
    """How the metric stands where it is worst, and in which regions nobody knows."""
    since, span = worst.beyond_since, worst.end - worst.start
    verdict = {
        Standing.BEYOND: f"{side(worst.query)} its limit since {clock(since, span) if since else f'before {clock(worst.start, span)}'}",
        Standing.RECOVERING: beyond_or_recovering(worst),
        Standing.WITHIN: "within its limit",
        Standing.NO_LIMIT: "no limit is set",
        Standing.UNKNOWN: worst.unknown,
    }[worst.standing]
    missing = [
        name for each in regions if each.standing is Standing.UNKNOWN and each is not worst for name in each.regions
    ]
    return f"{verdict}, unknown{where(missing)}" if missing else verdict


def _lines(regions: Sequence[MetricHistory]) -> Iterator[ChartLine]:
    """Yield the lines of a panel: of several regions each one's worst, since a phone has no room for more."""
    if len(regions) == 1:
        yield from (ChartLine(name=each.name, values=each.values) for each in regions[0].series)
        return
    for history in regions[:_LINES]:
        for each in history.series[:1]:
            yield ChartLine(name=f"{listed(history.regions)} {each.name}".rstrip(), values=each.values)


def _marks(beside: _Beside, start: datetime, end: datetime) -> tuple[ChartMark, ...]:
    """What happened in that time, the newest where it is too much: releases by the fleet's record, runs that it has not, alerts."""
    known = beside.releases.releases if beside.releases is not None else ()
    runs = {each.id: each for each in beside.runs if each.rolled and not each.untouched and each.state in _RAN}
    found = [
        ChartMark(at=at, kind=_kind(each.run), text=f"{each.version} by {each.by}")
        for each in known
        if (at := _began(runs[each.run]) if each.run in runs else read_time(each.at)) is not None
    ]
    recorded = {each.run for each in known}
    found += [
        ChartMark(at=_began(each), kind=_kind(each.id), text=f"{each.title}, {each.state}")
        for each in runs.values()
        if each.id not in recorded
    ]
    found += [
        ChartMark(at=alert.since, kind="alert", text=f"{alert.name}{where(each.regions)}")
        for each in beside.alerts
        for alert in each.alerts
        if alert.since is not None
    ]
    inside = [each for each in found if start <= each.at <= end]
    return tuple(sorted(inside, key=lambda each: each.at)[-_MARKS:])


def _began(run: RunRecord) -> datetime:
    """When its first step began: what it broke, it broke long before its verification ended."""
    took = timedelta(seconds=sum(each.seconds or 0.0 for each in run.steps))
    return run.ended - took if run.ended is not None else datetime.now(UTC) - took


def _kind(run: str) -> Literal["deploy", "rollback"]:
    return "rollback" if run.split(".")[1:2] == ["rollback"] else "deploy"
