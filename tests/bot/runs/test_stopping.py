"""Stopping and going on: cancel and what follows, hold and continue, retry, and a failure that nobody answers."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.wording import short_id
from sandbox.outside.registry import digest_of
from sandbox.slack.model import Group
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, REQUESTER, SERVICES, Story

# cancel


async def test_the_form_of_a_cancel_says_how_many_pods_of_each_version_there_are(here: Story):
    run = await here.rolling()
    await here.press(REQUESTER, "cancel", run)
    view = (await here.until(lambda: here.slack.modals_of(REQUESTER), "the form"))[-1]
    assert "v1.2.0" in str(view.view)
    assert "rollback: go back to the last known good release" in str(view.view)
    await here.fill(REQUESTER, then="stay", reason="wrong version")
    await here.ended_with(run, "was stopped by Maya")
    assert "Now: backend v1.2.0" in here.text(run, "result")


async def test_stopping_to_go_back_is_one_act(here: Story):
    await here.deployed("v2.0.0")
    run = await here.rolling()
    await here.stop_run(ON_CALL, run, then="rollback")
    await here.ended_with(run, "was stopped by Ines")
    assert "A rollback follows automatically" in here.text(run, "result")
    assert here.button("type-r", run) is None, "what to do next is decided already"
    back = await here.until(lambda: next((each for each in here.runs() if ".rollback." in each), ""), "the rollback")
    await here.ended_with(back, "Back on v2.0.0")
    assert here.button("approve", back) is None, "the deploy's approval covers it"
    assert {here.tag(service) for service in SERVICES} == {"v2.0.0"}
    (requested,) = [event for event in here.events(back) if event.name == "run:requested"]
    assert (requested.actor, requested.details["follows"]) == ("ines", run)
    assert here.environment().undecided is None


async def test_stopping_to_go_back_can_be_typed(here: Story):
    await here.deployed("v2.0.0")
    run = await here.rolling()
    await here.type(ON_CALL, f"/omnicare cancel {run} --then rollback")
    back = await here.until(lambda: next((each for each in here.runs() if ".rollback." in each), ""), "the rollback")
    await here.ended_with(back, "Back on v2.0.0")


async def test_what_is_to_follow_has_to_be_one_of_two(here: Story):
    run = await here.rolling()
    await here.type(REQUESTER, f"/omnicare cancel {run} --then rolback")
    await here.whispered(REQUESTER, "Did you mean `rollback`?")
    await here.type(REQUESTER, f"/omnicare cancel {run}")
    await here.ended_with(run, "was stopped by Maya")


# hold and continue


async def test_a_held_run_waits_before_its_next_service_and_goes_on(here: Story):
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    here.let_ready()
    await here.says(run, "Held before Frontend rollout", "progress")
    await here.says(run, "held by Maya")
    assert here.new_pods("backend", "v2.1.0-slow") == 3, "what was rolling out is watched to its end"
    assert here.tag("frontend") == "v1.2.0"
    assert here.environment().run is not None, "it keeps the place"
    assert "by Maya" in (await here.answer(ON_CALL, "status", "*Held*")).partition("*Held*")[2]
    await here.press(ON_CALL, "continue", run)
    await here.ended_with(run, "v2.1.0-slow runs in production")
    names = here.event_names(run)
    assert names.index("run:held") < names.index("run:continued") < names.index("run:succeeded")
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


async def test_a_run_that_was_interrupted_while_it_was_held_is_still_called_held(here: Story):
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    await here.says(run, "held by Maya")
    await here.leave()
    await here.inside()
    assert "held by Maya" in await here.says(run, "Interrupted at")
    here.let_ready()
    await here.says(run, "Held before Frontend rollout", "progress")
    assert "held by Maya" in here.text(run, "head")
    await here.press(ON_CALL, "continue", run)
    assert "Interrupted at" in await here.says(run, "running")
    await here.ended_with(run, "v2.1.0-slow runs in production")
    here.nothing_was_said_twice(run)


async def test_a_hold_that_is_taken_back_in_time_holds_nothing(here: Story):
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    await here.says(run, "Will be held before Frontend rollout", "progress")
    await here.type(REQUESTER, f"/omnicare continue {run}")
    await here.says(run, "running")
    here.let_ready()
    await here.ended_with(run, "v2.1.0-slow runs in production")
    assert "rollout-frontend" in str([event.id for event in here.events(run)])


async def test_hold_and_continue_can_be_said_again_and_again(here: Story):
    run = await here.rolling()
    for _ in range(2):
        await here.type(REQUESTER, f"/omnicare hold {run}")
        await here.says(run, "held by Maya")
        await here.type(REQUESTER, f"/omnicare hold {run}")
        await here.whispered(REQUESTER, "Maya is already holding run")
        await here.type(REQUESTER, f"/omnicare continue {run}")
        await here.says(run, "running")
    await here.type(REQUESTER, f"/omnicare continue {run}")
    await here.whispered(REQUESTER, "is not held")
    here.let_ready()
    await here.ended_with(run, "v2.1.0-slow runs in production")
    assert here.event_names(run).count("run:held") == 2


async def test_a_held_run_is_stopped_and_is_passed_by_a_rollback(here: Story):
    await here.deployed("v2.0.0")
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    here.let_ready()
    await here.says(run, "Held before Frontend rollout", "progress")
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v2.0.0")
    await here.says(run, "was overtaken", "result")
    assert here.tag("frontend") == "v2.0.0"


async def test_whoever_may_not_stop_it_may_not_hold_it(here: Story):
    run = await here.rolling()
    await here.type(AUDITOR, f"/omnicare hold {run}")
    await here.whispered(AUDITOR, "You may not")
    here.let_ready()
    await here.ended_with(run, "runs in production")
    await here.type(REQUESTER, f"/omnicare hold {run}")
    await here.whispered(REQUESTER, "is not running")


async def test_a_run_without_a_further_service_can_not_be_held(here: Story):
    here.keep_unready("backend", "v1.2.0")
    run = await here.ask("restart backend")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "running")
    assert here.button("hold", run) is None
    here.let_ready("backend", "v1.2.0")
    await here.ended_with(run, "was restarted")


async def test_a_run_that_is_held_for_long_reminds_those_who_can_end_it(world: Story):
    world.configure(lambda document: document["times"].update({"hold_reminder": 0.3}))
    await world.inside()
    run = await world.rolling()
    await world.press(ON_CALL, "hold", run)
    world.let_ready()
    await world.says(run, "is still held by Ines", "held-2")
    assert "U0MAYA" in world.text(run, "held-1")
    assert "U0INES" in world.text(run, "held-1")
    await world.type(REQUESTER, f"/omnicare continue {run}")
    await world.ended_with(run, "runs in production")


async def test_a_hold_that_nobody_ends_ends_the_run_where_it_is(world: Story):
    world.configure(lambda document: document["times"].update({"hold_reminder": 0.3, "hold_longest": 2.0}))
    await world.inside()
    run = await world.rolling()
    await world.press(REQUESTER, "hold", run)
    world.let_ready()
    await world.ended_with(run, "was stopped by the bot, since Maya had held it for 2 s")
    assert "It never continues by itself" in world.text(run, "held-1")
    assert world.new_pods("backend", "v2.1.0-slow") == 3, "what was rolling out was watched to its end"
    assert world.tag("frontend") == "v1.2.0"
    assert world.environment().run is None
    undecided = world.environment().undecided
    assert undecided is not None
    assert undecided.run == run
    assert world.event_names(run)[-1] == "run:cancelled"
    assert {len(said) for said in world.said(run).values()} == {1}
    world.nothing_is_written_twice(run)


# retry


async def test_a_retry_of_what_was_approved_asks_nobody_again(here: Story):
    run = await here.rolling()
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    await here.press(REQUESTER, "type-retry", run)
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.says(again, "is undecided since", "plan")
    assert short_id(run) in here.text(again, "plan").partition("Retries")[2], "it is linked to the first"
    await here.until(lambda: "run:started" in here.event_names(again), "the retry has begun, by the plan it showed")
    here.let_ready()
    await here.ended_with(again, "v2.1.0-slow runs in production")
    assert run in await here.answer(REQUESTER, f"runs {again}", "*Follows*")
    assert here.button("approve", again) is None
    assert "the plan leads to the same result" in here.text(again, "approval")
    (granted,) = [event for event in here.events(again) if event.name == "approval:granted"]
    assert granted.details["covered_by"] == ["tomas"]
    (requested,) = [event for event in here.events(again) if event.name == "run:requested"]
    assert requested.details["follows"] == run
    assert here.environment().undecided is None
    assert [release.approved_by for release in here.releases()] == [("Tomas",)]


async def test_a_retry_changes_nothing_that_is_as_it_should_be(here: Story):
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    here.let_ready()
    await here.says(run, "Held before Frontend rollout", "progress")
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    revision = here.revision("backend")
    await here.type(REQUESTER, f"/omnicare retry {run}")
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.ended_with(again, "v2.1.0-slow runs in production")
    assert here.revision("backend") == revision
    assert "backend" in here.text(again, "plan")
    assert "Already done" in here.text(again, "plan")
    (release,) = here.releases()
    assert [each.service for each in release.services] == list(SERVICES), (
        "a release is what runs, not what was changed last"
    )


@pytest.mark.parametrize("by_tag", [False, True], ids=["as approved", "by its tag"])
async def test_what_runs_though_its_run_was_not_seen_through_is_checked_and_recorded(here: Story, by_tag: bool):
    run = await here.rolling()
    await here.press(REQUESTER, "hold", run)
    here.let_ready()
    await here.says(run, "Held before Frontend rollout", "progress")
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    rest = digest_of("frontend", "v2.1.0-slow")
    here.world.cluster.set_image(
        "omnicare-prod", "frontend", f"ghcr.io/omnicare/frontend:v2.1.0-slow{'' if by_tag else f'@{rest}'}"
    )
    await here.until(lambda: here.pod_digests("frontend") == {rest}, "somebody has done the rest by hand")
    revisions = [here.revision(service) for service in SERVICES]
    await here.type(REQUESTER, f"/omnicare retry {run}")
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.says(again, "is undecided since", "plan")
    await here.says(again, "Nothing is rolled out", "plan")
    if by_tag:  # which is not what was approved
        await here.press(APPROVER, "approve", again)
    await here.ended_with(again, "v2.1.0-slow runs in production")
    assert "recorded as good" in here.text(again, "result")
    assert "→" not in here.text(again, "plan")
    assert here.button("approve", again) is None
    assert [here.revision(service) for service in SERVICES] == revisions
    assert here.environment().undecided is None
    (release,) = here.releases()
    assert (release.version, release.verdict, release.run) == ("v2.1.0-slow", "good", again)
    assert [each.image.digest for each in release.services] == [digest_of(each, "v2.1.0-slow") for each in SERVICES]
    other = await here.ask("deploy v2.1.0-slow")
    await here.says(other, "already runs v2.1.0-slow", "result")


async def test_a_retry_by_the_one_who_approved_asks_somebody_else(here: Story):
    run = await here.deployed("v2.1.0-crash", ends="stopped", approver=ON_CALL)
    await here.press(ON_CALL, "type-retry", run)
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.says(again, "waiting for approval")


async def test_a_retry_after_the_approval_ran_out_asks_again(world: Story):
    world.configure(
        lambda document: document["environments"]["production"]["approval"]["disruptive"].update(
            {"expires_seconds": 10.0, "reminder_seconds": 0.0}
        )
    )
    await world.inside()
    run = await world.deployed("v2.1.0-crash", ends="stopped")
    (approved,) = [event for event in world.events(run) if event.name == "approval:given"]
    await world.until(lambda: (datetime.now(UTC) - approved.at).total_seconds() > 10.0, "the approval has run out")
    await world.type(REQUESTER, f"/omnicare retry {run}")
    again = await world.until(lambda: next((each for each in world.runs() if each != run), ""), "the retry")
    await world.says(again, "needs your approval", "approval")


async def test_a_retry_whose_plan_leads_elsewhere_asks_again(here: Story):
    run = await here.deployed("v2.1.0-crash", ends="stopped")
    here.world.cluster.set_image("omnicare-prod", "backend", "ghcr.io/omnicare/backend:v1.1.0")
    await here.type(REQUESTER, f"/omnicare retry {run}")
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.says(again, "waiting for approval")


async def test_a_retry_after_somebody_went_back_asks_again(here: Story):
    """The yes was for the run that failed; going back was the answer to it. A stale card's button is still there to press."""
    run = await here.deployed("v2.1.0-crash", ends="stopped")
    back = await here.ask(f"rollback --after {run}", ON_CALL)
    await here.ended_with(back, "Back on")
    await here.type(REQUESTER, f"/omnicare retry {run}")
    again = await here.until(lambda: next((each for each in here.runs() if each not in (run, back)), ""), "the retry")
    await here.says(again, "waiting for approval")


