"""The same tests over every cluster there is: the real control plane and the sandbox's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.cluster.settings import Settings
from tests.support.real import Place, place, real_kubeconfig
from tests.support.two_regions import TwoRegions, two_regions


@pytest.fixture
def slow_seconds() -> float:
    """How long a slow version takes in the sandbox's cluster: longer than any test, unless one waits for its end."""
    return 600.0


@pytest.fixture(params=["sandbox", pytest.param("real", marks=pytest.mark.real_cluster)])
async def kubeconfig(request: pytest.FixtureRequest, tmp_path: Path, slow_seconds: float) -> AsyncIterator[str]:
    """A cluster's admin kubeconfig."""
    if request.param == "real":
        path = real_kubeconfig()
        if path is None:
            pytest.skip("REAL_CLUSTER_KUBECONFIG names no kubeconfig")
        yield path
        return
    cluster = Cluster(
        Settings(
            start_seconds=(0.05, 0.15),
            slow_seconds=slow_seconds,
            pull_retry_seconds=0.5,
            stop_seconds=0.1,
            observe_seconds=0.05,
        )
    )
    async with cluster.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        yield str(written)


@pytest.fixture
async def here(kubeconfig: str) -> AsyncIterator[Place]:
    async with place(kubeconfig) as made:
        yield made


@pytest.fixture
def is_real(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.get_closest_marker("real_cluster"))


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[TwoRegions]:
    async with two_regions(tmp_path) as made:
        yield made
