"""What a metric still counts though it is over: restarts of pods that a rollback has removed, errors from before a mend."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer as AlertmanagerAddress
from runbooks.clients.prometheus.regions import RegionMonitoring
from runbooks.deployments.service_state import Listed
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import METRICS, MetricsSettings
from runbooks.troubleshooting.asking import diagnose
from runbooks.troubleshooting.case import ReadOnce, RecentRun
from runbooks.troubleshooting.findings import Confidence, Finding, Trouble
from runbooks.troubleshooting.measured import Alerts, MetricLimits
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.prometheus import PrometheusServer, Raised
from tests.support.cases import PRODUCTION, case
from tests.support.past_errors import errors_between
from tests.support.two_regions import with_regions


class ErrorsOf(Protocol):
    """Diagnoses errors that began and ended so many minutes ago."""

    async def __call__(self, began: float, ended: float, *, alert: bool) -> Sequence[Finding]: ...


async def test_restarts_of_pods_that_are_gone_are_over(tmp_path: Path) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    prometheus = PrometheusServer(cluster)
    prometheus.raised["kube_pod_container_status_restarts_total"] = Raised(time.time() - 1800, 8)
    async with cluster.serve(), prometheus.serve() as url:
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig("admin"))
        metrics = Metrics(PRODUCTION, MetricsSettings(prometheus=MonitoringServer(url=url)))

        async def said(ended: str) -> Finding:
            async with (
                ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client,
                case({Metrics: metrics}, cluster=client) as asked,
            ):
                found = await asked.places[0].listed()
                pod = found.pods[0]
                again = replace(pod.containers[0], restarts=3, ended_at=ended)
                pods = [replace(pod, containers=(again,)), *found.pods[1:]]

                async def listed() -> Listed:
                    return replace(found, pods=pods)

                places = tuple(replace(each, listed=ReadOnce(listed, [])) for each in asked.places)
                (finding,) = (await diagnose(replace(asked, places=places), (MetricLimits(),))).findings
            assert finding.kind is Trouble.RESTARTS
            return finding

        gone = await said("2020-01-01T00:00:00Z")
        assert (gone.confidence, gone.recovering) == (Confidence.POSSIBLE, True)
        assert gone.evidence[0].startswith("The pods that restarted are gone")
        assert [each.command for each in gone.to_do] == ["metrics restarts"]
        there = await said(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        assert (there.confidence, there.recovering) == (Confidence.CERTAIN, False)
        assert [each.command for each in there.to_do] == ["pods", "metrics restarts"]


@pytest.fixture
async def errors_of() -> AsyncIterator[ErrorsOf]:
    """Yields a function that diagnoses an application whose error rate is too high between two times, which a deploy came before."""
    cluster = Cluster()
    prometheus, alertmanager = PrometheusServer(cluster), AlertmanagerServer(cluster)
    async with prometheus.serve() as url, alertmanager.serve() as alerts:
        settings = MetricsSettings(
            prometheus=MonitoringServer(url=url),
            alertmanager=AlertmanagerAddress(url=alerts),
            queries=(METRICS[0],),
        )
        now = datetime.now(UTC)
        deploy = RecentRun(
            id="7KQ2", title="Deploy v2.0.0 to production", command="deploy", state="succeeded",
            at=now - timedelta(minutes=24), ended=now - timedelta(minutes=22),
        )  # fmt: skip

        async def diagnosed(began: float, ended: float, *, alert: bool) -> Sequence[Finding]:
            prometheus.fault = partial(errors_between, now.timestamp() - began * 60, now.timestamp() - ended * 60)
            if alert:
                alertmanager.fire("HighErrorRate", began - 2)
            else:
                alertmanager.resolve("HighErrorRate")
            async with case({Metrics: Metrics(PRODUCTION, settings)}, runs=[deploy], now=now) as asked:
                return (await diagnose(asked, (MetricLimits(), Alerts()))).findings

        yield diagnosed


@pytest.mark.parametrize("alert", [False, True])
async def test_an_error_rate_that_falls_after_a_mend_recovers_and_blames_no_change(
    errors_of: ErrorsOf, alert: bool
) -> None:
    first, *others = await errors_of(20, 3.5, alert=alert)
    assert first.cause.startswith("Error rate: recovering since ")
    assert (first.recovering, first.kind) == (True, Trouble.ERRORS)
    assert [each.kind for each in others] == [Trouble.ALERT] * alert
    said = str([each.model_dump() for each in (first, *others)])
    assert "7KQ2" not in said
    assert "rollback" not in said


@pytest.mark.parametrize("alert", [False, True])
async def test_an_error_rate_that_goes_on_is_blamed_on_the_change_before_it(errors_of: ErrorsOf, alert: bool) -> None:
    first, *_ = await errors_of(20, 0, alert=alert)
    assert first.cause.startswith("Deploy v2.0.0 to production, run 7KQ2; since then error rate: 3")
    assert first.to_do[0].command == "rollback"


async def test_of_two_regions_with_a_prometheus_each_only_the_one_that_was_mended_recovers() -> None:
    now = datetime.now(UTC)
    eu, us = PrometheusServer(Cluster()), PrometheusServer(Cluster())
    eu.fault = partial(errors_between, now.timestamp() - 1200, now.timestamp() - 210)
    us.fault = partial(errors_between, now.timestamp() - 1200, now.timestamp())
    async with eu.serve(), us.serve():
        own = {
            name: RegionMonitoring(prometheus=MonitoringServer(url=each.url)) for name, each in (("eu", eu), ("us", us))
        }
        metrics = Metrics(with_regions(), MetricsSettings(queries=(METRICS[0],)), own)
        async with case({Metrics: metrics}, environment=with_regions(), now=now) as asked:
            found = (await MetricLimits().look(asked)).found
    assert {each.region: each.recovering for each in found} == {"eu": True, "us": False}


async def test_an_error_rate_over_five_minutes_that_is_within_its_limit_is_no_trouble(errors_of: ErrorsOf) -> None:
    assert await errors_of(20, 6, alert=False) == ()
