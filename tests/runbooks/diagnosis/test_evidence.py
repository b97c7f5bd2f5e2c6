"""What is kept of pods before they go away: enough to find the cause, nothing that must not leave, and never in the way."""

import asyncio

import pytest

from runbooks.diagnosis import evidence
from runbooks.kit.steps import PlainPulse
from tests.support.real import Place, image


@pytest.fixture
async def crashed(here: Place) -> Place:
    await here.deploy("backend", replicas=2)
    await here.set_image("backend", image("backend", "v2.0.0-crash").reference)
    async with asyncio.timeout(60):
        async for seen in here.cluster.watch_pods(here.namespace):
            if seen.view is not None and seen.view.restarts > 0:
                return here
    raise AssertionError("unreachable")


async def kept(here: Place, run: str = "production.rollback.0f3a") -> evidence.KeptEvidence:
    """Without the haste of a rollback: a busy control plane that answers late is not what these tests are about."""
    return await evidence.keep(PlainPulse(run), here.cluster, here.environment, ["backend"], patience=60)


async def test_state_events_and_logs_of_every_pod_are_kept_the_worst_first(crashed: Place):
    found = await kept(crashed)
    assert found.pods == 3
    assert found.lines > 0
    told = await evidence.find(crashed.cluster, crashed.environment, "production.rollback.0f3a")
    assert told is not None
    assert told.summary == found.said
    assert "v2.0.0-crash" in told.text
    assert "exit code 1" in told.text
    assert "Log before the last restart" in told.text
    assert told.text.index("not ready") < told.text.index("· ready")


async def test_nothing_that_must_not_leave_is_kept_and_it_fits(crashed: Place):
    """The clusters' invented logs have passwords, tokens and patients in them."""
    await kept(crashed)
    told = await evidence.find(crashed.cluster, crashed.environment, "production.rollback.0f3a")
    assert told is not None
    assert "hunter2" not in told.text
    assert "eyJhbGciOiJIUzI1NiJ9.eyJ" not in told.text
    assert len(told.text.encode()) <= evidence.LARGEST + 1024


async def test_the_same_step_again_leaves_what_was_kept_first(here: Place):
    await here.deploy("backend", replicas=1)
    await kept(here)
    first = await evidence.find(here.cluster, here.environment, "production.rollback.0f3a")
    await here.set_image("backend", image("backend", "v2.0.0").reference)
    await here.until("backend", lambda d: d.rolled_out and d.updated == 1)
    await kept(here)
    assert await evidence.find(here.cluster, here.environment, "production.rollback.0f3a") == first


async def test_the_oldest_goes_when_there_are_too_many(here: Place):
    await here.deploy("backend", replicas=1)
    for number in range(evidence.KEPT_RUNS + 2):
        await kept(here, f"production.rollback.{number:04}")
    names = {each.name for each in await here.cluster.config_maps(here.environment.record_namespace)}
    mine = sorted(name for name in names if name.startswith("evidence-"))
    assert len(mine) == evidence.KEPT_RUNS
    assert await evidence.find(here.cluster, here.environment, f"production.rollback.{evidence.KEPT_RUNS + 1:04}")


async def test_that_it_can_t_be_written_stops_nobody(here: Place):
    await here.deploy("backend", replicas=1)
    nowhere = here.environment.model_copy(update={"record_namespace": "not-there"})
    found = await evidence.keep(PlainPulse("production.rollback.0f3a"), here.cluster, nowhere, ["backend"])
    assert found.why