async def test_a_retry_after_somebody_left_it_as_it_is_asks_again(here: Story):
    run = await here.deployed("v2.1.0-crash", ends="stopped")
    await here.type(REQUESTER, f'/omnicare resolve {run} --reason "another day"')
    await here.until(lambda: here.environment().undecided is None, "it is decided")
    await here.type(REQUESTER, f"/omnicare retry {run}")
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.says(again, "waiting for approval")


@pytest.mark.parametrize(
    ("command", "words"),
    [("deploy v2.0.0", "has not ended"), ("", "There is no run")],
)
async def test_only_what_ended_badly_is_tried_again(here: Story, command: str, words: str):
    run = await here.ask(command) if command else "production.deploy.nothing"
    await here.type(REQUESTER, f"/omnicare retry {run}")
    await here.whispered(REQUESTER, words)


async def test_a_run_is_tried_again_once(here: Story):
    run = await here.deployed("v2.1.0-crash", ends="stopped")
    await asyncio.gather(*(here.type(REQUESTER, f"/omnicare retry {run}") for _ in range(3)))
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.ended_with(again, "stopped at")
    assert len(here.runs()) == 2
    await here.type(REQUESTER, f"/omnicare retry {run}")
    await here.whispered(REQUESTER, "was already retried")


async def test_an_undecided_environment_says_so_until_somebody_decides(here: Story):
    run = await here.deployed("v2.1.0-bad", ends="stopped")
    said = await here.answer(ON_CALL, "status", "undecided")
    short = short_id(run)
    for way in (f"rollback --after {short}", f"retry {short}", f"resolve {short} --reason"):
        assert way in said
    await here.type(AUDITOR, f"/omnicare resolve {run} --reason x")
    await here.whispered(AUDITOR, "You lack the permission rollout:write")
    await here.type(ON_CALL, f"/omnicare resolve {run}")
    await here.whispered(ON_CALL, "Say why it can stay as it is")
    await here.type(ON_CALL, f'/omnicare resolve {short} --reason "mended by hand"')
    await here.until(lambda: here.environment().undecided is None, "it is decided")
    assert [event.reason for event in here.events() if event.name == "run:resolved"] == ["mended by hand"]
    other = await here.ask('deploy v2.0.0 --reason "the one before"')
    await here.shown("approve", other)
    assert "undecided" not in here.text(other, "plan")


