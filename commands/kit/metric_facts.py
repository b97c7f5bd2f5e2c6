"""Metrics and alerts in words, the same in `metrics` and in `status`: what can't be read is unknown, never well."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.kit.card import Fact, Moment, Paragraph, Strong, Text, words
from runbooks.metrics.chart import sparkline
from runbooks.metrics.reading import FiringAlerts, Metrics
from runbooks.metrics.recovery import with_recoveries
from runbooks.metrics.settings import MetricQuery
from runbooks.metrics.standing import MetricHistory, Standing, where
from runbooks.wording import by_count, counted, in_sentence, listed

_LOOKED_AT = 3600.0
_POINTS = 60
"""A value every minute: with fewer, a time since when would be minutes later than the one that `metrics` and `diagnose` tell."""
_ALERTS = 6


@dataclass(frozen=True, slots=True)
class MeasuredState:
    """The few metrics that say how an environment is, over the last hour, and what fires."""

    histories: tuple[MetricHistory, ...] = ()
    alerts: tuple[FiringAlerts, ...] = ()
    """By each Alertmanager; none where none is configured."""


async def measured_state(metrics: Metrics, now: datetime, seconds: float) -> MeasuredState:
    """Return them within so many seconds; what takes longer is unknown."""
    queries = tuple(each for name in metrics.settings.status for each in metrics.settings.queries if each.name == name)
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds

    async def read() -> tuple[MetricHistory, ...]:
        found = await metrics.histories(queries, now, _LOOKED_AT, points=_POINTS, within=seconds)
        return await with_recoveries(metrics, found, now, within=ends - loop.time())

    histories, alerts = await asyncio.gather(read(), metrics.alerts(seconds))
    return MeasuredState(histories, alerts)


def metric_facts(state: MeasuredState) -> tuple[Fact, ...]:
    """Return a fact for each metric of the whole environment, with a sparkline, and one for alerts where some fire or nobody knows."""
    facts = [Fact(label=each.query.title, value=_now(each)) for each in state.histories if not each.regions]
    alerts = alerts_in_words([each for each in state.alerts if not each.regions])
    return (*facts, *((Fact(label="Alerts", value=alerts),) if alerts is not None else ()))


def region_paragraphs(state: MeasuredState) -> tuple[Paragraph, ...]:
    """Return a paragraph for each region that has a Prometheus or an Alertmanager of its own: its name, then a line for each metric, and the alerts."""
    places = [*(each.regions for each in state.histories), *(each.regions for each in state.alerts)]
    found = []
    for place in dict.fromkeys(filter(None, places)):
        lines = [words(f"{each.query.title}: ", _now(each)) for each in state.histories if each.regions == place]
        lines += [words("Alerts: ", _firing(each)) for each in state.alerts if each.regions == place]
        below = [part for line in lines for part in ("\n", line)]
        found.append(Paragraph(text=words(Strong(text=listed(place)), *below)))
    return tuple(found)


def metric_trouble(state: MeasuredState) -> str:
    """Return such as `, error rate above its limit in us, 1 alert fires in us`; empty where nothing is known to be wrong."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for each in state.histories:
        if stands := beyond_or_recovering(each):
            wrong.setdefault((in_sentence(each.query.title), stands), []).extend(each.regions)
    said = [f", {title} {stands}{where(names)}" for (title, stands), names in wrong.items()]
    said += [
        f", {counted(count, 'alert')} {by_count(count, 'fires', 'fire')}{where(each.regions)}"
        for each in state.alerts
        if (count := len(each.alerts))
    ]
    return "".join(said)


def metric_unknown(state: MeasuredState) -> str:
    """Return such as `, metrics and alerts unknown in us`; empty where all could be read. What nobody can see is not called well."""
    said = ""
    for place in dict.fromkeys([*(each.regions for each in state.histories), *(each.regions for each in state.alerts)]):
        asked = [each for each in state.histories if each.regions == place]
        unknown = [in_sentence(each.query.title) for each in asked if each.standing is Standing.UNKNOWN]
        names = ["metrics"] if len(unknown) == len(asked) > 1 else unknown
        names += ["alerts"] * any(each.why for each in state.alerts if each.regions == place)
        said += f", {listed(names)} unknown{where(place)}" if names else ""
    return said


