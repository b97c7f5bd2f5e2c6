"""Metrics over a time, read from a small Prometheus: beyond a limit since when, and unknown where nothing can be read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from pydantic import ValidationError

from commands.kit.card import words
from commands.kit.metric_facts import measured_state, metric_facts, metric_trouble, metric_unknown
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer
from runbooks.clients.prometheus.metrics import PrometheusClient
from runbooks.kit.targets import Environment
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import METRICS, MetricGroup, MetricQuery, MetricsSettings
from runbooks.metrics.standing import MetricHistory, NamedSeries, Standing
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.prometheus import PrometheusServer, Raised

NOW = datetime(2026, 11, 29, 14, 30, 40, tzinfo=UTC)
WHERE = Environment(name="production", namespace="omnicare-prod", record_namespace="bot", services=())


@pytest.fixture
async def prometheus() -> AsyncIterator[PrometheusServer]:
    cluster = Cluster()
    seed_omnicare(cluster)
    server = PrometheusServer(cluster)
    async with server.serve():
        yield server


def metrics(server: PrometheusServer, **settings: object) -> Metrics:
    return Metrics(WHERE, MetricsSettings(prometheus=MonitoringServer(url=server.url), **settings))  # type: ignore[arg-type]


async def looked(server: PrometheusServer, *names: str, seconds: float = 3 * 3600) -> list[MetricHistory]:
    found = metrics(server)
    return [*await found.histories(found.named(names), NOW, seconds)]


async def test_a_metric_beyond_its_limit_says_since_when_and_what_is_usual(prometheus: PrometheusServer) -> None:
    prometheus.raised["http_requests_total"] = Raised((NOW - timedelta(minutes=25)).timestamp())
    errors, latency = await looked(prometheus, "error-rate", "api-p95")
    assert errors.standing is Standing.BEYOND
    assert errors.beyond_since == datetime(2026, 11, 29, 14, 6, 30, tzinfo=UTC)
    assert errors.usual == pytest.approx(0.021, rel=0.2)
    assert errors.worst == pytest.approx(2.4, rel=0.2)
    assert (latency.standing, latency.beyond_since) == (Standing.WITHIN, None)
    assert (latency.count, latency.step, latency.end) == (181, timedelta(minutes=1), NOW.replace(second=30))
    (shown, _) = (await measured_state(metrics(prometheus), NOW, 60)).histories
    assert shown.query.name == "error-rate"
    assert shown.beyond_since == errors.beyond_since, "status tells the same time as metrics"
    (short,) = await looked(prometheus, "error-rate", seconds=300)
    assert (short.standing, short.beyond_since) == (Standing.BEYOND, None), "it was beyond its limit all the time"


async def test_all_of_the_guides_metrics_have_values_and_the_slowest_routes_a_name(
    prometheus: PrometheusServer,
) -> None:
    found = await looked(prometheus)
    assert [each.query for each in found] == list(METRICS)
    assert {each.query.group for each in found} == set(MetricGroup)
    assert all(each.standing in (Standing.WITHIN, Standing.NO_LIMIT) for each in found)
    assert [each.query.name for each in await looked(prometheus, "database")] == [
        "pool",
        "db-p95",
        "replication-lag",
        "locks",
    ]
    (routes,) = await looked(prometheus, "endpoints")
    assert [each.name for each in routes.series] == ["/api/patients/:id", "/api/notes", "/api/sync/changes"]
    assert routes.now == routes.series[0].values[-1], "the slowest counts"


async def test_what_cannot_be_read_is_unknown_with_the_reason_and_costs_the_others_nothing(
    prometheus: PrometheusServer,
) -> None:
    prometheus.silent.add("db_query_duration_seconds")
    prometheus.values["http_request_duration_seconds"] = "NaN"
    errors, latency, database = await looked(prometheus, "error-rate", "api-p95", "db-p95")
    assert errors.standing is Standing.WITHIN
    assert (latency.standing, latency.unknown) == (Standing.UNKNOWN, "no data")
    assert (database.standing, database.unknown) == (Standing.UNKNOWN, "no data")
    prometheus.fault = lambda _: web.Response(status=503)
    (errors,) = await looked(prometheus, "error-rate")
    assert errors.unknown == "Prometheus answers with status 503"
    prometheus.fault = lambda _: web.json_response({"status": "success", "data": {"resultType": "matrix"}})
    (errors,) = await looked(prometheus, "error-rate")
    assert errors.unknown == "Prometheus's answer can't be read"


@pytest.mark.parametrize("hostile", ["1.7e308", "-1e308", "1e31", "+Inf"])
async def test_values_that_nothing_measures_are_no_values_and_end_no_answer(
    prometheus: PrometheusServer, hostile: str
) -> None:
    """Sums and squares of them overflow."""
    newest = NOW.timestamp() // 15 * 15

    def answering(*newer: str) -> None:
        values = [[newest - 60 * place, newer[place] if place < len(newer) else "1"] for place in range(60)]
        data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
        prometheus.fault = lambda _: web.json_response({"status": "success", "data": data})

    answering(*(hostile,) * 50)
    state = await measured_state(metrics(prometheus), NOW, 60)
    assert {each.standing for each in state.histories} == {Standing.UNKNOWN}
    assert all(each.unknown.startswith("no data since") for each in state.histories)
    assert metric_unknown(state) == ", metrics unknown"
    answering("1", hostile, "1", hostile)
    (errors,) = await looked(prometheus, "error-rate", seconds=3600)
    assert (errors.now, errors.usual, errors.worst) == (1.0, 1.0, 1.0)
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [newest, hostile]}]}
    prometheus.fault = lambda _: web.json_response({"status": "success", "data": data})
    reading = await PrometheusClient(MonitoringServer(url=prometheus.url)).instant("up")
    assert reading.value is None
    assert reading.unknown in ("an infinite value", "a value too large to be real")


async def test_a_label_is_redacted_before_it_is_cut(prometheus: PrometheusServer) -> None:
    """Half of a secret is not recognised any more."""
    routes = [f"/{'a' * 47}/523-45-6789", f"/{'a' * 38}/john.fitzgerald@example.org"]
    series = [{"metric": {"route": route}, "values": [[NOW.timestamp(), "1"]]} for route in routes]
    data = {"resultType": "matrix", "result": series}
    prometheus.fault = lambda _: web.json_response({"status": "success", "data": data})
    (found,) = await looked(prometheus, "endpoints")
    assert [each for each in found.series if "523" in each.name or "fitzgerald" in each.name] == []
    assert any("[" in each.name for each in found.series), found.series


async def test_too_many_series_and_a_server_that_hangs_are_unknown(prometheus: PrometheusServer) -> None:
    series = [{"metric": {"route": f"/{place}"}, "values": [[NOW.timestamp(), "1"]]} for place in range(51)]
    data = {"resultType": "matrix", "result": series}
    prometheus.fault = lambda _: web.json_response({"status": "success", "data": data})
    (routes,) = await looked(prometheus, "endpoints")
    assert routes.unknown == "51 series: aggregate them"
    del series[2:]
    errors, routes = await looked(prometheus, "error-rate", "endpoints")
    assert errors.unknown == "2 series instead of one: aggregate them"
    assert len(routes.series) == 2

    gone = asyncio.Event()

    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    async with silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        server = MonitoringServer(url=url)
        settings = MetricsSettings(prometheus=server, alertmanager=AlertmanagerServer(url=url))
        state = await measured_state(Metrics(WHERE, settings), NOW, 0.05)
        gone.set()
    assert [fact.value for fact in metric_facts(state)] == [
        words("unknown: no answer within 0.05 s"),
        words("unknown: no answer within 0.05 s"),
        words("unknown, because Alertmanager does not answer"),
    ]
    assert metric_trouble(state) == "", "unknown is no trouble that is known"
    assert metric_unknown(state) == ", metrics and alerts unknown"


def test_a_metric_that_has_gone_silent_has_no_value_now() -> None:
    values = (*(100.0,) * 20, *(None,) * 3)
    history = MetricHistory(
        query=METRICS[1],
        start=NOW.replace(hour=14, minute=0),
        step=timedelta(minutes=1),
        count=23,
        series=(NamedSeries(values=values),),
    )
    assert (history.standing, history.unknown) == (Standing.UNKNOWN, "no data since 14:19")


def test_a_query_that_is_no_promql_and_a_name_twice_are_refused() -> None:
    with pytest.raises(ValidationError, match="not PromQL"):
        MetricQuery(name="x", title="X", group=MetricGroup.DATABASE, query="sum(rate(")
    with pytest.raises(ValidationError, match="two metrics are called error-rate"):
        MetricsSettings(queries=(METRICS[0], METRICS[0]))
    with pytest.raises(ValidationError, match="there is no metric nonsense"):
        MetricsSettings(status=("nonsense",))
