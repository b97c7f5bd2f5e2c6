"""WebSocket drops by the logs and by Prometheus together. A log ends with its pod; Prometheus keeps what pods that are gone have dropped."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory
from runbooks.websockets.reading import Rise, WebsocketReading, much_higher, rise_of, whole_minute
from runbooks.websockets.settings import MINUTES, WebsocketSettings


class Drops(NamedTuple):
    """Since when connections drop more often, and how often they do now."""

    rise: Rise | None
    per_minute: float | None
    """None where neither the logs nor Prometheus tell."""


async def measured(
    metrics: Metrics | None,
    settings: WebsocketSettings,
    now: datetime,
    *,
    within: float,
    regions: Sequence[str] = (),
) -> tuple[MetricHistory, ...]:
    """Return `connections` and `drops` over the time that is looked at, each where it is set, by each Prometheus of these regions, or of all."""
    queries = settings.queries()
    if metrics is None or not queries:
        return ()
    return await metrics.histories(
        queries, whole_minute(now), MINUTES * 60, points=MINUTES, within=within, regions=regions
    )


def known_drops(histories: Sequence[MetricHistory]) -> tuple[MetricHistory, ...]:
    """Return the drops a minute by each Prometheus that has data: those that rise first, then the most."""
    known = [each for each in histories if each.query.name == "drops" and any(v is not None for v in each.values)]
    return tuple(sorted(known, key=lambda each: (drops_of(None, each).rise is None, -(each.now or 0.0))))


def drops_of(reading: WebsocketReading | None, counted: MetricHistory | None) -> Drops:
    """Return what the logs tell; what Prometheus has counted where it alone saw a rise, or where no log tells.

    A rise that Prometheus saw is over once its newest value, a rate over minutes, is as before.
    """
    logged = reading.per_minute if reading is not None else None
    if reading is not None and reading.rise is not None:
        return Drops(reading.rise, logged if logged is not None or counted is None else counted.now)
    rise = rise_of(counted.values, counted.start, counted.step) if counted is not None else None
    now = counted.now if counted is not None else None
    if rise is not None and now is not None and not much_higher(rise.before, now):
        rise = None
    return Drops(rise, now if now is not None and (logged is None or rise is not None) else logged)
