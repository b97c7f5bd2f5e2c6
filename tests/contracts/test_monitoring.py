"""Our clients and the guide's queries against the small Prometheus and Alertmanager, and against Debian's real ones where they are installed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerClient, AlertmanagerServer
from runbooks.clients.prometheus.metrics import MetricReading, PrometheusClient
from runbooks.clients.prometheus.promql import written_out
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.targets import Environment
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import METRICS as METRICS_OF_THE_GUIDE
from runbooks.metrics.settings import MetricsSettings
from runbooks.troubleshooting.limits import THROTTLED_SHARE
from runbooks.verification.settings import METRICS
from tests.support.monitoring import NAMESPACE, Monitoring, program, real, small

STARTS = 30.0
"""Seconds for a real server to start and to have been fed."""


@pytest.fixture(params=["small", "real"])
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Monitoring]:
    if request.param == "small":
        async with small() as found:
            yield found
        return
    if program("prometheus") is None or program("prometheus-alertmanager") is None:
        pytest.skip("Prometheus and Alertmanager are not installed (PROMETHEUS_BINARIES)")
    async with real(tmp_path) as found:
        yield found


async def test_the_guides_queries_give_numbers_and_what_is_not_counted_gives_none(here: Monitoring) -> None:
    client = PrometheusClient(MonitoringServer(url=here.prometheus))
    values = {"window": "5s", "namespace": NAMESPACE, "environment": "production"}

    async def fed(query: str) -> MetricReading:
        reading = await client.instant(written_out(query, values))
        if reading.value is None:
            raise TemporaryError(reading.unknown, code=ReasonCode.MONITORING_UNREACHABLE)
        return reading

    found = {}
    for metric in METRICS:
        found[metric.name] = (await retried(lambda query=metric.query: fed(query), seconds=STARTS)).value  # type: ignore[misc]
    assert found["error rate"] == 0, "no errors are zero errors"
    assert all(metric.holds(found[metric.name] or 0.0, None) for metric in METRICS), found

    assert await client.critical_rules() == 2

    nothing = await client.instant('sum(rate(nobody_exports_this{namespace="omnicare-prod"}[5s]))')
    assert (nothing.value, nothing.unknown) == (None, "no data")
    idle = await client.instant("sum(rate(idle_total[5s])) / sum(rate(idle_total[5s]))")
    assert idle.value is None
    assert "NaN" in idle.unknown
    with pytest.raises(PermanentError, match="does not accept the query") as caught:
        await client.instant("sum(rate(x[5s])")
    assert caught.value.code is ReasonCode.MONITORING_REFUSED


async def test_the_guides_key_metrics_are_read_over_a_time(here: Monitoring) -> None:
    server = MonitoringServer(url=here.prometheus)
    environment = Environment(name="production", namespace=NAMESPACE, record_namespace="bot", services=())
    metrics = Metrics(environment, MetricsSettings(prometheus=server, window_seconds=5))
    client = PrometheusClient(server)

    async def fed() -> float:
        now = datetime.now(UTC).timestamp()
        found = await client.range(
            f'sum(rate(http_requests_total{{namespace="{NAMESPACE}"}}[5s]))', start=now - 40, step=1, count=41
        )
        numbers = [value for value in found.series[0].values if value is not None] if found.series else []
        if not numbers:
            raise TemporaryError("no data yet", code=ReasonCode.MONITORING_UNREACHABLE)
        assert len(found.series[0].values) == 41
        return numbers[-1]

    assert await retried(fed, seconds=STARTS) >= 0
    assert await metrics.newest_by("pod", THROTTLED_SHARE, datetime.now(UTC)) == {}, "it is PromQL, and nobody counts"
    by_route = await metrics.newest_by("route", "sum by (route) (rate(http_requests_total[5s]))", datetime.now(UTC))
    assert all(name and value >= 0 for name, value in by_route.items())
    histories = await metrics.histories(METRICS_OF_THE_GUIDE, datetime.now(UTC), 600)
    assert {each.count for each in histories} == {41}
    assert all(each.why in ("", "no data") for each in histories), [each.why for each in histories]
    routes = await client.range(
        "sum by (route) (rate(http_requests_total[5s]))", start=datetime.now(UTC).timestamp() - 5, step=1, count=6
    )
    assert all(name != "" for name in routes.series[0].labels)
    with pytest.raises(PermanentError, match="does not accept the query"):
        await client.range("sum(rate(x[5s])", start=1.0, step=1, count=2)
    nothing = await client.range("nobody_exports_this", start=1_700_000_000.0, step=15, count=3)
    assert (nothing.series, nothing.unknown) == ((), "no data")


async def test_receivers_and_critical_alerts_are_read_as_alertmanager_tells_them(here: Monitoring) -> None:
    client = AlertmanagerClient(AlertmanagerServer(url=here.alertmanager))
    assert set(await retried(client.receivers, seconds=STARTS)) == {"pagerduty", "slack"}
    assert await client.firing() == ()
    for labels in (
        {"alertname": "HighErrorRate", "severity": "critical", "namespace": NAMESPACE},
        {"alertname": "CertificateExpiry", "severity": "low", "namespace": NAMESPACE},
    ):
        await here.fire(labels)
    (alert,) = await client.firing()
    assert alert.name == "HighErrorRate"
    assert alert.fingerprint
    elsewhere = AlertmanagerServer(url=here.alertmanager, matchers=('severity="critical"', 'namespace="other"'))
    assert await AlertmanagerClient(elsewhere).firing() == ()
