"""Regions with a Prometheus and an Alertmanager of their own: each is asked, side by side, and one that is silent is unknown by its name."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from aiohttp import web

from commands.kit.card import Paragraph, Text
from commands.kit.metric_facts import (
    MeasuredState,
    alert_names,
    alerts_by_region,
    answered,
    measured_state,
    metric_facts,
    metric_trouble,
    metric_unknown,
    region_paragraphs,
)
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer as AlertmanagerSettings
from runbooks.clients.prometheus.regions import RegionMonitoring, by_server
from runbooks.kit.targets import Region
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import MetricsSettings
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.findings import Trouble
from runbooks.troubleshooting.measured import Alerts, MetricLimits
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.prometheus import PrometheusServer, Raised
from tests.support.cases import case
from tests.support.two_regions import with_regions

PATIENCE = 60.0
WHERE = with_regions(ap=Region(name="ap", kubectl="kubectl --context ap"))
ERRORS = "http_requests_total"


@dataclass
class Here:
    """The environment's own servers, those of us, and the region ap, which has none."""

    home: PrometheusServer
    us: PrometheusServer
    home_alerts: AlertmanagerServer
    us_alerts: AlertmanagerServer

    @property
    def metrics(self) -> Metrics:
        settings = MetricsSettings(
            prometheus=MonitoringServer(url=self.home.url),
            alertmanager=AlertmanagerSettings(url=self.home_alerts.url),
            deadline_seconds=15,
        )
        own = RegionMonitoring(
            prometheus=MonitoringServer(url=self.us.url), alertmanager=AlertmanagerSettings(url=self.us_alerts.url)
        )
        return Metrics(WHERE, settings, {"us": own})

    async def state(self) -> MeasuredState:
        return await measured_state(self.metrics, datetime.now(UTC), PATIENCE)

    async def diagnosed(self) -> Diagnosed:
        async with case({Metrics: self.metrics}, environment=WHERE) as asked:
            return await diagnose(asked, (MetricLimits(), Alerts()), seconds=PATIENCE)

    def break_us(self) -> None:
        self.us.raised[ERRORS] = Raised(time.time() - 1500)
        self.us_alerts.fire("HighErrorRate", 23)

    def silence_us(self) -> None:
        self.us.fault = self.us_alerts.fault = lambda _: web.Response(status=503)


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    clusters = Cluster(), Cluster()
    for cluster in clusters:
        seed_omnicare(cluster)
    made = Here(*(PrometheusServer(each) for each in clusters), *(AlertmanagerServer(each) for each in clusters))
    async with made.home.serve(), made.us.serve(), made.home_alerts.serve(), made.us_alerts.serve():
        yield made


def said(text: Text) -> str:
    return "".join(span.text if hasattr(span, "text") else "" for span in text.spans)


def regions_of(state: MeasuredState) -> list[str]:
    return [said(each.text) for each in region_paragraphs(state) if isinstance(each, Paragraph)]


def test_a_region_without_a_server_shares_the_environments_and_equal_servers_are_asked_once() -> None:
    names, shared, own = ("eu", "us", "ap"), MonitoringServer(url="http://a"), MonitoringServer(url="http://b")
    assert by_server(names, shared, {}) == (((), shared),)
    assert by_server((), shared, {}) == (((), shared),)
    assert by_server(names, shared, {"us": own}) == ((("eu", "ap"), shared), (("us",), own))
    assert by_server(names, shared, {"us": own, "ap": own}) == ((("eu",), shared), (("us", "ap"), own))
    assert by_server(names, shared, {"us": shared}) == (((), shared),)
    assert by_server(names, None, {"us": own, "ap": None}) == ((("us",), own),)


async def test_each_regions_figures_stand_under_its_name(here: Here) -> None:
    here.break_us()
    state = await here.state()
    assert metric_facts(state) == ()
    home, us = regions_of(state)
    assert home.startswith("eu and ap\nError rate: 0.0")
    assert home.endswith("\nAlerts: none")
    assert us.startswith("us\nError rate: 2.")
    assert " above its limit (< 0.1 %) since " in us
    assert "\nAlerts: HighErrorRate since " in us
    assert metric_trouble(state) == ", error rate above its limit in us, 1 alert fires in us"
    assert metric_unknown(state) == ""
    assert answered(state) == ("error rate", "API p95", "alerts")
    assert alert_names(state.alerts) == ["HighErrorRate"]
    assert alerts_by_region(state.alerts) == {"eu": [], "ap": [], "us": ["HighErrorRate"]}