# a failure that nobody answers


async def test_a_failure_is_told_in_the_channel_and_again_until_somebody_answers(world: Story):
    world.configure(lambda document: document["times"].update({"escalate_after": 0.6, "escalate_times": 20}))
    await world.inside()
    run = await world.deployed("v2.1.0-bad", ends="stopped")
    result = world.said(run)["result"][0]
    assert result.broadcast
    assert result in world.slack.history(result.channel)
    for number in (1, 2):
        told = await world.says(run, "is still undecided", f"unanswered-{number}")
        assert "U0INES" in told
    await world.press(ON_CALL, "open-resolve", run)
    await world.fill(ON_CALL, reason="looked at it")
    await world.until(lambda: world.environment().undecided is None, "it is decided")
    await world.says(run, "Resolved", "result")  # so the escalation has heard of it
    told = world.event_names(run).count("run:unanswered")
    await asyncio.sleep(3.0)  # longer than the gap between the first two
    assert world.event_names(run).count("run:unanswered") == told
    slots = [slot for slot in world.said(run) if slot.startswith("unanswered-")]
    assert len(slots) == told
    for slot in ("result", *slots):
        assert "Ines left it as it is: looked at it" in await world.says(run, "Resolved", slot)
    assert buttons_of(world, run) == {"type-evidence", "type-diagnose"}, "only what looks is left"
    world.nothing_is_written_twice(run)


