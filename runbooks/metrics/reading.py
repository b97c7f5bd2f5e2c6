"""Reads metrics over a time, side by side, each within its deadline. One that fails is one without values."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import Alert, AlertmanagerClient
from runbooks.clients.prometheus.metrics import MetricRange, PrometheusClient
from runbooks.clients.prometheus.promql import written_out
from runbooks.clients.prometheus.regions import RegionMonitoring, by_server
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment
from runbooks.metrics.settings import MetricQuery, MetricsSettings
from runbooks.metrics.standing import MetricHistory, NamedSeries
from runbooks.wording import listed

POINTS = 180
SHORTEST = 300.0
"""Seconds; a shorter time shows nothing."""
_FINEST = 15.0
"""Seconds between two points at least: Prometheus scrapes no more often as a rule."""
_SIDE_BY_SIDE = 8
"""Prometheus takes 20 queries at once, and is not asked by us alone."""
_LINES = 4
"""Series of one metric that are kept: those with the worst newest values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringAlerts:
    """What one Alertmanager says."""

    regions: tuple[str, ...] = ()
    """The regions that it is asked for; none: all of the environment."""
    alerts: tuple[Alert, ...] = ()
    why: str = ""
    """Why nobody knows; empty where it answered."""


@dataclass(frozen=True, slots=True)
class _Prometheus:
    """One Prometheus, and the regions that it is asked for."""

    regions: tuple[str, ...]
    server: MonitoringServer
    client: PrometheusClient
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_SIDE_BY_SIDE))