def beyond_or_recovering(history: MetricHistory) -> str:
    """Return `above its limit` or `recovering since 14:02`; empty where it is neither."""
    if history.recovery is not None:
        return history.recovery.shown
    return f"{side(history.query)} its limit" if history.standing is Standing.BEYOND else ""


def answered(state: MeasuredState) -> tuple[str, ...]:
    """Return what could be read, as it stands inside of a sentence: with its region only where another one did not answer."""
    asked = [
        (in_sentence(each.query.title), each.regions, each.standing is not Standing.UNKNOWN) for each in state.histories
    ]
    asked += [("alerts", each.regions, not each.why) for each in state.alerts]
    found: list[str] = []
    for name in dict.fromkeys(name for name, _, _ in asked):
        read = [(regions, known) for each, regions, known in asked if each == name]
        everywhere = all(known for _, known in read)
        found += [name] if everywhere else [f"{name}{where(regions)}" for regions, known in read if known]
    return tuple(found)


def alerts_in_words(said: Sequence[FiringAlerts]) -> Text | None:
    """Return the alerts with their times, each region's for itself; None where none fires."""
    spans: list[str | Text] = []
    for each in said:
        if each.alerts or each.why:
            place = f"{listed(each.regions)}: " if each.regions else ""
            spans += [*filter(None, [f"{'; ' if spans else ''}{place}"]), _firing(each)]
    return words(*spans) if spans else None


def _firing(said: FiringAlerts) -> Text:
    if said.why:
        return words("unknown, because Alertmanager does not answer")
    spans: list[str | Moment] = []
    for each in said.alerts[:_ALERTS]:
        spans += [f"{', ' if spans else ''}{each.name}", *((" since ", Moment(at=each.since)) if each.since else ())]
    more = len(said.alerts) - _ALERTS
    return words(*(spans or ["none"]), *([f" and {more} more"] if more > 0 else []))


def alert_names(said: Sequence[FiringAlerts]) -> list[str] | None:
    """For `--json`: the names of all alerts; None where an Alertmanager is asked and none answers."""
    known = [each for each in said if not each.why]
    return [alert.name for each in known for alert in each.alerts] if known or not said else None


def alerts_by_region(said: Sequence[FiringAlerts]) -> dict[str, list[str] | None]:
    """For `--json`: the same for each region that is asked for itself."""
    return {region: alert_names([each]) for each in said for region in each.regions}


def side(query: MetricQuery) -> str:
    """Return on which side of its limit it is bad."""
    return "above" if query.must_be == "below" else "below"


def metric_data(history: MetricHistory) -> dict[str, object]:
    """For `--json`."""
    query, since = history.query, history.beyond_since
    return {
        "name": query.name,
        "group": query.group.value,
        "regions": list(history.regions),
        "unit": query.unit,
        "now": history.now,
        "usual": history.usual,
        "worst": history.worst,
        "limit": query.limit,
        "standing": history.standing.value,
        "since": since.isoformat() if since else None,
        "recovering_since": history.recovery.since.isoformat() if history.recovery is not None else None,
        "unknown": history.unknown,
    }


def _now(history: MetricHistory) -> Text:
    if history.standing is Standing.UNKNOWN:
        return words(f"unknown: {history.unknown}")
    said = f"{history.query.shown(history.now)} {sparkline(history.values, limit=history.query.limit)}"
    if history.recovery is not None:
        bound = f", still {side(history.query)} its limit ({history.query.limit_shown})"
        return words(f"{said} recovering since ", Moment(at=history.recovery.since), bound)
    if history.standing is not Standing.BEYOND:
        return words(said)
    since = history.beyond_since
    began = (" since ", Moment(at=since)) if since else (f" for {_LOOKED_AT / 3600:g} h or longer",)
    return words(f"{said} {side(history.query)} its limit ({history.query.limit_shown})", *began)
