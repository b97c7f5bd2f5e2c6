"""CPU throttling: told by the kernel's counters where Prometheus has them, otherwise by the use beside the limit, and which is said."""

import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import UsageView
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import MetricsSettings
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.case import ReadOnce
from runbooks.troubleshooting.findings import Confidence, Trouble
from runbooks.troubleshooting.limits import ContainerLimits
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.resources import POD, Json
from sandbox.outside.prometheus import PrometheusServer
from tests.support.cases import PRODUCTION, case


class _World:
    """The sandbox's cluster, whose backend has a CPU limit, and a Prometheus."""

    def __init__(self, cluster: Cluster, client: ClusterClient, prometheus: PrometheusServer) -> None:
        self.client, self.prometheus = client, prometheus
        self.pods = sorted(pod.name for pod in cluster.pods(PRODUCTION.namespace) if pod.name.startswith("backend-"))
        for name in self.pods:
            cluster.replace(
                POD, PRODUCTION.namespace, name, _limited(cluster.store.get(POD, PRODUCTION.namespace, name))
            )

    async def said(self, use: str = "100m") -> Diagnosed:
        async def used() -> list[UsageView]:
            return [UsageView(name, {"backend": {"cpu": use, "memory": "10Mi"}}) for name in self.pods]

        metrics = Metrics(PRODUCTION, MetricsSettings(prometheus=MonitoringServer(url=self.prometheus.url)))
        async with case({Metrics: metrics}, cluster=self.client) as asked:
            places = tuple(replace(each, usage_of_pods=ReadOnce(used, [])) for each in asked.places)
            return await diagnose(replace(asked, places=places), (ContainerLimits(),))


def _limited(pod: Json | None) -> Json:
    assert pod is not None
    made = copy.deepcopy(pod)
    made["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "500m"
    return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[_World]:
    cluster = Cluster()
    seed_omnicare(cluster)
    kubeconfig = tmp_path / "kubeconfig"
    prometheus = PrometheusServer(cluster)
    async with cluster.serve(), prometheus.serve():
        kubeconfig.write_text(cluster.kubeconfig("admin"))
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
            yield _World(cluster, client, prometheus)


async def test_the_counters_decide_where_there_are_some(world: _World):
    world.prometheus.throttled = dict.fromkeys(world.pods, 3.0)
    assert (await world.said(use="499m")).well == ("CPU and memory of pods (throttling by Prometheus' counters)",)
    world.prometheus.throttled |= {world.pods[0]: 41.0, world.pods[1]: 62.4}
    (finding,) = (await world.said()).findings
    assert finding.kind is Trouble.THROTTLED
    assert finding.confidence is Confidence.LIKELY
    assert finding.cause == "backend: 2 of 3 pods are throttled at their CPU limit"
    assert finding.evidence == (
        f"Pod {world.pods[1]} was throttled in 62 % of its CPU periods lately (Prometheus' throttling counters).",
    )


async def test_without_counters_or_prometheus_the_use_beside_the_limit_does(world: _World):
    assert (await world.said()).well == ("CPU and memory of pods (CPU by its use compared with the limit)",)
    for url in (world.prometheus.url, "http://127.0.0.1:1"):
        world.prometheus.url = url
        (finding,) = (await world.said(use="490m")).findings
        assert finding.cause == "backend: 3 of 3 pods use nearly all of their CPU limit"
        assert finding.evidence[0].endswith(": 98 % of its limit now (metrics API).")