def buttons_of(here: Story, run: str) -> set[str]:
    """Of all the messages of that run."""
    blocks = [block for messages in here.said(run).values() for message in messages for block in message.blocks]
    elements = [element for block in blocks for element in block.get("elements", ())]
    return {each["action_id"] for each in elements if isinstance(each, dict) and "action_id" in each}


async def test_a_failure_that_was_gone_back_from_no_longer_asks(here: Story):
    run = await here.deployed("v2.1.0-bad", ends="stopped")
    assert {"type-rollback", "type-retry", "open-resolve"} <= buttons_of(here, run)
    told = await here.answer(ON_CALL, f"runs {run}", ": failed")
    assert "stopped at Backend rollout: the image can't be pulled" in told
    assert "v1.2.0 still serves backend" in told
    armed = await here.shown("type-rollback", run)
    await here.click(ON_CALL, armed)
    back = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the rollback")
    await here.ended_with(back, "Back on v1.2.0")
    assert "Back on v1.2.0 in production, requested by Ines" in await here.says(run, "Resolved", "result")
    assert buttons_of(here, run) == {"type-evidence", "type-diagnose"}, "only what looks is left"
    async with asyncio.timeout(60):
        while "was followed by" not in "\n".join(map(shown_text, here.messages())):
            await here.type(ON_CALL, f"/omnicare rollback --after {run}")  # the first one may be open for a moment more
            await asyncio.sleep(0.5)
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}


