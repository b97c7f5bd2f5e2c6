"""Migrations before the services of a deploy, alone, left out, and undone: from the typed command to the card."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.migrations import BROKEN
from tests.support.worlds import APPROVER, PRODUCTION, Story, story

NEW = ("20261001_add_encounter_reason", "20261015_index_observations_by_code")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("migrations",)) as made:
        yield made


async def test_a_deploy_names_its_migrations_applies_them_first_and_says_what_they_did(here: Story) -> None:
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    plan = here.text(run, "plan")
    assert all(name in plan for name in NEW), plan
    assert "20261015_index_observations_by_code locks observations against writing" in plan
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "2 migrations applied in" in here.text(run, "result")
    assert (await here.world.schemas.applied(PRODUCTION))[-2:] == list(NEW)
    assert here.world.schemas.ran == [(PRODUCTION, "migrate:up")]


async def test_a_failed_migration_stops_the_deploy_before_any_service_changed(here: Story) -> None:
    run = await here.ask(f"deploy {BROKEN}")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "stopped at Migrate the database")
    said = here.text(run, "result")
    assert "Backend and frontend were not touched" in said
    assert "20261101_ward_as_number failed" in said
    assert {pod.version for pod in here.world.cluster.pods(PRODUCTION) if pod.deployment} == {"v1.2.0"}
