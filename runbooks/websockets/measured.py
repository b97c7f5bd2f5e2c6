"""WebSocket drops by the logs and by Prometheus together. A log ends with its pod; Prometheus keeps what pods that are gone have dropped."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory
from runbooks.websockets.reading import Rise, WebsocketReading, rise_of
from runbooks.websockets.settings import MINUTES, WebsocketSettings


class Drops(NamedTuple):
    """Since when connections drop more often, and how often they do now."""

    rise: Rise | None
    per_minute: float | None
    """None where neither the logs nor Prometheus tell."""


async def measured(
    metrics: Metrics | None, settings: WebsocketSettings, now: datetime, *, within: float
) -> Mapping[str, MetricHistory]:
    """Return `connections` and `drops` over the time that is looked at, each where it is set and Prometheus is configured."""
    queries = settings.queries()
    if metrics is None or not queries:
        return {}
    found = await metrics.histories(queries, now, MINUTES * 60, points=MINUTES, within=within)
    return {each.query.name: each for each in found}


def known_drops(histories: Mapping[str, MetricHistory]) -> MetricHistory | None:
    """Return the drops a minute by Prometheus; None where it has no data."""
    found = histories.get("drops")
    return found if found is not None and any(value is not None for value in found.values) else None


def drops_of(reading: WebsocketReading | None, counted: MetricHistory | None) -> Drops:
    """Return what the logs tell; what Prometheus has counted where it alone saw a rise, or where no log tells."""
    logged = reading.per_minute if reading is not None else None
    if reading is not None and reading.rise is not None:
        return Drops(reading.rise, logged if logged is not None or counted is None else counted.now)
    rise = rise_of(counted.values, counted.start, counted.step) if counted is not None else None
    now = counted.now if counted is not None else None
    return Drops(rise, now if now is not None and (logged is None or rise is not None) else logged)
