"""The sandbox's Prometheus over a time: what ran in the cluster shows in its metrics."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.metrics import PrometheusClient
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.settings import Settings
from sandbox.outside.prometheus import PrometheusServer, Raised

WHERE = '{namespace="omnicare-prod"}'
LATENCY = f"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{WHERE}[5m])))"
ERRORS = 'sum(rate(http_requests_total{namespace="omnicare-prod",status=~"5.."}[5m]))'


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster(Settings(nodes=3))
    seed_omnicare(made)
    async with made.serve():
        yield made


async def test_a_deploy_is_slower_for_a_while_and_a_bad_version_makes_errors_from_then_on(cluster: Cluster) -> None:
    async with PrometheusServer(cluster).serve() as url:
        client = PrometheusClient(MonitoringServer(url=url))
        began = time.time()
        cluster.set_image("omnicare-prod", "backend", "ghcr.io/omnicare/backend:v2.1.0-errors")
        async with asyncio.timeout(60):
            async for pods in cluster.changes("omnicare-prod"):
                if sum(pod.ready and pod.version.endswith("-errors") for pod in pods) == 3:
                    break

        async def around(query: str) -> tuple[float, float, float]:
            """A quarter of an hour before, right after, and a quarter of an hour later."""
            found = await client.range(query, start=began - 900, step=900 + time.time() - began, count=3)
            (series,) = found.series
            assert None not in series.values
            return series.values  # type: ignore[return-value]

        before, after, later = await around(LATENCY)
        assert after > before * 1.2
        assert later == pytest.approx(before, rel=0.15)
        before, after, later = await around(ERRORS)
        assert before < 0.1 < min(after, later)


async def test_restarts_are_as_many_as_the_pods_have_had_since_something_was_broken(cluster: Cluster) -> None:
    prometheus = PrometheusServer(cluster)
    prometheus.raised["kube_pod_container_status_restarts_total"] = Raised(time.time() - 600, 1)
    query = f"sum(increase(kube_pod_container_status_restarts_total{WHERE}[1h]))"
    async with prometheus.serve() as url:
        client = PrometheusClient(MonitoringServer(url=url))

        async def newest() -> float | None:
            found = await client.range(query, start=time.time(), step=15, count=1)
            return found.series[0].values[-1]

        assert await newest() == 1
        cluster.set_image("omnicare-prod", "backend", "ghcr.io/omnicare/backend:v2.1.0-crash")
        async with asyncio.timeout(60):
            async for pods in cluster.changes("omnicare-prod"):
                if sum(pod.restarts for pod in pods) > 1:
                    break
        assert (await newest() or 0) > 1
