"""A mention in a thread brings what the bot itself answered there; nobody else's words, and nothing where Slack does not say."""

from bot.boundary.inbound import Answer
from tests.bot.surfaces.slack.conftest import Slack, card

ASKED = "pods backend --env staging"


async def test_what_the_bot_answered_in_the_thread_comes_with_a_mention(slack: Slack) -> None:
    slack.dispatcher.answers["pods"] = Answer(card=card("3 pods"), private=False, typed=ASKED)
    await slack.workspace.type("requester", "deploys", f"/omnicare {ASKED}")
    await slack.until(lambda: bool(slack.workspace.history("deploys")))
    head = slack.workspace.history("deploys")[0]
    forged = {"event_type": "omnicare_answer", "event_payload": {"typed": "pods --env production"}}
    slack.workspace.post("deploys", "U2APPROVER", "mine", thread_ts=head.ts, metadata=forged)
    mention = f"<@{slack.workspace.app.user_id}>"
    await slack.workspace.type("requester", "deploys", f"{mention} logs", head.ts)
    await slack.until(lambda: len(slack.dispatcher.taken) > 1)
    assert slack.dispatcher.taken[-1].thread_commands == (ASKED,)
    assert slack.dispatcher.taken[-1].thread_asked_by == slack.dispatcher.taken[0].account

    await slack.workspace.type("requester", "deploys", f"{mention} logs")  # elsewhere
    await slack.until(lambda: len(slack.dispatcher.taken) > 2)
    assert slack.dispatcher.taken[-1].thread_commands == ()


async def test_a_thread_that_slack_does_not_show_leaves_the_mention_as_it_was_typed(slack: Slack) -> None:
    head = slack.workspace.post("deploys", "U2APPROVER", "an alert")
    slack.workspace.faults.fail_next("conversations.replies", "server_error")
    await slack.workspace.type("requester", "deploys", f"<@{slack.workspace.app.user_id}> status", head.ts)
    await slack.until(lambda: bool(slack.dispatcher.taken))
    assert slack.dispatcher.taken[-1].thread_commands == ()
    assert slack.dispatcher.taken[-1].thread_unread


async def test_the_newest_answer_of_a_long_thread_is_read(slack: Slack) -> None:
    head = slack.workspace.post("deploys", "U2APPROVER", "an alert")
    for _ in range(200):
        slack.workspace.post("deploys", "U2APPROVER", "still there?", thread_ts=head.ts)
    slack.dispatcher.answers["pods"] = Answer(card=card("3 pods"), private=False, typed=ASKED)
    mention = f"<@{slack.workspace.app.user_id}>"
    await slack.workspace.type("requester", "deploys", f"{mention} {ASKED}", head.ts)
    await slack.until(lambda: len(slack.workspace.replies("deploys", head.ts)) > 202)
    await slack.workspace.type("requester", "deploys", f"{mention} logs", head.ts)
    await slack.until(lambda: len(slack.dispatcher.taken) > 1)
    assert slack.dispatcher.taken[-1].thread_commands == (ASKED,)
    assert not slack.dispatcher.taken[-1].thread_unread


async def test_a_thread_that_slack_shows_too_late_was_not_read(slack: Slack) -> None:
    head = slack.workspace.post("deploys", "U2APPROVER", "an alert")
    slack.workspace.faults.fail_next("conversations.replies", "ratelimited")
    await slack.workspace.type("requester", "deploys", f"<@{slack.workspace.app.user_id}> restart backend", head.ts)
    await slack.until(lambda: bool(slack.dispatcher.taken))
    assert slack.dispatcher.taken[-1].thread_unread
