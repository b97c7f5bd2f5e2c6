"""Metrics and alerts in words, the same in `metrics` and in `status`: what can't be read is unknown, never well."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.kit.card import Fact, Moment, Text, words
from runbooks.clients.prometheus.alerts import Alert
from runbooks.kit.errors import RunbookError
from runbooks.metrics.chart import sparkline
from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory, Standing
from runbooks.wording import by_count, counted

_LOOKED_AT = 3600.0
_POINTS = 16
_ALERTS = 6


@dataclass(frozen=True, slots=True)
class MeasuredState:
    """The few metrics that say how an environment is, over the last hour, and what fires."""

    histories: tuple[MetricHistory, ...] = ()
    alerts: Sequence[Alert] | None = ()
    """None: unknown."""


async def measured_state(metrics: Metrics, now: datetime, seconds: float) -> MeasuredState:
    """Return them within so many seconds; what takes longer is unknown."""
    queries = tuple(each for name in metrics.settings.status for each in metrics.settings.queries if each.name == name)
    histories, alerts = await asyncio.gather(
        metrics.histories(queries, now, _LOOKED_AT, points=_POINTS, within=seconds), firing(metrics, seconds)
    )
    return MeasuredState(histories, alerts)


async def firing(metrics: Metrics, seconds: float) -> Sequence[Alert] | None:
    """Return the alerts that fire; None where Alertmanager does not answer within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await metrics.alerts()
    except (TimeoutError, RunbookError):
        return None


def metric_facts(state: MeasuredState) -> tuple[Fact, ...]:
    """Return a fact for each metric, with a sparkline, and one for alerts where some fire or nobody knows."""
    facts = [Fact(label=each.query.title, value=_now(each)) for each in state.histories]
    alerts = alerts_in_words(state.alerts)
    return (*facts, *((Fact(label="Alerts", value=alerts),) if alerts is not None else ()))


def metric_trouble(state: MeasuredState) -> str:
    """Return such as `, error rate above its limit, 1 alert fires`; empty where nothing is known to be wrong."""
    beyond = [each for each in state.histories if each.standing is Standing.BEYOND]
    said = [f", {in_sentence(each)} {side(each)} its limit" for each in beyond]
    if count := len(state.alerts or ()):
        said.append(f", {counted(count, 'alert')} {by_count(count, 'fires', 'fire')}")
    return "".join(said)


def alerts_in_words(alerts: Sequence[Alert] | None) -> Text | None:
    """Return the alerts with their times; None where none fires."""
    if alerts is None:
        return words("unknown, because Alertmanager does not answer")
    if not alerts:
        return None
    spans: list[str | Moment] = []
    for each in alerts[:_ALERTS]:
        spans += [f"{', ' if spans else ''}{each.name}", *((" since ", Moment(at=each.since)) if each.since else ())]
    more = len(alerts) - _ALERTS
    return words(*spans, *([f" and {more} more"] if more > 0 else []))


def in_sentence(history: MetricHistory) -> str:
    """Return the title as it stands inside of a sentence: `error rate`, and `API p95` as it is."""
    title = history.query.title
    return title if title[1:2].isupper() else f"{title[:1].lower()}{title[1:]}"


def side(history: MetricHistory) -> str:
    """Return on which side of its limit it is bad."""
    return "above" if history.query.must_be == "below" else "below"


def metric_data(history: MetricHistory) -> dict[str, object]:
    """For `--json`."""
    query, since = history.query, history.beyond_since
    return {
        "name": query.name,
        "group": query.group.value,
        "unit": query.unit,
        "now": history.now,
        "usual": history.usual,
        "worst": history.worst,
        "limit": query.limit,
        "standing": history.standing.value,
        "since": since.isoformat() if since else None,
        "unknown": history.unknown,
    }


def _now(history: MetricHistory) -> Text:
    if history.standing is Standing.UNKNOWN:
        return words(f"unknown: {history.unknown}")
    said = f"{history.query.shown(history.now)} {sparkline(history.values, limit=history.query.limit)}"
    if history.standing is not Standing.BEYOND:
        return words(said)
    since = history.beyond_since
    began = (" since ", Moment(at=since)) if since else (f" for {_LOOKED_AT / 3600:g} h or longer",)
    return words(f"{said} {side(history)} its limit ({history.query.limit_shown})", *began)
