"""`sync status` and `sync failed`: what people see of the offline queue, healthy and broken; never anything of a patient."""

import json

import pytest

from sandbox.sync_queue import PATIENT_DATA
from tests.support.worlds import AUDITOR, PRODUCTION, REQUESTER, Story, shown_text


def queue(here: Story):
    return here.world.sync[PRODUCTION]


def nothing_of_a_patient_is_seen(here: Story) -> None:
    """Not in a message, not in the audit trail, not in the engine's database, not in the bot's log."""
    seen = "\n".join(map(shown_text, here.messages())) + json.dumps(
        [event.details for event in here.events()], default=str
    )
    for path in (here.engine, here.book):
        seen += "".join(each.read_bytes().decode(errors="replace") for each in path.parent.glob(f"{path.name}*"))
    assert [value for value in PATIENT_DATA if value in seen] == []
    assert [item["id"] for item in queue(here).items if item["id"] in seen] == []


async def test_the_queue_is_told_with_what_fails_and_when_it_is_empty(here: Story):
    await here.type(REQUESTER, "/omnicare sync status")
    told = await here.answered("Sync in production goes on")
    assert "7 failed" in told
    assert "42 a minute" in told
    await here.type(REQUESTER, "/omnicare sync failed")
    told = await here.answered("7 items from 5 devices failed to synchronise in production, the oldest 2 h 30 min old")
    for group in ("version_conflict", "Validation failed: dose missing for …", "request timeout after … ms"):
        assert group in told
    nothing_of_a_patient_is_seen(here)


async def test_a_stuck_queue_says_so_and_what_to_do(here: Story):
    queue(here).break_it("stuck")
    await here.type(REQUESTER, "/omnicare sync status")
    told = await here.answered("Sync in production is stuck")
    assert "never, at this rate" in told
    assert "restart backend" in told


@pytest.mark.parametrize("command", ["sync status", "sync failed"])
async def test_scripts_that_are_not_there_are_told_as_such(here: Story, command: str):
    queue(here).break_it("missing")
    await here.type(REQUESTER, f"/omnicare {command}")
    await here.whispered(REQUESTER, "has no script for this")


async def test_a_script_that_never_answers_is_left_at_its_deadline(here: Story):
    here.configure(lambda config: config["environments"]["production"]["sync"].update(seconds=0.5))
    await here.leave()
    await here.inside()
    queue(here).break_it("silent")
    await here.type(REQUESTER, "/omnicare sync status")
    await here.whispered(REQUESTER, "0.5 s")


async def test_who_may_not_look_is_refused(here: Story):
    await here.type(AUDITOR, "/omnicare sync status")
    await here.whispered(AUDITOR, "You may not look at the offline sync queue")


async def test_an_environment_without_scripts_says_which_table_is_missing(here: Story):
    here.configure(lambda config: config["environments"]["production"].pop("sync"))
    await here.leave()
    await here.inside()
    await here.type(REQUESTER, "/omnicare sync status")
    await here.whispered(REQUESTER, "does not say which sync scripts production has")
