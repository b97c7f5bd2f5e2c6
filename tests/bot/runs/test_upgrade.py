"""An upgrade in the middle of everything: what version 9 of the workflows left goes on in this one.

`version_9` was recorded at the last commit of that version (`tests.support.recorded`): a bot that was killed in the middle of a deploy,
while another request waited for its approval, and a failure for an answer.
"""

import json
import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.policy.approvals import ApprovalDecision
from bot.runs.engine import Engine, EngineSettings
from bot.runs.versions import APPLICATION_VERSION, SHAPES, how_to_go_on
from sandbox.people import STAGING as STAGING_CHANNEL
from tests.support.recorded import put_back
from tests.support.standing import stands
from tests.support.worlds import APPROVER, REQUESTER, SERVICES, STAGING, Story

VERSION_9 = Path(__file__).parent / "version_9"


async def test_what_an_older_version_left_goes_on(world: Story):
    here = world
    left = put_back(here, VERSION_9)
    await here.until(lambda: here.new_pods("backend", "v2.0.0") == 3, "the backend is where the run was killed")
    await here.inside()

    await here.ended_with(left.running, "v2.0.0 runs in production")
    assert [(each.version, each.run, each.verdict) for each in here.releases()] == [("v2.0.0", left.running, "good")]
    (release,) = here.releases()
    # the images of that day, which the registry of today no longer has by that tag
    recorded = {each.service: {each.image.digest} for each in release.services}
    assert {service: here.pod_digests(service) for service in SERVICES} == recorded
    assert here.environment().run is None
    here.nothing_is_written_twice(left.running)

    await here.press(APPROVER, "approve", left.waiting)
    await here.until(lambda: here.text(left.waiting).startswith("🟢"), "the restart went well")
    assert here.environment("staging").undecided is None
    here.nothing_is_written_twice(left.waiting)

    await here.until(lambda: here.button("rollback", left.failed) is None, "the failure's cards ask nobody any more")


async def test_an_approval_that_an_older_version_drew_still_counts(world: Story):
    left = put_back(world, VERSION_9)
    await world.inside()
    before = await world.bot.durable.store.state(left.waiting)
    assert before is not None
    assert before.pending is not None
    _, _, button = await world.shown("approve", left.waiting)
    assert world.word_of(button) == before.pending.word, "the card is the one that people saw"
    assert world.new_pods("frontend", "v1.2.0", STAGING) == 3


def begun_by_version_9(here: Story, run: str, **state: Any) -> None:
    """Makes the request that of an older version of the bot, which left this where it stood."""
    with sqlite3.connect(here.engine) as database:
        database.execute("UPDATE workflow_status SET application_version = '9' WHERE workflow_uuid = ?", (run,))
        ((stood,),) = database.execute(
            "SELECT value FROM workflow_events WHERE workflow_uuid = ? AND key = 'state'", (run,)
        ).fetchall()
        value = json.dumps(json.loads(stood) | state)
        database.execute("UPDATE workflow_events SET value = ? WHERE workflow_uuid = ? AND key = 'state'", (value, run))


async def test_what_waits_for_its_time_is_asked_a_go_again_and_no_approval(world: Story):
    world.configure(lambda document: document["times"].update(go_before=7200.0))
    await world.inside()
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    run = await world.ask(f"deploy v2.0.0 --at {ahead}")
    await world.press(APPROVER, "approve", run)
    await world.press(REQUESTER, "go", run)
    await world.says(run, "Its plan is made again then", "go")
    await world.leave()
    begun_by_version_9(world, run)
    await world.inside()

    await world.press(REQUESTER, "go", run)
    await world.until(lambda: world.event_names(run).count("go:given") == 2, "a go is heard again")
    state = await world.bot.durable.store.state(run)
    assert state is not None
    assert state.phase == "scheduled"
    assert {
        name: world.event_names(run).count(name) for name in ("approval:asked", "approval:granted", "run:started")
    } == {"approval:asked": 1, "approval:granted": 1, "run:started": 0}
    await world.type(REQUESTER, f"/omnicare withdraw {run}")
    await world.says(run, "Maya withdrew", "result")


