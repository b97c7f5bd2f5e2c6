"""Restarts that a metric still counts: trouble while the pods that restarted run, over once a rollback has removed them."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.deployments.service_state import Listed
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import MetricsSettings
from runbooks.troubleshooting.asking import diagnose
from runbooks.troubleshooting.case import ReadOnce
from runbooks.troubleshooting.findings import Confidence, Finding, Trouble
from runbooks.troubleshooting.measured import MetricLimits
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.prometheus import PrometheusServer, Raised
from tests.support.cases import PRODUCTION, case


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
        assert gone.confidence is Confidence.POSSIBLE
        assert gone.evidence[0].startswith("The pods that restarted are gone")
        assert [each.command for each in gone.to_do] == ["metrics restarts"]
        there = await said(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        assert there.confidence is Confidence.CERTAIN
        assert [each.command for each in there.to_do] == ["pods", "metrics restarts"]
