"""Whether a metric that is beyond its limit only still contains the time before a mend: its rates are taken over minutes.

The same query over a shorter window tells. It must have been beyond the limit too, and since then within it for longer than it ever was while the
trouble lasted: errors that come once in a while leave quiet minutes, which are no recovery.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory, MetricRecovery, Standing

RECOVERY_SECONDS = 1.5
"""For the second look at what is beyond its limit; without its answer nothing recovers."""
_SHORT = timedelta(seconds=60)
"""Four scrapes, as a rule. Where they are rarer there is no rate over it, and nothing is known of a recovery."""
_STEP = 15.0
_LOOKED_BACK = 7200.0
"""Seconds: the same whatever time the metric was read over, so that the same metric recovers wherever it is shown."""
_QUIET = timedelta(seconds=60)
"""So long the rate over the short window must be within the limit, so all samples of two minutes are."""
_LONGER = 2
"""Times the longest quiet time while the trouble lasted."""


async def with_recoveries(
    metrics: Metrics, histories: Sequence[MetricHistory], now: datetime, *, within: float, regions: Sequence[str] = ()
) -> tuple[MetricHistory, ...]:
    """Return the metrics, those that recover with their recovery. Where that can't be read within so many seconds, they stay beyond their limit."""
    asked = {
        (each.query.name, each.regions): each
        for each in histories
        if each.standing is Standing.BEYOND and each.query.rate and _window(metrics, each) >= 2 * _SHORT
    }
    if not asked or within <= 0:
        return tuple(histories)
    queries = {each.query.name: each.query for each in asked.values()}
    read = await metrics.histories(
        tuple(queries.values()),
        now,
        _LOOKED_BACK,
        points=round(_LOOKED_BACK / _STEP),
        within=within,
        window=_SHORT.total_seconds(),
        regions=regions,
    )
    newest = {(each.query.name, each.regions): each for each in read}
    found = {key: recovery(each, newest[key], _window(metrics, each)) for key, each in asked.items() if key in newest}
    return tuple(replace(each, recovery=found.get((each.query.name, each.regions))) for each in histories)


def _window(metrics: Metrics, history: MetricHistory) -> timedelta:
    """Return the time over which its rates are taken."""
    return max(timedelta(seconds=metrics.settings.window_seconds), history.step)


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
    since = newest.at(bad[-1]).astimezone(history.start.tzinfo)
    return MetricRecovery(since=since, now=last, window=window)
