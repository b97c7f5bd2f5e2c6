"""`sync status` and `sync failed`: what people see of the offline queue, healthy and broken; never anything of a patient."""

import asyncio
import json
from typing import Any

import pytest

from sandbox.aws import BUCKET
from sandbox.scenarios import BY_NAME
from sandbox.sync_queue import PATIENT_DATA
from tests.support.leaks import stands_in
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, PRODUCTION, REQUESTER, STAGING, Story


def queue(here: Story):
    return here.world.sync[PRODUCTION]


def nothing_of_a_patient_is_seen(here: Story) -> None:
    """Not in a message, not in the audit trail, not in the engine's database, not in the bot's log."""
    seen = "\n".join(map(shown_text, here.messages())) + json.dumps(
        [event.details for event in here.events()], default=str
    )
    for path in (here.engine, here.audit_log):
        seen += "".join(each.read_bytes().decode(errors="replace") for each in path.parent.glob(f"{path.name}*"))
    assert [value for value in PATIENT_DATA if stands_in(seen, value)] == []
    assert [item["id"] for item in queue(here).items if item["id"] in seen] == []


async def test_the_queue_is_told_with_what_fails_and_when_it_is_empty(here: Story):
    told = await here.answer(REQUESTER, "sync status", "Sync in production is running")
    assert "7 failed" in told
    assert "42 a minute" in told
    told = await here.answer(
        REQUESTER, "sync failed", "7 items from 5 devices failed to sync in production, the oldest 2 h 30 min old"
    )
    for group in ("version_conflict", "Validation failed: dose missing for …", "request timeout after … ms"):
        assert group in told
    nothing_of_a_patient_is_seen(here)


async def test_a_stuck_queue_says_so_and_what_to_do(here: Story):
    queue(here).break_it("stuck")
    told = await here.answer(REQUESTER, "sync status", "Sync in production is stuck")
    assert "never, at this rate" in told
    assert "restart backend" in told


async def test_connections_that_are_cut_are_told_with_code_and_cause_and_as_lines_for_a_terminal(here: Story):
    await here.world.play(BY_NAME["websocket-drops"])
    told = await here.answer(REQUESTER, "sync websocket", "WebSocket connections of backend in production drop")
    for words in ("All pods drop about equally", "idle timeout", "1006", "87 (from the status script in pod"):
        assert words in told
    lines = await here.answer(REQUESTER, "sync websocket --kubectl", "sync:status")
    assert "logs --prefix" in lines
    assert "--since=30m" in lines
    nothing_of_a_patient_is_seen(here)


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
    told = await here.whispered(REQUESTER, "0.5 s")
    assert "may show what it is waiting for" in str(told.blocks)


async def test_who_may_not_look_is_refused(here: Story):
    await here.type(AUDITOR, "/omnicare sync status")
    await here.whispered(AUDITOR, "You may not look at the offline sync queue")


async def test_an_environment_without_scripts_says_which_table_is_missing(here: Story):
    here.configure(lambda config: config["environments"]["production"].pop("sync"))
    await here.leave()
    await here.inside()
    await here.type(REQUESTER, "/omnicare sync status")
    await here.whispered(REQUESTER, "production has no sync scripts configured")


# changing


def exports(here: Story) -> list[dict]:
    """What stands in the bucket, by the S3 that everybody can read who may."""
    import boto3

    s3 = boto3.session.Session(
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name="us-east-1"
    ).client("s3", endpoint_url=here.world.aws.url)
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [
        {"key": each["Key"], **json.loads(s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read())}
        for each in found
    ]


async def test_retrying_is_approved_and_watched_until_the_count_stands_still(here: Story):
    run = await here.ask("sync retry-failed")
    plan = await here.says(run, "Plan", "plan")
    assert "request timeout after … ms" in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "were retried: 5 of 7 left")
    assert len(queue(here).items) == 5
    assert here.environment().run is None
    nothing_of_a_patient_is_seen(here)


async def test_clearing_needs_two_others_exports_reads_back_and_clears_just_what_was_approved(here: Story):
    before = list(queue(here).items)
    run = await here.ask('sync clear-failed --reason "entered again by hand"', who=ON_CALL)
    plan = await here.says(run, "Plan", "plan")
    for words in ("deletes what clinicians wrote offline", "version_conflict", "2 h 30 min"):
        assert words in plan
    asked = await here.says(run, "Approval by 2 of", "approval")
    assert "Tomas" in asked
    assert "Dana" in asked
    await here.press("dana", "approve", run)
    await here.says(run, "Dana approved", "approval")
    assert queue(here).cleared == [], "one approval is not two"
    await here.press(APPROVER, "approve", run)
    late = {}
    queue(here).on_clear = lambda: late.setdefault("id", queue(here).add_failed())
    await here.ended_with(run, "7 failed sync items cleared in production")
    assert [sorted(each) for each in queue(here).cleared] == [sorted(item["id"] for item in before)]
    assert [item["id"] for item in queue(here).items] == [late["id"]], "what failed meanwhile was not approved"
    (export,) = await asyncio.to_thread(exports, here)
    assert run in export["key"]
    assert {item["id"] for item in export["items"]} == {item["id"] for item in before}
    assert export["items"][0]["resource"] == before[0]["resource"]
    nothing_of_a_patient_is_seen(here)
    assert [item["id"] for item in before if item["id"] in here.describe()] == []
    assert here.environment().undecided is None


