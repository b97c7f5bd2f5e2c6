"""Migrations before the services of a deploy, alone, left out, and undone: from the typed command to the card."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.fleet.fleet import Undecided, utc_now
from sandbox.cluster.programs import Execution
from sandbox.migrations import BROKEN, DROPS
from sandbox.postgres import Database
from tests.support.worlds import APPROVER, ON_CALL, PRODUCTION, REQUESTER, Story, story

NEW = ("20261001_add_encounter_reason", "20261015_index_observations_by_code")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    async with (
        Database(replica=False).serve() as database,
        story(tmp_path / "world", parts=("migrations",), database=database) as made,
    ):
        await database.ready()
        yield made


async def test_a_deploy_names_its_migrations_applies_them_first_and_says_what_they_did(here: Story) -> None:
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    plan = here.text(run, "plan")
    assert all(name in plan for name in NEW), plan
    assert "20261015_index_observations_by_code locks observations" in plan
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "2 migrations applied" in here.text(run, "result")
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
    assert here.button("type-rollback", run) is None, "there is nothing to go back from"
    back = await here.ask(f"rollback --after {run}", who=ON_CALL)
    await here.says(back, "ended before it changed a service", "result")


async def test_a_failed_migration_is_no_reason_to_leave_the_release_that_runs_well(world: Story) -> None:
    def by_itself(document: dict[str, Any]) -> None:
        document["environments"]["production"]["on_failure"] = "rollback"

    world.configure(by_itself)
    await world.inside()
    run = await world.ask(f"deploy {BROKEN}")
    await world.press(APPROVER, "approve", run)
    await world.ended_with(run, "stopped at Migrate the database")
    await world.until(lambda: world.environment().undecided, "people have to decide")
    assert world.runs() == [run], "no rollback followed"
    assert {pod.version for pod in world.world.cluster.pods(PRODUCTION) if pod.deployment} == {"v1.2.0"}
    assert [each.verdict for each in world.releases() if each.version == "v1.2.0"] != ["bad"]


async def test_a_rollback_warns_of_newer_migrations_and_db_rollback_undoes_them_one_by_one(here: Story) -> None:
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
    assert "v2.0.0 applied 2 migrations that v1.2.0 does not know" in here.text(back, "plan")
    undo = await here.ask("db rollback", who=ON_CALL)
    await here.press("dana", "approve", undo)
    await here.says(undo, "Dana approved", "approval")
    await here.press(APPROVER, "approve", undo)
    await here.ended_with(undo, f"{NEW[1]} is undone in production's database")
    assert (await here.world.schemas.applied(PRODUCTION))[-1] == NEW[0]
    again = await here.ask('deploy v2.0.0 --skip-migrations --reason "the schema is there"')
    await here.press(APPROVER, "approve", again)
    await here.says(again, "Tomas approved", "approval")
    await here.press(ON_CALL, "approve", again)
    await here.ended_with(again, "v2.0.0 runs in production")
    assert "Migrations are skipped" in here.text(again, "plan")
    assert here.world.schemas.ran == [(PRODUCTION, "migrate:up"), (PRODUCTION, "migrate:down")]
    alone = await here.ask("migrate")
    await here.press(APPROVER, "approve", alone)
    await here.ended_with(alone, "production's database has the migrations of v2.0.0")
    assert f"1 migration applied: {NEW[1]}" in here.text(alone, "result")


async def test_a_list_that_is_there_only_when_the_run_starts_is_not_asked_for_again(here: Story) -> None:
    listing, told = here.world.schemas.scripts()["migrate:list"], 0

    async def late(execution: Execution) -> int:
        nonlocal told
        told += 1
        return 1 if told == 1 else await listing(execution)

    here.world.cluster.add_scripts({"migrate:list": late})
    run = await here.ask("deploy v2.0.0")
    await here.shown("approve", run)
    assert "all that are pending" in here.text(run, "plan")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    said = here.text(run, "result")
    assert "2 migrations applied" in said
    assert f"{NEW[0]} and {NEW[1]}" in said
    assert told > 1
    assert here.event_names(run).count("approval:granted") == 2, "of the list it is noted that the yes covers it"


async def test_a_good_migration_decides_nothing_that_a_failed_deploy_left(here: Story) -> None:
    left = Undecided(run="production.deploy.0000000000000", title="Deploy v2.0.0 failed", since=utc_now())
    metadata = {"name": "environment-production", "namespace": "omnicare-bot"}
    data = {"undecided": left.model_dump_json()}
    here.world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    run = await here.ask("migrate v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "production's database has the migrations of v2.0.0")
    await here.until(lambda: here.environment().run is None, "the lease is given back")
    assert here.environment().undecided == left


async def test_a_rollback_that_can_not_run_is_refused_with_three_ways_on_and_insisted_on_with_a_reason(
    tmp_path: Path,
) -> None:
    async with (
        Database(replica=False).serve() as database,
        story(tmp_path / "world", parts=("migrations", "backups"), database=database) as here,
    ):
        await database.ready()
        await here.inside()
        await here.answer(ON_CALL, "backups", "Backups of production")
        proof = await here.ask(f"prove {DROPS}")
        await here.press(APPROVER, "approve", proof)
        await here.ended_with(proof, f"v1.2.0 does not run on {DROPS}'s schema")
        assert "without any Secret" in here.text(proof, "plan")
        assert here.world.schemas.ran == [], "nothing of production was touched"
        run = await here.ask(f"deploy {DROPS}")
        await here.says(run, "needs your approval", "approval")
        found = here.button("approve", run)
        assert found is not None
        assert re.search(r"v1.2.0 → v2.2.0-drops. The plan has \d warnings?\.", str(found[1])), found[1]
        await here.press(APPROVER, "approve", run)
        assert "A rollback is then refused until the migration is undone" in here.text(run, "plan")
        await here.ended_with(run, f"{DROPS} runs in production")
        back = await here.ask("rollback", who=ON_CALL)
        said = await here.says(back, "can't be approved as it is", "result")
        for each in ("v1.2.0 can't run on the present schema", "3 times", "minutes, is lost", "schema-too-new"):
            assert each in said
        assert all(each in said for each in ("Undo a migration", "Restore a snapshot", "Go back anyway"))
        assert "kubectl set image" not in said, "by hand it would not run either"
        assert here.environment().undecided is None
        unsaid = await here.ask("rollback --anyway", who=ON_CALL)
        await here.says(unsaid, "needs a reason", "result")
        anyway = await here.ask('rollback --anyway --reason "nobody reads wards"', who=ON_CALL)
        await here.press(ON_CALL, "approve", anyway)
        await here.ended_with(anyway, "Back on v1.2.0 in production")
        assert "goes back anyway, and does not change the schema" in here.text(anyway, "plan")


async def test_insisting_on_an_old_release_is_confirmed_also_where_the_failed_deploy_was_approved(
    tmp_path: Path,
) -> None:
    async with (
        Database(replica=False).serve() as database,
        story(tmp_path / "world", parts=("migrations",), database=database) as here,
    ):
        await database.ready()
        await here.inside()
        proof = await here.ask(f"prove {DROPS}")
        await here.press(APPROVER, "approve", proof)
        await here.ended_with(proof, f"v1.2.0 does not run on {DROPS}'s schema")
        here.keep_unready(version=DROPS)
        run = await here.ask(f"deploy {DROPS}")
        await here.press(APPROVER, "approve", run)
        await here.until(lambda: here.tag("backend") == DROPS, "the backend is rolling")
        await here.stop_run(REQUESTER, run)
        await here.ended_with(run, "was stopped by Maya")
        anyway = await here.ask(f'rollback --after {run} --anyway --reason "nobody reads wards"', who=ON_CALL)
        await here.shown("approve", anyway)
        assert here.tag("backend") == DROPS, "nothing runs before somebody confirms"
        await here.press(ON_CALL, "approve", anyway)
        await here.ended_with(anyway, "Back on v1.2.0 in production")
        assert "covered by" not in here.text(anyway, "result")


async def test_the_lock_that_a_rollback_left_stops_neither_db_kill_nor_db_rollback(tmp_path: Path) -> None:
    async with (
        Database(replica=False).serve() as database,
        story(tmp_path / "world", parts=("migrations", "lock"), database=database) as here,
    ):
        await database.ready()
        await here.inside()
        run = await here.ask("deploy v2.0.0")
        await here.press(APPROVER, "approve", run)
        await here.ended_with(run, "v2.0.0 runs in production")
        back = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", back)
        await here.ended_with(back, "Back on v1.2.0 in production")
        assert here.environment().freeze is not None
        pid = await database.leave_open()
        kill = await here.ask(f"db kill {pid}", who="dana")
        await here.press(APPROVER, "approve", kill)
        await here.ended_with(kill, f"The session of pid {pid} is ended")
        await database.mend()
        undo = await here.ask("db rollback", who=ON_CALL)
        await here.press("dana", "approve", undo)
        await here.says(undo, "Dana approved", "approval")
        await here.press(APPROVER, "approve", undo)
        await here.ended_with(undo, f"{NEW[1]} is undone in production's database")
        await here.type(ON_CALL, '/omnicare lock --reason "the DBA looks"')
        await here.until(lambda: (lock := here.environment().freeze) is not None and not lock.run, "a person's lock")
        refused = await here.ask("db rollback", who=ON_CALL)
        await here.says(refused, "Ines locked production: the DBA looks", "result")