async def test_a_stopped_run_keeps_its_buttons_until_another_ends(here: Story):
    run = await here.rolling()
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    assert "type-retry" in buttons_of(here, run)
    other = await here.ask('deploy v2.0.0 --reason "as announced"')
    await here.press(APPROVER, "approve", other)
    await here.ended_with(other, "v2.0.0 runs in production")
    assert "v2.0.0 runs in production" in await here.says(run, "Resolved", "result")
    assert "type-retry" not in buttons_of(here, run)


async def test_those_on_shift_are_mentioned_first_and_then_everybody(world: Story):
    def change(document: dict[str, Any]) -> None:
        document["times"].update({"escalate_after": 0.6, "escalate_times": 2})
        document["roles"]["on-call"].update({"group": "oncall-today", "shift": True})
        document["environments"]["production"]["groups"] = True

    world.slack.add_group(Group("S0ONCALL", "oncall-today", "On call today", frozenset({"U0INES"})))
    world.configure(change)
    await world.inside()
    run = await world.deployed("v2.1.0-bad", ends="stopped")
    told = await world.says(run, "is still undecided", "unanswered-1")
    assert "U0INES" in told
    assert "U0MAYA" not in told
    told = await world.says(run, "is still undecided", "unanswered-2")
    assert "U0INES" in told
    assert "U0MAYA" in told


async def test_what_waited_before_the_failure_is_no_answer_to_it(world: Story):
    world.configure(lambda document: document["times"].update({"escalate_after": 0.6, "escalate_times": 1}))
    await world.inside()
    run = await world.rolling("v2.1.0-hang")
    other = await world.ask('deploy v2.0.0 --reason "as announced"', who=ON_CALL)
    await world.says(other, "waiting for")
    world.world.cluster.set_image("omnicare-prod", "backend", "ghcr.io/omnicare/backend:v1.1.0")
    await world.ended_with(run, "somebody else changed the image")
    await world.says(other, "is undecided since", "plan")
    assert "U0INES" in await world.says(run, "is still undecided", "unanswered-1")
    assert world.button("type-retry", run), "what to do about it is on the message"


async def test_a_stop_that_somebody_asked_for_is_not_told_in_the_channel(here: Story):
    run = await here.rolling()
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    assert not here.said(run)["result"][0].broadcast


# one approval of several


async def test_after_one_of_two_approvals_the_card_has_a_new_word(world: Story):
    world.configure(
        lambda document: document["environments"]["production"]["approval"]["disruptive"].update({"count": 2})
    )
    await world.inside()
    run = await world.ask("deploy v2.0.0")
    older = await world.shown("approve", run)
    await world.click(APPROVER, older)
    await world.says(run, "Tomas approved", "approval")
    newer = await world.shown("approve", run)
    assert world.word_of(newer[2]) != world.word_of(older[2])
    message, block, element = older
    seen = world.slack.post(message.channel, world.slack.app.user_id, "as a slow client still shows it", blocks=[block])
    await world.click(ON_CALL, (seen, seen.blocks[0], element))
    await world.whispered(ON_CALL, "This card has changed since the button was shown")
    assert world.event_names(run).count("approval:given") == 1
    assert world.tag("backend") == "v1.2.0"
    await world.press(ON_CALL, "approve", run)
    await world.ended_with(run, "v2.0.0 runs in production")
    assert {world.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES} == {True}
    assert "Tomas" in shown_text(world.said(run)["result"][0])
