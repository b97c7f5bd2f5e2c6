"""Backups as people see them: how good they are, a drill that reads a real PostgreSQL, and a restore that two others approve."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws_services import INSTANCES, Rds
from sandbox.postgres import Database
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story, story

INSTANCE = INSTANCES["production"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    async with (
        Database(replica=False).serve() as database,
        story(tmp_path / "world", parts=("backups",), database=database) as made,
    ):
        await database.ready()
        yield made


def rds(here: Story) -> Rds:
    (service,) = here.world.aws.services
    assert isinstance(service, Rds)
    return service


async def test_backups_are_seen_proved_by_a_drill_and_restored_to_a_new_instance(here: Story):
    said = await here.answer(ON_CALL, "backups", "Backups of production: all good")
    for each in (
        f"rds:{INSTANCE}-",
        "(automated), 3 h old, encrypted, available",
        "config/",
        "21 days ago in 21.5 min by Dana",
    ):
        assert each in said
    before = set(rds(here).instances)

    drill = await here.ask("db drill", who=ON_CALL)
    await here.press(APPROVER, "approve", drill)
    await here.ended_with(drill, "was restored in")
    assert "encounters: 16,000 rows, the newest of " in here.text(drill, "result")
    assert set(rds(here).instances) == before, "the throw-away instance is gone"
    assert re.search(
        r"was restored \d+ minutes? ago", await here.answer(ON_CALL, "backups", "min by Ines: its tables were read")
    )

    newest = max(name for name in rds(here).snapshots if name.startswith(f"rds:{INSTANCE}-2"))
    await here.type(REQUESTER, f"/omnicare db restore {newest}")
    await here.whispered(REQUESTER, "may not")
    restore = await here.ask(f"db restore {newest}", who=ON_CALL)
    assert "The new instance lacks everything that was written after the snapshot" in await here.says(
        restore, "new instance", "plan"
    )
    await here.press("dana", "approve", restore)
    await here.says(restore, "Dana approved", "approval")
    await here.press(APPROVER, "approve", restore)
    await here.ended_with(restore, "is available, restored from")
    (new,) = set(rds(here).instances) - before
    result = here.text(restore, "result")
    assert new.startswith(f"{INSTANCE}-restore-")
    for each in (f"{INSTANCE} is unchanged", "DATABASE_URL", f"☐ Keep {INSTANCE}"):
        assert each in result


async def test_a_stopped_drill_whose_instance_can_not_be_deleted_names_it_on_its_card(tmp_path: Path):
    async with story(tmp_path / "world", parts=("backups",)) as here:
        await here.inside()
        rds(here).seconds = 600
        here.world.aws.loses = ["DeleteDBInstance"] * 99
        drill = await here.ask("db drill", who=ON_CALL)
        await here.press(APPROVER, "approve", drill)
        await here.says(drill, "creating", "progress")
        await here.stop_run(ON_CALL, drill)
        await here.ended_with(drill, "was stopped by")
        name = f"{INSTANCE}-drill-"
        assert f"aws rds delete-db-instance --db-instance-identifier {name}" in here.text(drill, "result")
        assert here.environment().run is None


async def test_a_deploy_takes_a_snapshot_before_its_migrations(tmp_path: Path):
    async with story(tmp_path / "world", parts=("backups", "migrations")) as here:

        def before_migration(document: dict[str, Any]) -> None:
            document["environments"]["production"]["backups"]["before_migration"] = True

        here.configure(before_migration)
        await here.inside()
        run = await here.deployed("v2.0.0")
        (taken,) = [name for name in rds(here).snapshots if name.startswith(f"{INSTANCE}-backup-")]
        assert f"The snapshot {taken} was taken first." in here.text(run, "result")
        keys = [event.details["key"] for event in here.events() if event.name == "step:finished"]
        assert keys[:3] == ["take", f"back-up:{INSTANCE}", "migrate:backend"]


async def test_a_drill_that_is_due_is_requested_once_by_the_bot_itself_and_approved_like_any_other(tmp_path: Path):
    async with story(tmp_path / "world", parts=("backups",)) as here:
        due = datetime.now(UTC) - timedelta(hours=1)

        def scheduled(document: dict[str, Any]) -> None:
            document["environments"]["production"]["backups"]["drill_schedule"] = f"{due.minute} {due.hour} * * *"

        here.configure(scheduled)
        await here.inside()
        await here.until(here.runs, "it is asked for without anybody's word")
        (drill,) = here.runs()
        await here.says(drill, "the drill schedule", "head")
        await here.leave()
        await here.inside()
        await here.press(APPROVER, "approve", drill)
        await here.ended_with(drill, "was restored in")
        assert here.runs() == [drill]