class Metrics:
    """The environment's metrics and alerts, of all regions together or of each that has a Prometheus or an Alertmanager of its own."""

    def __init__(
        self, environment: Environment, settings: MetricsSettings, own: Mapping[str, RegionMonitoring] | None = None
    ) -> None:
        """`own`: what regions have of their own. The environment or a region has a Prometheus: without it there are no metrics."""
        self.settings = settings
        self._environment = environment
        names, own = [each.name for each in environment.regions], own or {}
        measuring = by_server(names, settings.prometheus, {name: each.prometheus for name, each in own.items()})
        alerting = by_server(names, settings.alertmanager, {name: each.alertmanager for name, each in own.items()})
        self._prometheus = tuple(_Prometheus(where, server, PrometheusClient(server)) for where, server in measuring)
        self._alertmanagers = tuple((where, AlertmanagerClient(server)) for where, server in alerting)
        assert self._prometheus, "metrics need a Prometheus"

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The regions that have no Prometheus, while others have one."""
        known = {region for each in self._prometheus for region in each.regions}
        return tuple(each.name for each in self._environment.regions if known and each.name not in known)

    def named(self, names: Sequence[str]) -> tuple[MetricQuery, ...]:
        """Return the metrics of these names or groups, in the configuration's order; all where none is named."""
        return tuple(each for each in self.settings.queries if not names or {each.name, each.group.value} & {*names})

    async def alerts(self, seconds: float, regions: Sequence[str] = ()) -> tuple[FiringAlerts, ...]:
        """Return the alerts that fire now, by each Alertmanager of these regions, or of all. One that does not answer in time says why."""
        asked = [(where, client) for where, client in self._alertmanagers if _about(where, regions)]
        return tuple(await asyncio.gather(*(_firing(where, client, seconds) for where, client in asked)))

    async def histories(
        self,
        queries: Sequence[MetricQuery],
        now: datetime,
        seconds: float,
        *,
        points: int = POINTS,
        within: float | None = None,
        window: float | None = None,
        regions: Sequence[str] = (),
    ) -> tuple[MetricHistory, ...]:
        """Return what each was in the last seconds, at most so many points, by each Prometheus of these regions, or of all.

        `within`: the time limit, where it is shorter. `window`: the seconds over which rates are taken, where they are not the configured ones.
        """
        limit = min(self.settings.deadline_seconds, within or self.settings.deadline_seconds)
        step = max(_FINEST, _even(max(seconds, SHORTEST) / points))
        end = now.timestamp() // _FINEST * _FINEST  # not of the step: the newest minutes matter most
        count = int(max(seconds, SHORTEST) // step) + 1
        start = datetime.fromtimestamp(end - step * (count - 1), UTC).astimezone(now.tzinfo)
        pairs = [(query, each) for query in queries for each in self._asked(regions)]
        return tuple(await asyncio.gather(*(self._history(*pair, start, step, count, limit, window) for pair in pairs)))

    async def newest_by(self, label: str, query: str, now: datetime, region: str = "") -> dict[str, float]:
        """Return what a query gives now in a region for each value of the label; nothing where it has no data. Raises `RunbookError`."""
        newest: dict[str, float] = {}
        for each in self._asked((region,) if region else ()):
            async with each.turns:
                found = await each.client.range(
                    self._written(query, _FINEST), start=now.timestamp(), step=_FINEST, count=1
                )
            for series in found.series:
                if (name := series.labels.get(label, "")) and (value := series.values[-1]) is not None:
                    newest[name] = value
        return newest

    def by_hand(self, queries: Sequence[MetricQuery], seconds: float, regions: Sequence[str] = ()) -> tuple[str, ...]:
        """Return `curl` lines for the values now; addresses and accounts are the reader's own to set."""
        asked = [(each, self._variables(each)) for each in self._asked(regions)]
        variables = [name for _, names in asked for name in names]
        return (
            f"# set {listed(variables)} first",
            *(line for each, (address, *token) in asked for line in self._curl(each, address, token, queries, seconds)),
        )

    def _variables(self, prometheus: _Prometheus) -> tuple[str, ...]:
        """Return the shell's variables that stand for its address and its token."""
        server = prometheus.server
        own = () if server == self.settings.prometheus else prometheus.regions
        wanted = ("PROMETHEUS_URL", *(("PROMETHEUS_TOKEN",) if server.secret and not server.user else ()))
        return tuple("_".join((name, *own)).upper().replace("-", "_") for name in wanted)

    def _curl(
        self,
        prometheus: _Prometheus,
        address: str,
        token: Sequence[str],
        queries: Sequence[MetricQuery],
        seconds: float,
    ) -> Iterator[str]:
        user = prometheus.server.user
        account = "".join(f'-H "Authorization: Bearer ${name}" ' for name in token)
        account = f"-u {shlex.quote(user)} " if user else account
        step = max(_FINEST, _even(max(seconds, SHORTEST) / POINTS))
        times = f'--data-urlencode "start=$(($(date +%s) - {int(seconds)}))" --data-urlencode "end=$(date +%s)" -d step={step:g}'
        for each in queries:
            yield (
                f'curl -fsSG {account}"${address}/api/v1/query_range" {times} '
                f"--data-urlencode {shlex.quote(f'query={self._written(each.query, step)}')}"
            )

    def _asked(self, regions: Sequence[str]) -> list[_Prometheus]:
        """Return each Prometheus that these regions have; all where none is named."""
        return [each for each in self._prometheus if _about(each.regions, regions)]

    async def _history(
        self,
        query: MetricQuery,
        prometheus: _Prometheus,
        start: datetime,
        step: float,
        count: int,
        limit: float,
        window: float | None,
    ) -> MetricHistory:
        empty = MetricHistory(
            query=query, start=start, step=timedelta(seconds=step), count=count, regions=prometheus.regions
        )
        try:
            async with asyncio.timeout(limit), prometheus.turns:
                found = await prometheus.client.range(
                    self._written(query.query, step, window), start=start.timestamp(), step=step, count=count
                )
        except TimeoutError:
            return _without(empty, f"no answer within {limit:g} s")
        except RunbookError as error:
            return _without(empty, error.message.rstrip("."))
        return _with(empty, found)

    def _written(self, query: str, step: float, window: float | None = None) -> str:
        where, over = self._environment, f"{round(max(window or self.settings.window_seconds, step))}s"
        return written_out(query, {"window": over, "namespace": where.namespace, "environment": where.name})


async def _firing(regions: tuple[str, ...], client: AlertmanagerClient, seconds: float) -> FiringAlerts:
    try:
        async with asyncio.timeout(seconds):
            return FiringAlerts(regions=regions, alerts=await client.firing())
    except TimeoutError:
        return FiringAlerts(regions=regions, why=f"no answer within {seconds:g} s")
    except RunbookError as error:
        return FiringAlerts(regions=regions, why=error.message.rstrip("."))


def _about(regions: Sequence[str], asked: Sequence[str]) -> bool:
    """Return whether a server that is there for these regions is asked about those."""
    return not regions or not asked or not {*regions}.isdisjoint(asked)


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
