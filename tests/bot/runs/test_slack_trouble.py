"""Slack breaks in the middle: no run stops for it, and what was missed is said once."""

from sandbox.outside.registry import digest_of
from sandbox.people import DEPLOYS, INCIDENTS
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, SERVICES, Story


def runs_everywhere(here: Story, version: str = "v2.0.0") -> bool:
    return all(here.pod_digests(service) == {digest_of(service, version)} for service in SERVICES)


async def test_a_deleted_head_message_does_not_stop_a_run_and_is_said_again(here: Story):
    run = await here.rolling("v2.0.0")
    (head,) = here.said(run)["head"]
    here.slack.delete(DEPLOYS, head.ts)
    here.let_ready("backend", "v2.0.0")
    await here.until(here.releases, "the release is recorded")
    await here.ended_with(run, "v2.0.0 runs in production")
    assert runs_everywhere(here)
    heads = [message for message in here.said(run)["head"] if not message.deleted]
    assert len(heads) == 1


async def test_an_archived_channel_does_not_stop_a_run_which_reports_where_it_can(here: Story):
    here.keep_unready("backend", "v2.0.0")
    run = await here.ask("deploy v2.0.0", where=INCIDENTS)
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.0.0", "the backend is rolling")
    here.slack.archive(INCIDENTS)
    here.let_ready("backend", "v2.0.0")
    await here.until(here.releases, "the release is recorded")
    await here.until(lambda: run in here.said_in(DEPLOYS), "it reports in the environment's own channel")
    await here.ended_with(run, "v2.0.0 runs in production")
    assert runs_everywhere(here)
    assert here.event_names(run)[-1] == "run:succeeded"


async def test_slack_is_down_in_the_middle_and_the_thread_is_brought_up_to_date_afterwards(here: Story):
    run = await here.rolling("v2.0.0")
    here.world.slack.go_down()
    here.let_ready("backend", "v2.0.0")
    await here.until(lambda: here.releases() and here.environment().run is None, "the run ends without Slack")
    here.world.slack.come_back()
    await here.ended_with(run, "v2.0.0 runs in production")
    assert runs_everywhere(here)
    here.nothing_was_said_twice(run)
    assert "🔵" not in here.text(run, "progress")


async def test_an_answer_of_slack_that_was_lost_posts_nothing_twice(here: Story):
    for _ in range(3):
        here.slack.faults.fail_next("chat.postMessage", "reset")
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    here.nothing_was_said_twice(run)


async def test_slack_says_later_and_nothing_is_lost(here: Story):
    here.slack.faults.fail_next("chat.postMessage", "ratelimited", times=2, retry_after=1)
    here.slack.faults.fail_next("chat.update", "ratelimited", times=2, retry_after=1)
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    here.nothing_was_said_twice(run)


async def test_everybody_s_requests_keep_apart_in_one_channel(here: Story):
    mine = await here.ask("deploy v2.0.0")
    theirs = await here.ask("deploy v2.1.0-slow", who=ON_CALL)
    await here.says(mine, "waiting for approval")
    await here.says(theirs, "waiting for approval")
    threads = {message.thread_ts for run in (mine, theirs) for message in here.said(run)["plan"]}
    assert len(threads) == 2
    assert REQUESTER != ON_CALL