async def test_a_first_yes_of_who_may_not_say_it_any_more_is_none(world: Story):
    await world.inside()
    run = await world.ask('sync clear-failed --reason "entered again by hand"', who=ON_CALL)
    await world.press("dana", "approve", run)
    await world.says(run, "Dana approved", "approval")
    await world.leave()

    def handed_over(document: dict[str, Any]) -> None:
        document["people"]["dana"]["roles"], document["people"]["noor"]["roles"] = ["auditor"], ["dba"]

    world.configure(handed_over)
    await world.inside()
    await world.press(APPROVER, "approve", run)
    await world.says(run, "may no longer approve it", "approval")
    assert queue(world).cleared == []
    assert "run:started" not in world.event_names(run)


async def test_two_who_are_no_dba_are_not_enough_to_clear(here: Story):
    run = await here.ask("sync clear-failed", who=REQUESTER)
    await here.says(run, "one of them with the role dba", "approval")
    for who, name in ((APPROVER, "Tomas"), (ON_CALL, "Ines")):
        await here.press(who, "approve", run)
        await here.says(run, f"{name} approved", "approval")
    assert queue(here).cleared == []
    await here.press("dana", "approve", run)
    await here.ended_with(run, "7 failed sync items cleared in production")


async def test_what_fails_between_plan_and_start_is_asked_about_again(here: Story):
    run = await here.ask("sync clear-failed", who=ON_CALL)
    await here.press("dana", "approve", run)
    await here.says(run, "Dana approved", "approval")
    queue(here).add_failed()
    await here.press(APPROVER, "approve", run)
    await here.says(run, "The plan changed meanwhile", "approval")
    assert queue(here).cleared == []
    assert "8 failed items" in here.text(run, "plan")


async def test_with_a_script_that_takes_no_ids_any_difference_is_refused(here: Story):
    staging = here.world.sync[STAGING]
    run = await here.ask("sync clear-failed --env staging", who=ON_CALL)
    await here.says(run, "an item that fails in that second is cleared too", "plan")
    staging.on_listed = lambda count: staging.add_failed() if count == 3 else None
    button = await here.shown("approve", run)
    await asyncio.gather(here.click("dana", button), here.click(APPROVER, button))  # both at once: both count
    await here.ended_with(run, "7 were approved, now there are 8. Nothing was cleared")
    assert staging.cleared == []
    assert here.environment("staging").run is None


async def test_nothing_is_cleared_when_the_export_does_not_read_back(here: Story):
    here.world.aws.spoil = True
    run = await here.ask("sync clear-failed", who=ON_CALL)
    await here.press("dana", "approve", run)
    await here.says(run, "Dana approved", "approval")  # and its button has a new word
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "differs from what was written. Nothing was cleared")
    assert queue(here).cleared == []
    nothing_of_a_patient_is_seen(here)


async def test_nothing_failed_is_nothing_to_do(here: Story):
    queue(here).items.clear()
    run = await here.ask("sync clear-failed", who=ON_CALL)
    await here.says(run, "there is nothing to clear", "result")
    run = await here.ask("sync retry-failed", who=ON_CALL)
    await here.says(run, "there is nothing to retry", "result")


async def test_a_script_that_claims_to_have_cleared_is_not_believed(here: Story):
    queue(here).lies = True
    run = await here.ask("sync clear-failed", who=ON_CALL)
    await here.press("dana", "approve", run)
    await here.says(run, "Dana approved", "approval")  # and its button has a new word
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "7 of the 7 approved items still exist")
    queue(here).lies = False
    again = await here.ask(f"retry {run}", who=ON_CALL)
    await here.says(again, "Approval by 2 of", "approval")  # what throws data away is asked for each time
    button = await here.shown("approve", again)
    await asyncio.gather(here.click("dana", button), here.click(APPROVER, button))
    await here.ended_with(again, "7 failed sync items cleared in production")


async def test_without_a_bucket_nothing_is_cleared(world: Story):
    world.configure(lambda config: config["environments"]["production"].pop("exports"))
    await world.inside()
    run = await world.ask("sync clear-failed", who=ON_CALL)
    await world.says(run, "No bucket is configured for exports of production", "result")
