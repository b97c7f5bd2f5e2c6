"""Whether a metric that is beyond its limit only still contains the time before a mend: its rates are taken over minutes.

The same query over a shorter window tells. It must have been beyond the limit too, and since then within it for longer than it ever was while the
trouble lasted: errors that come once in a while leave quiet minutes, which are no recovery.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory

_WINDOW = 60.0
"""Seconds: four scrapes, as a rule. Where they are rarer there is no rate over it, and nothing is known of a recovery."""
_STEP = 15.0
_QUIET = timedelta(seconds=60)
"""So long the rate over the short window must be within the limit, so all samples of two minutes are."""
_LONGER = 2
"""Times the longest quiet time while the trouble lasted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecovery:
    """A metric is within its limit again, though the value over the usual window is not yet."""

    since: datetime
    now: float
    """Over the short window."""


async def recoveries(
    metrics: Metrics, beyond: Sequence[MetricHistory], now: datetime, *, within: float, regions: Sequence[str] = ()
) -> tuple[MetricRecovery | None, ...]:
    """Return for each of the metrics how it recovers; None where it does not, or that can't be read."""
    window = timedelta(seconds=metrics.settings.window_seconds)
    asked = [each for each in beyond if each.query.rate and window.total_seconds() >= 2 * _WINDOW]
    if not asked:
        return (None,) * len(beyond)
    seconds = max((each.end - each.start).total_seconds() for each in asked)
    queries = {each.query.name: each.query for each in asked}
    read = await metrics.histories(
        tuple(queries.values()),
        now,
        seconds,
        points=max(1, round(seconds / _STEP)),
        within=within,
        window=_WINDOW,
        regions=regions,
    )
    newest = {(each.query.name, each.regions): each for each in read}
    return tuple(
        recovery(each, short, window) if (short := newest.get((each.query.name, each.regions))) is not None else None
        for each in beyond
    )


def recovery(history: MetricHistory, newest: MetricHistory, window: timedelta) -> MetricRecovery | None:
    """Return the recovery of a metric that is beyond its limit; `newest` is the same metric over a shorter window."""
    values, query = newest.values, newest.query
    began = (history.beyond_since or history.start) - window
    bad = [
        place
        for place, value in enumerate(values)
        if value is not None and not query.holds(value) and newest.at(place) >= began
    ]
    if not bad:
        return None
    quiet = values[bad[-1] + 1 :]
    last = quiet[-1] if quiet else None
    paused = max((after - before - 1 for before, after in pairwise(bad)), default=0)
    if last is None or None in quiet or len(quiet) * newest.step < _QUIET or len(quiet) <= _LONGER * paused:
        return None
    return MetricRecovery(since=newest.at(bad[-1]), now=last)
