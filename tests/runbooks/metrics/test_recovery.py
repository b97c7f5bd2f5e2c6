"""A rate over five minutes after a mend: it recovers once the newest minutes are well, and what goes on is never called a recovery."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.metrics.reading import Metrics
from runbooks.metrics.recovery import recovery, with_recoveries
from runbooks.metrics.settings import METRICS, MetricsSettings
from runbooks.metrics.standing import MetricHistory, NamedSeries, Standing
from sandbox.cluster import Cluster
from sandbox.outside.prometheus import PrometheusServer
from tests.support.cases import PRODUCTION
from tests.support.past_errors import errors_between

END = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)
SCRAPE = 15
SAMPLES = 2 * 3600 // SCRAPE
WINDOW = timedelta(minutes=5)
ERRORS = METRICS[0]
WELL, ILL = 0.02, 3.0
Shares = list[float | None]


def history(shares: Shares, window: int, step: int) -> MetricHistory:
    """Return the error rate over a window of seconds, from its share in each sample; without a sample there is none."""

    def over(end: int) -> float | None:
        known = [share for share in shares[max(0, end - window // SCRAPE) : end] if share is not None]
        return sum(known) / len(known) if known else None

    ends = range(len(shares) % (step // SCRAPE) or step // SCRAPE, len(shares) + 1, step // SCRAPE)
    values = tuple(over(end) for end in ends)
    start = END - timedelta(seconds=step) * (len(values) - 1)
    series = (NamedSeries(values=values),)
    return MetricHistory(query=ERRORS, start=start, step=timedelta(seconds=step), count=len(values), series=series)


def mended(shares: Shares) -> datetime | None:
    """Return since when it recovers, of a metric that is beyond its limit over five minutes."""
    beyond = history(shares, 300, 60)
    assert beyond.standing is Standing.BEYOND
    found = recovery(beyond, history(shares, 60, SCRAPE), WINDOW)
    return found.since if found is not None else None


def minutes(*parts: tuple[float, float | None]) -> Shares:
    """Return the samples of a time that ends with these parts, each so many minutes of one share; before, all is well."""
    newest = [share for length, share in parts for _ in range(round(length * 60 / SCRAPE))]
    return [*[WELL] * (SAMPLES - len(newest)), *newest]


def again(on: float, off: float, times: int) -> list[tuple[float, float | None]]:
    return [(on, ILL), (off, 0.0)] * times


@pytest.mark.parametrize("ago", [2, 2.5, 3, 4])
def test_once_two_minutes_are_well_it_recovers_since_the_mend(ago: float) -> None:
    since = mended(minutes((20, ILL), (ago, WELL)))
    assert since is not None
    assert timedelta(0) <= since - (END - timedelta(minutes=ago)) <= timedelta(minutes=1)


def test_errors_once_in_a_while_that_have_ended_recover() -> None:
    assert mended(minutes(*again(0.25, 0.75, 20), (3, 0.0))) is not None


@pytest.mark.parametrize(
    "shares",
    [
        minutes((20, ILL)),
        minutes((20, ILL), (1, WELL)),
        minutes((20, ILL), (3, WELL), (0.25, ILL)),
        minutes(*again(0.25, 2.75, 8)),
        minutes(*again(2, 2, 6)),
        minutes((20, ILL), (3, None)),
        minutes((20, ILL), (2.5, WELL), (1.25, None)),
        [ILL] * SAMPLES,
    ],
    ids=["goes on", "just mended", "again", "now and then", "on and off", "no data", "data that ended", "always"],
)  # fmt: skip
def test_what_goes_on_or_is_not_known_is_no_recovery(shares: Shares) -> None:
    assert mended(shares) is None


@given(on=st.integers(1, 40), off=st.integers(0, 19), phase=st.integers(0, 60))
def test_errors_that_come_and_go_evenly_are_never_a_recovery(on: int, off: int, phase: int) -> None:
    shares: Shares = [ILL if (at + phase) % (on + off) < on else 0.0 for at in range(SAMPLES)]
    assert mended(shares) is None


@given(
    bad=st.lists(st.floats(0.2, 100), min_size=20, max_size=200),
    good=st.lists(st.floats(0, 0.09), min_size=8, max_size=18),
)
def test_errors_without_a_break_that_have_ended_always_recover(bad: list[float], good: list[float]) -> None:
    shares: Shares = [*[WELL] * (SAMPLES - len(bad) - len(good)), *bad, *good]
    if history(shares, 300, 60).standing is Standing.BEYOND:
        since = mended(shares)
        assert since is not None
        assert END - since <= len(good) * timedelta(seconds=SCRAPE)


async def test_the_same_metric_recovers_since_the_same_time_whatever_it_is_read_over() -> None:
    prometheus = PrometheusServer(Cluster())
    now = datetime.now(UTC)
    prometheus.fault = partial(errors_between, now.timestamp() - 1200, now.timestamp() - 210)
    async with prometheus.serve() as url:
        metrics = Metrics(PRODUCTION, MetricsSettings(prometheus=MonitoringServer(url=url), queries=(ERRORS,)))
        found = []
        for seconds, points in ((3600, 16), (7200, 120), (3 * 3600, 90)):  # of status, diagnose and metrics
            read = await metrics.histories((ERRORS,), now, seconds, points=points)
            assert [each.standing for each in read] == [Standing.BEYOND]
            (each,) = await with_recoveries(metrics, read, now, within=60)
            assert each.standing is Standing.RECOVERING
            assert each.recovery is not None
            found.append(each.recovery.since)
        assert len(set(found)) == 1
        (each,) = await with_recoveries(metrics, read, now, within=0)
        assert each.standing is Standing.BEYOND, "no time was left for the second look"
