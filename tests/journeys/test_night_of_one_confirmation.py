"""The night: a deploy fails at the backend, `rollback`, one confirmation, and production is back on the release before.

On both clusters, since on a real one every write of the bot is observed a little later than it is answered.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.audit import EventName
from sandbox.cluster import Cluster
from sandbox.cluster.settings import Settings
from sandbox.outside.registry import digest_of
from tests.support.real import Place, place, real_kubeconfig
from tests.support.worlds import APPROVER, ON_CALL, SERVICES, Story, story

LATE = Settings(start_seconds=(0.05, 0.15), pull_retry_seconds=0.2, stop_seconds=0.1, observe_seconds=0.4)
"""The controller observes a change so late that whatever reads right after a write reads what is not observed yet."""


@pytest.fixture(
    params=[pytest.param("sandbox", marks=pytest.mark.kill), pytest.param("real", marks=pytest.mark.real_cluster)]
)
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with _kubeconfig(request.param, tmp_path) as kubeconfig, place(kubeconfig) as made:
        for service in SERVICES:
            await made.deploy(service, "v1.2.0", replicas=2)
        yield made


@asynccontextmanager
async def _kubeconfig(which: str, folder: Path) -> AsyncIterator[str]:
    if which == "real":
        path = real_kubeconfig()
        if path is None:
            pytest.skip("REAL_CLUSTER_KUBECONFIG names no kubeconfig")
        yield path
        return
    cluster = Cluster(LATE)
    async with cluster.serve():
        written = folder / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        yield str(written)


async def test_one_confirmation_brings_production_back(here: Place, tmp_path: Path) -> None:
    async with story(tmp_path / "world", elsewhere=here) as told:
        await told.start()
        await told.deployed("v2.0.0")
        failed = await _falls(told, "v2.1.0-bad")
        await _goes_back(told, "v2.0.0")
        await told.says(failed, "v2.0.0")
    await _runs(here, "v2.0.0")


async def test_without_a_recorded_release_it_goes_to_the_revision_before(here: Place, tmp_path: Path) -> None:
    async with story(tmp_path / "world", elsewhere=here) as told:
        await told.start()
        await _falls(told, "v2.1.0-bad")
        await _goes_back(told, "v1.2.0")
    for service in SERVICES:
        view = await here.cluster.deployment(here.namespace, service)
        assert ":v1.2.0@" in view.containers[0].image


async def _falls(told: Story, version: str) -> str:
    run = await told.ask(f"deploy {version}")
    await told.press(APPROVER, "approve", run)
    await told.says(run, "stopped at", "result")
    return run


async def _goes_back(told: Story, version: str) -> None:
    back = await told.ask("rollback", who=ON_CALL)
    await told.press(ON_CALL, "approve", back)
    await told.ended_with(back, f"Back on {version} in production")
    events = told.event_names(back)
    assert events.count(EventName.APPROVAL_ASKED) == 1, events
    assert events.count(EventName.RUN_STARTED) == 1


async def _runs(here: Place, version: str) -> None:
    for service in SERVICES:
        view = await here.until(service, lambda each: each.rolled_out)
        assert view.containers[0].image == f"ghcr.io/omnicare/{service}:{version}@{digest_of(service, version)}"
