"""An upgrade in the middle of everything: what version 9 of the workflows left goes on in this one.

`version_9` was recorded at the last commit of that version (`tests.support.recorded`): a bot that was killed in the middle of a deploy,
while another request waited for its approval, and a failure for an answer.
"""

import sqlite3
from pathlib import Path

import pytest

from bot.runs.versions import APPLICATION_VERSION, SHAPES, how_to_go_on
from sandbox.outside.registry import digest_of
from tests.support.recorded import put_back
from tests.support.worlds import APPROVER, SERVICES, STAGING, Story

VERSION_9 = Path(__file__).parent / "version_9"


async def test_what_an_older_version_left_goes_on(world: Story):
    here = world
    left = put_back(here, VERSION_9)
    await here.until(lambda: here.new_pods("backend", "v2.0.0") == 3, "the backend is where the run was killed")
    await here.inside()

    await here.ended_with(left.running, "v2.0.0 runs in production")
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v2.0.0")}
    assert [(each.version, each.run, each.verdict) for each in here.releases()] == [("v2.0.0", left.running, "good")]
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
