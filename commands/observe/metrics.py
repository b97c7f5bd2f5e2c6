"""`metrics`: which key metrics are beyond their limits and since when, then all of them as a table, then the ones that matter as a picture."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from commands.kit.card import Button, Card, Element, Moment, Note, Paragraph, State, Strong, Table, Text, Typed, words
from commands.kit.command import Observation
from commands.kit.context import Context, RunRecord
from commands.kit.metric_facts import alerts_in_words, firing, in_sentence, metric_data, side
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import Duration, DurationType, EnvironmentName, MetricName, nearest
from runbooks.clients.prometheus.alerts import Alert
from runbooks.fleet.records import KnownReleases
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.metrics.chart import Chart, ChartLine, ChartMark, ChartPanel, clock, preceding
from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory, Standing
from runbooks.wording import by_count, counted, duration, listed

T = TypeVar("T")

_SINCE = 3 * 3600
_BESIDE_SECONDS = 3.0
"""Time limit for what only adds to the answer: releases, runs, alerts."""
_PANELS = 3
"""Metrics in the picture: with more, a phone shows it too small."""
_MARKS = 6
_NAMED = 3
_RAN = ("running", "succeeded", "failed", "cancelled")
_ORDER = {Standing.BEYOND: 0, Standing.WITHIN: 1, Standing.NO_LIMIT: 1, Standing.UNKNOWN: 2}
_COLUMNS = ("Metric", "Now", "Usual", "Worst", "Limit", "Group")


@dataclass(frozen=True, slots=True)
class _Beside:
    """What happened meanwhile. A part that does not answer is missing, and said to be."""

    releases: KnownReleases | None
    runs: Sequence[RunRecord]
    alerts: Sequence[Alert] | None


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
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        metrics = context.use(Metrics, "metrics", "Prometheus")
        _check_names(metrics, self.names)
        return metrics.by_hand(metrics.named(self.names), self.since)

    async def answer(self, context: Context) -> Card:
        metrics = context.use(Metrics, "metrics", "Prometheus")
        _check_names(metrics, self.names)
        asked = metrics.named(self.names)
        histories, beside = await asyncio.gather(
            metrics.histories(asked, context.now, self.since), _beside(context, metrics)
        )
        return _card(context, histories, beside, self.since, self.names)


def _check_names(metrics: Metrics, names: Sequence[str]) -> None:
    queries = metrics.settings.queries
    known = [*dict.fromkeys(each.group.value for each in queries), *(each.name for each in queries)]
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            hint = f"Did you mean `{meant}`?" if meant else f"There are: {', '.join(known)}."
            raise PermanentError(f"There is no metric or group `{name}`. {hint}", code=ReasonCode.USAGE)


async def _beside(context: Context, metrics: Metrics) -> _Beside:
    where = context.where
    releases, runs, alerts = await asyncio.gather(
        _or_none(context.fleet.known_releases(where)),
        _or_none(context.runs.recent(environment=where.name)),
        firing(metrics, _BESIDE_SECONDS),
    )
    return _Beside(releases, runs or (), alerts)


async def _or_none(asked: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(_BESIDE_SECONDS):
            return await asked
    except (TimeoutError, RunbookError):
        return None


def _card(
    context: Context, histories: Sequence[MetricHistory], beside: _Beside, since: int, names: Sequence[str]
) -> Card:
    where = context.where.name
    beyond = [each for each in histories if each.standing is Standing.BEYOND]
    unknown = [each for each in histories if each.standing is Standing.UNKNOWN]
    text = f"{where}: {_answer(histories, beyond, unknown)}"
    chart = _chart(where, histories, beside)
    body: list[Element] = [Paragraph(text=_beyond(each, chart)) for each in beyond]
    if unknown:
        body.append(Paragraph(text=words(Strong(text="Unknown: "), _why(unknown))))
    if alerts := alerts_in_words(beside.alerts):
        body.append(Paragraph(text=words(Strong(text="Alerts: "), alerts)))
    body.append(Table(columns=_COLUMNS, rows=tuple(_row(each) for each in histories)))
    body.append(chart)
    step = duration(histories[0].step.total_seconds())
    body.append(
        Note(text=words(f"The last {duration(since)}, a value every {step}. Usual is the level that lasted longest."))
    )
    longer = " ".join(["metrics", *names, "--since", DurationType().typed(min(since * 8, 30 * 86_400)), "--env", where])
    return Card(
        state=State.FAILED if beyond else State.WAITING if unknown else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(
            Button(label="Status", does=Typed(text=f"status --env {where}")),
            Button(label=f"Last {duration(min(since * 8, 30 * 86_400))}", does=Typed(text=longer)),
        ),
        data={
            "environment": where,
            "seconds": since,
            "metrics": [metric_data(each) for each in histories],
            "alerts": None if beside.alerts is None else [each.model_dump(mode="json") for each in beside.alerts],
        },
    )


def _answer(histories: Sequence[MetricHistory], beyond: list[MetricHistory], unknown: list[MetricHistory]) -> str:
    """The one sentence."""
    also = f", {counted(len(unknown), 'metric')} {by_count(len(unknown), 'is', 'are')} unknown" if unknown else ""
    if len(beyond) == 1:
        return f"{in_sentence(beyond[0])} is {side(beyond[0])} its limit{also}"
    if beyond:
        return f"{listed(map(in_sentence, beyond), most=_NAMED)} are beyond their limits{also}"
    if unknown:
        return f"{len(unknown)} of {counted(len(histories), 'metric')} {by_count(len(unknown), 'is', 'are')} unknown"
    limited = sum(each.query.limit is not None for each in histories)
    if not limited:
        return f"{counted(len(histories), 'metric')}, none of which has a limit"
    return f"{counted(limited, 'metric')} within {by_count(limited, 'its limit', 'their limits')}"


def _beyond(history: MetricHistory, chart: Chart) -> Text:
    query = history.query
    since = history.beyond_since
    began: tuple[str | Moment, ...] = (
        ("since ", Moment(at=since, age=True)) if since else ("since before ", Moment(at=history.start))
    )
    usual = history.usual
    usually = f", usually {query.shown(usual)}" if usual is not None and query.holds(usual) else ""
    return words(
        Strong(text=f"{query.title}: {query.shown(history.now)}"),
        f", {side(history)} its limit ({query.limit_shown}) ",
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


def _why(unknown: Sequence[MetricHistory]) -> str:
    """Metrics by what is in their way: mostly it is the same for all."""
    by_reason: dict[str, list[str]] = {}
    for each in unknown:
        by_reason.setdefault(each.unknown, []).append(each.query.title)
    return "; ".join(f"{', '.join(titles)} ({why})" for why, titles in by_reason.items())


def _row(history: MetricHistory) -> tuple[Text, ...]:
    query = history.query
    beyond = f", {side(history)}" if history.standing is Standing.BEYOND else ""
    return (
        words(query.title),
        words(f"{query.shown(history.now)}{beyond}"),
        words("" if history.usual is None else query.shown(history.usual)),
        words("" if history.worst is None else query.shown(history.worst)),
        words(query.limit_shown),
        words(query.group.shown),
    )


def _chart(where: str, histories: Sequence[MetricHistory], beside: _Beside) -> Chart:
    shown = sorted(histories, key=lambda each: _ORDER[each.standing])[:_PANELS]
    start, end = histories[0].start, histories[0].end
    marks = _marks(beside, start, end + histories[0].step)
    panels = tuple(_panel(each) for each in shown)
    alt = [f"{panel.title}: {panel.now}, {panel.verdict}." for panel in panels]
    alt += [f"{clock(mark.at.astimezone(end.tzinfo), end - start)} {mark.text}." for mark in marks]
    return Chart(
        filename=f"{where}-metrics-{end:%H-%M}.png",
        caption=listed(each.query.title for each in shown),
        alt=f"Metrics of {where}, {start:%d %b %H:%M} to {end:%d %b %H:%M}. {' '.join(alt)}",
        start=start,
        end=end,
        panels=panels,
        marks=marks,
    )


def _panel(history: MetricHistory) -> ChartPanel:
    query = history.query
    since, span = history.beyond_since, history.end - history.start
    verdict = {
        Standing.BEYOND: f"{side(history)} its limit since {clock(since, span) if since else f'before {clock(history.start, span)}'}",
        Standing.WITHIN: "within its limit",
        Standing.NO_LIMIT: "no limit is set",
        Standing.UNKNOWN: history.unknown,
    }[history.standing]
    return ChartPanel(
        title=query.title,
        now=query.shown(history.now),
        verdict=verdict,
        beyond=history.standing is Standing.BEYOND,
        limit=query.limit,
        limit_shown=query.limit_shown,
        good_below=query.must_be == "below",
        lines=tuple(ChartLine(name=each.name, values=each.values) for each in history.series),
    )


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
        ChartMark(at=each.since, kind="alert", text=each.name) for each in beside.alerts or () if each.since is not None
    ]
    inside = [each for each in found if start <= each.at <= end]
    return tuple(sorted(inside, key=lambda each: each.at)[-_MARKS:])


def _began(run: RunRecord) -> datetime:
    """When its first step began: what it broke, it broke long before its verification ended."""
    took = timedelta(seconds=sum(each.seconds or 0.0 for each in run.steps))
    return run.ended - took if run.ended is not None else datetime.now(UTC) - took


def _kind(run: str) -> Literal["deploy", "rollback"]:
    return "rollback" if run.split(".")[1:2] == ["rollback"] else "deploy"