async def test_an_approval_after_an_upgrade_is_written_beside_the_one_before_it(world: Story):
    await world.inside()
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    run = await world.ask(f'deploy v2.0.0 --at {ahead} --reason "the slow one is too slow"')
    await world.press(APPROVER, "approve", run)
    await world.says(run, "waiting until")
    await world.deployed("v2.1.0-slow")  # so the plan is another one
    await world.leave()
    begun_by_version_9(world, run)
    await world.inside()
    await world.press(APPROVER, "approve", run)
    await world.until(lambda: world.event_names(run).count("approval:granted") == 2, "it was approved again")
    await stands(world, run, "scheduled")
    granted = [each.details["digest"] for each in world.events(run) if each.name == "approval:granted"]
    asked = [each for each in world.events(run) if each.name == "approval:asked"]
    assert (len(asked), len(granted), len(set(granted))) == (2, 2, 2)
    await world.type(REQUESTER, f"/omnicare withdraw {run}")
    await world.says(run, "Maya withdrew", "result")


async def test_approvals_that_an_older_version_left_beside_a_newer_question_do_not_count(world: Story):
    await world.inside()
    run = await world.ask("restart frontend", where=STAGING_CHANNEL)
    await world.shown("approve", run)
    await world.leave()
    # it had been approved, could not run, and asked anew for another plan
    approved = ApprovalDecision(act="approve", by="tomas", name="Tomas", at=datetime.now(UTC))
    begun_by_version_9(world, run, approved_by=[approved.model_dump(mode="json")])
    await world.inside()
    await world.press(APPROVER, "approve", run)
    await world.until(lambda: world.text(run).startswith("🟢"), "the restart went well")
    names = world.event_names(run)
    assert names.count("approval:given") == names.count("approval:granted") == 1, "nothing ran before this press"
    assert names.index("approval:given") < names.index("run:started")


async def test_what_an_older_version_told_to_stop_is_not_what_somebody_asks_for(world: Story):
    await world.inside()
    run = await world.rolling()
    await world.leave()
    begun_by_version_9(world, run, stopping=True)
    await world.inside()
    again = await world.ask("deploy v2.1.0-slow")
    assert again != run
    await world.says(again, "waiting for Maya")
    await world.type(REQUESTER, f"/omnicare withdraw {again}")
    await world.says(again, "Maya withdrew", "result")
    await world.stop_run(REQUESTER, run)
    await world.says(run, "was stopped by Maya", "result")


async def test_a_workflow_that_names_no_version_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """What wrote it is not known, so it does not go on; and a comparison with nothing finds nothing."""
    path = tmp_path / "engine.sqlite"
    for _ in range(2):
        engine = Engine(EngineSettings(database_url=f"sqlite:///{path}"))

        async def waits(_: Any, engine: Engine = engine) -> None:
            await engine.receive(timeout=600.0)

        engine.register({"request": waits})
        await engine.launch()
        try:
            await engine.start("request", "production.deploy.a", {})
            with caplog.at_level(logging.ERROR, "bot.runs.versions"):
                taken = await engine.take_over()
        finally:
            engine.destroy()
        with sqlite3.connect(path) as database:
            database.execute("UPDATE workflow_status SET application_version = NULL")
    assert taken == []
    assert "production.deploy.a was begun by version None" in caplog.text


@pytest.mark.parametrize(
    ("name", "version", "how"),
    [
        ("thread", "9", "replayed"),
        ("request", "9", "begun anew"),
        ("request", APPLICATION_VERSION, "replayed"),
        ("request", "999", None),
        ("request", "by hand", None),
        ("unheard of", "9", None),
        ("request", None, None),
    ],
)
def test_a_workflow_goes_on_as_its_shape_allows(name: str, version: str | None, how: str | None):
    assert how_to_go_on(name, version) == how


def test_the_newest_shape_is_the_version():
    assert str(max(SHAPES.values())) == APPLICATION_VERSION


async def test_a_run_whose_plan_is_not_read_any_more_ends_with_a_sentence_and_is_undecided(world: Story):
    left = put_back(world, VERSION_9)
    with sqlite3.connect(world.engine) as database:  # as a later version would find it, whose plans look otherwise
        for table, column in (("workflow_input", "inputs"), ("workflow_events", "value")):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, '\"changes\":', '\"unheard_of\":') WHERE workflow_uuid LIKE ?",
                (f"{left.running}%",),
            )
        database.execute(
            "UPDATE workflow_status SET application_version = '1' WHERE workflow_uuid LIKE ?", (f"{left.running}%",)
        )
    await world.inside()
    await world.ended_with(left.running, "stopped by an upgrade of the bot")
    undecided = world.environment().undecided
    assert undecided is not None
    assert undecided.run == left.running
    assert world.environment().run is None, "the lease is free"
    world.nothing_is_written_twice(left.running)
    await world.deployed("v2.0.0")
    assert world.environment().undecided is None