async def test_a_region_that_does_not_answer_is_unknown_and_hides_no_other(here: Here) -> None:
    here.silence_us()
    here.home.raised[ERRORS] = Raised(time.time() - 1500)
    state = await here.state()
    home, us = regions_of(state)
    assert "above its limit" in home
    assert us == (
        "us\nError rate: unknown: Prometheus answers with status 503\nAPI p95: unknown: Prometheus answers with status 503\n"
        "Alerts: unknown, because Alertmanager does not answer"
    )
    assert metric_trouble(state) == ", error rate above its limit in eu and ap"
    assert metric_unknown(state) == ", metrics and alerts unknown in us"
    assert answered(state) == ("error rate in eu and ap", "API p95 in eu and ap", "alerts in eu and ap")
    assert alert_names(state.alerts) == []
    assert alerts_by_region(state.alerts)["us"] is None


async def test_servers_for_all_regions_are_asked_once_and_name_none(here: Here) -> None:
    settings = MetricsSettings(prometheus=MonitoringServer(url=here.home.url))
    shared = Metrics(WHERE, settings)
    state = await measured_state(shared, datetime.now(UTC), PATIENCE)
    assert region_paragraphs(state) == ()
    assert [fact.label for fact in metric_facts(state)] == ["Error rate", "API p95"]
    assert len(here.home.asked) == 2
    (errors,) = shared.named(["error-rate"])
    assert shared.by_hand([errors], 60)[0] == "# set PROMETHEUS_URL first"


async def test_one_region_alone_can_be_asked(here: Here) -> None:
    metrics, now = here.metrics, datetime.now(UTC)
    (errors,) = metrics.named(["error-rate"])
    for region, regions in (("us", ("us",)), ("ap", ("eu", "ap"))):
        (found,) = await metrics.histories([errors], now, 3600, regions=[region])
        (alerts,) = await metrics.alerts(PATIENCE, [region])
        assert found.regions == alerts.regions == regions
    comment, *lines = metrics.by_hand([errors], 60)
    assert comment == "# set PROMETHEUS_URL and PROMETHEUS_URL_US first"
    assert ['"$PROMETHEUS_URL_US/api' in line for line in lines] == [False, True]
    here.us.throttled = {"backend-1": 40.0}
    assert await metrics.newest_by("pod", "container_cpu_cfs_throttled", now, "us") == {"backend-1": 40.0}
    assert await metrics.newest_by("pod", "container_cpu_cfs_throttled", now, "eu") == {}


async def test_only_a_region_may_have_a_prometheus(here: Here) -> None:
    own = {"us": RegionMonitoring(prometheus=MonitoringServer(url=here.us.url))}
    metrics = Metrics(WHERE, MetricsSettings(), own)
    assert metrics.unmeasured == ("eu", "ap")
    assert (
        here.metrics.unmeasured
        == Metrics(WHERE, MetricsSettings(prometheus=MonitoringServer(url="http://a"))).unmeasured
        == ()
    )
    (errors,) = await metrics.histories(metrics.named(["error-rate"]), datetime.now(UTC), 3600)
    assert errors.title == "Error rate in us"
    assert await metrics.alerts(PATIENCE) == ()


async def test_diagnose_names_the_region_of_a_metric_and_of_an_alert(here: Here) -> None:
    here.break_us()
    found = await here.diagnosed()
    assert {(each.kind, each.region) for each in found.findings} == {(Trouble.ERRORS, "us"), (Trouble.ALERT, "us")}
    assert found.findings[0].cause.startswith("Error rate: 2.")
    here.us.raised.clear()
    here.us_alerts.resolve("HighErrorRate")
    here.home.raised[ERRORS] = Raised(time.time() - 1500)
    (finding,) = (await here.diagnosed()).findings
    assert finding.cause.startswith("Error rate in eu and ap: 2."), "they can't be told apart"
    assert finding.region == ""


async def test_diagnose_finds_what_is_wrong_beside_a_region_that_is_silent(here: Here) -> None:
    here.silence_us()
    here.home.raised[ERRORS] = Raised(time.time() - 1500)
    found = await here.diagnosed()
    assert [each.kind for each in found.findings] == [Trouble.ERRORS]
    unknown = dict(found.unknown)
    assert unknown["alerts"].startswith("us: Alertmanager answers with status 503")
    assert unknown["metrics"].startswith("us: error-rate, api-p95, endpoints and ")
    assert unknown["metrics"].endswith("more: Prometheus answers with status 503")
