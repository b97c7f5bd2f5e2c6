"""`releases`, `releases adopt` and `events`: what the fleet and the cluster remember, read and recorded by people."""

import re

import pytest

from runbooks.wording import short_id
from sandbox.outside.registry import digest_of
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, REQUESTER, SERVICES, Story


async def adopted(here: Story, more: str = "") -> str:
    run = await here.ask(f"releases adopt {more}")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v1.2.0 is recorded as a good release of production")
    return run


async def test_what_ran_before_the_bot_came_is_adopted_once_and_gone_back_to(here: Story):
    await here.answer(REQUESTER, "releases", "No releases in production yet")
    run = await adopted(here, '--reason "before the first deploy"')
    assert "`rollback`" not in here.text(run, "head"), "a command stands as one, without its marks"
    (release,) = here.releases()
    assert (release.version, release.verdict, release.by, release.run) == ("v1.2.0", "good", "Maya", run)
    assert {each.service: each.image.digest for each in release.services} == {
        service: digest_of(service, "v1.2.0") for service in SERVICES
    }
    await here.type(REQUESTER, "/omnicare releases adopt --dry-run")
    await here.whispered(REQUESTER, "v1.2.0 is already the newest recorded release in production")
    await here.answer(REQUESTER, "releases", "1 release of production, good")

    await here.deployed("v2.0.0")
    back = await here.ask("rollback", who=ON_CALL)
    await here.says(back, "v1.2.0 is the last known good release, recorded while running", "plan")
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0")
    listed = await here.answer(REQUESTER, "releases", "3 releases of production, 2 of them good")
    assert f"bad: left by run {short_id(back)}" in listed


async def test_what_does_not_run_completely_is_no_release(here: Story):
    await here.deployed("v2.1.0-bad", ends="stopped")
    await here.type(REQUESTER, "/omnicare releases adopt --dry-run")
    await here.whispered(REQUESTER, "does not run completely in production")
    assert here.releases() == []


async def test_a_version_that_was_marked_bad_is_not_adopted(here: Story):
    await here.deployed("v2.0.0")
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0")
    again = await here.ask('deploy v2.0.0 --reason "again"')
    await here.press("tomas", "approve", again)
    await here.ended_with(again, "v2.0.0 runs in production")
    await here.type(REQUESTER, "/omnicare releases adopt --dry-run")
    await here.whispered(REQUESTER, "v2.0.0 was marked bad in production")


async def test_what_runs_is_no_other_release_to_go_back_to(here: Story):
    assert "No good release is recorded" in await here.answer(REQUESTER, "rollback --dry-run", "previous revision")
    await adopted(here)
    await here.answer(REQUESTER, "rollback --dry-run", "No other good release is recorded")
    await here.deployed("v2.0.0")
    await here.answer(REQUESTER, "rollback --dry-run", "v1.2.0 is the last known good release, recorded while running")


async def test_only_who_may_deploy_adopts(here: Story):
    await here.type(AUDITOR, "/omnicare releases adopt")
    await here.whispered(AUDITOR, "You may not")
    assert here.releases() == []


@pytest.mark.parametrize("typed", ["events", "events backend --since 15m"])
async def test_the_same_event_of_many_pods_is_one_line_and_warnings_come_first(here: Story, typed: str):
    await here.deployed("v2.1.0-bad", ends="stopped")
    said = await here.answer(REQUESTER, typed, "kinds of events")
    assert said.index("Failed") < said.index("ScalingReplicaSet")
    assert re.search(r", [1-9]\d* warnings?\b", said)


async def test_where_nothing_is_wrong_no_column_says_so_in_every_row(here: Story):
    await here.deployed("v2.0.0")
    said = await here.answer(REQUESTER, "events", "kinds of events in production, no warning")
    (table,) = [block for block in here.messages()[-1].blocks if block["type"] == "table"]
    assert [cell["text"] for cell in table["rows"][0]] == ["Reason", "About", "Message", "Times", "Last"]
    assert re.search(r"@sha256:[0-9a-f]{12}…", said)
    assert not re.search(r"@sha256:[0-9a-f]{13}", said)


async def test_no_events_are_said_as_such(here: Story):
    await here.answer(REQUESTER, "events frontend --since 1s", "No events of frontend")
