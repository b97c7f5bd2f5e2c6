"""Reads metrics over a time, side by side, each within its deadline. One that fails is one without values."""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbooks.clients.prometheus.alerts import Alert, AlertmanagerClient
from runbooks.clients.prometheus.metrics import MetricRange, PrometheusClient
from runbooks.clients.prometheus.promql import written_out
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment
from runbooks.metrics.settings import MetricQuery, MetricsSettings
from runbooks.metrics.standing import MetricHistory, NamedSeries

POINTS = 90
SHORTEST = 300.0
"""Seconds; a shorter time shows nothing."""
_FINEST = 15.0
"""Seconds between two points at least: Prometheus scrapes no more often as a rule."""
_SIDE_BY_SIDE = 8
"""Prometheus takes 20 queries at once, and is not asked by us alone."""
_LINES = 4
"""Series of one metric that are kept: those with the worst newest values."""


class Metrics:
    """The environment's metrics and alerts."""

    def __init__(self, environment: Environment, settings: MetricsSettings) -> None:
        """`settings.prometheus` is set: without it there are no metrics."""
        assert settings.prometheus is not None, "metrics need a Prometheus"
        self.settings = settings
        self._environment = environment
        self._prometheus = PrometheusClient(settings.prometheus)
        self._alertmanager = AlertmanagerClient(settings.alertmanager) if settings.alertmanager is not None else None
        self._turns = asyncio.Semaphore(_SIDE_BY_SIDE)

    def named(self, names: Sequence[str]) -> tuple[MetricQuery, ...]:
        """Return the metrics of these names or groups, in the configuration's order; all where none is named."""
        return tuple(each for each in self.settings.queries if not names or {each.name, each.group.value} & {*names})

    async def alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that fire now. Raises `RunbookError`."""
        return await self._alertmanager.firing() if self._alertmanager is not None else ()

    async def histories(
        self,
        queries: Sequence[MetricQuery],
        now: datetime,
        seconds: float,
        *,
        points: int = POINTS,
        within: float | None = None,
    ) -> tuple[MetricHistory, ...]:
        """Return what each was in the last seconds, at most so many points. `within`: the time limit, where it is shorter."""
        limit = min(self.settings.deadline_seconds, within or self.settings.deadline_seconds)
        step = max(_FINEST, _even(max(seconds, SHORTEST) / points))
        end = now.timestamp() // _FINEST * _FINEST  # not of the step: the newest minutes matter most
        count = int(max(seconds, SHORTEST) // step) + 1
        start = datetime.fromtimestamp(end - step * (count - 1), UTC).astimezone(now.tzinfo)
        return tuple(await asyncio.gather(*(self._history(each, start, step, count, limit) for each in queries)))

    async def newest_by(self, label: str, query: str, now: datetime) -> dict[str, float]:
        """Return what a query gives now for each value of the label; nothing where it has no data. Raises `RunbookError`."""
        async with self._turns:
            found = await self._prometheus.range(
                self._written(query, _FINEST), start=now.timestamp(), step=_FINEST, count=1
            )
        newest = ((each.labels.get(label, ""), each.values[-1]) for each in found.series)
        return {name: value for name, value in newest if name and value is not None}

    def by_hand(self, queries: Sequence[MetricQuery], seconds: float) -> tuple[str, ...]:
        """Return `curl` lines for the values now; the address and an account are the reader's own to set."""
        prometheus = self.settings.prometheus
        assert prometheus is not None, "metrics need a Prometheus"
        account = '-H "Authorization: Bearer $PROMETHEUS_TOKEN" ' if prometheus.secret and not prometheus.user else ""
        account = f"-u {shlex.quote(prometheus.user)} " if prometheus.user else account
        step = max(_FINEST, _even(max(seconds, SHORTEST) / POINTS))
        times = f'--data-urlencode "start=$(($(date +%s) - {int(seconds)}))" --data-urlencode "end=$(date +%s)" -d step={step:g}'
        token = " and PROMETHEUS_TOKEN" if prometheus.secret and not prometheus.user else ""
        return (
            f"# set PROMETHEUS_URL{token} first",
            *(
                f'curl -fsSG {account}"$PROMETHEUS_URL/api/v1/query_range" {times} '
                f"--data-urlencode {shlex.quote(f'query={self._written(each.query, step)}')}"
                for each in queries
            ),
        )

    async def _history(
        self, query: MetricQuery, start: datetime, step: float, count: int, limit: float
    ) -> MetricHistory:
        empty = MetricHistory(query=query, start=start, step=timedelta(seconds=step), count=count)
        try:
            async with asyncio.timeout(limit), self._turns:
                found = await self._prometheus.range(
                    self._written(query.query, step), start=start.timestamp(), step=step, count=count
                )
        except TimeoutError:
            return _without(empty, f"no answer within {limit:g} s")
        except RunbookError as error:
            return _without(empty, error.message.rstrip("."))
        return _with(empty, found)

    def _written(self, query: str, step: float) -> str:
        where, window = self._environment, f"{round(max(self.settings.window_seconds, step))}s"
        return written_out(query, {"window": window, "namespace": where.namespace, "environment": where.name})


def _with(empty: MetricHistory, found: MetricRange) -> MetricHistory:
    query = empty.query
    if found.unknown:
        return _without(empty, found.unknown)
    if not query.series and len(found.series) > 1:
        return _without(empty, f"{len(found.series)} series instead of one: aggregate them")
    lines = [NamedSeries(name=each.labels.get(query.series, ""), values=each.values) for each in found.series]
    lines.sort(key=_newest, reverse=query.must_be == "below")
    return replace(empty, series=tuple(lines[:_LINES]))


def _newest(line: NamedSeries) -> float:
    return next((value for value in reversed(line.values) if value is not None), 0.0)


def _without(empty: MetricHistory, why: str) -> MetricHistory:
    return replace(empty, why=why)


def _even(seconds: float) -> float:
    """Return the next length that divides clocks evenly."""
    for step in (15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800):
        if seconds <= step:
            return float(step)
    return 43200.0
