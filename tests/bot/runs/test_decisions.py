"""Approving, denying, withdrawing: who may, what counts once, and what happens when nobody answers."""

import asyncio
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from sandbox.people import DEPLOYS, INCIDENTS
from sandbox.slack.model import Group
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, OUTSIDER, REQUESTER, SERVICES, Story


async def waiting(here: Story, text: str = "deploy v2.0.0") -> str:
    run = await here.ask(text)
    await here.says(run, "waiting for approval")
    return run


def untouched(here: Story) -> None:
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert here.environment().run is None
    assert here.chain_holds()


async def test_a_denial_with_a_reason_ends_the_request(here: Story):
    run = await waiting(here)
    await here.press(APPROVER, "deny", run)
    await here.fill(APPROVER, reason="clinic go-live until 18:00")
    await here.says(run, "denied by Tomas: clinic go-live until 18:00", "result")
    await here.says(run, "clinic go-live until 18:00", "approval")
    await here.says(run, "⚪")
    assert here.button("approve", run) is None
    assert here.event_names(run)[-1] == "approval:denied"
    untouched(here)


async def test_a_request_is_withdrawn_by_who_asked(here: Story):
    run = await waiting(here)
    await here.press(REQUESTER, "more", run)
    await here.says(run, "Maya withdrew", "result")
    assert here.event_names(run)[-1] == "run:withdrawn"
    untouched(here)


async def test_nobody_else_can_withdraw_it(here: Story):
    run = await waiting(here)
    await here.press(APPROVER, "more", run)
    await here.whispered(APPROVER, "Only the requester, Maya, can withdraw it")
    assert here.button("approve", run) is not None


async def test_nobody_approves_their_own_request(here: Story):
    run = await waiting(here)
    await here.press(REQUESTER, "approve", run)
    told = await here.whispered(REQUESTER, "You can't approve your own request. Tomas and Ines can.")
    assert told.thread_ts == here.said(run)["head"][0].ts
    assert "approval:given" not in here.event_names(run)
    assert [event.reason_code for event in here.events() if event.name == "permission:denied"] == ["own-request"]
    untouched(here)


async def test_an_outsider_neither_asks_nor_approves(here: Story):
    await here.type(OUTSIDER, "/omnicare deploy v2.0.0")
    await here.whispered(OUTSIDER, "not listed")
    assert here.runs() == []
    run = await waiting(here)
    await here.press(OUTSIDER, "approve", run)
    await here.until(lambda: len(here.slack.ephemerals(OUTSIDER)) == 2, "the click is refused too")
    assert "approval:given" not in here.event_names(run)
    untouched(here)


async def test_who_may_ask_but_not_approve_is_told_who_can(here: Story):
    run = await waiting(here)
    await here.press("dana", "approve", run)
    await here.whispered("dana", "Tomas and Ines can")
    untouched(here)


async def test_two_who_approve_at_the_same_time_start_one_run(here: Story):
    run = await waiting(here)
    button = await here.shown("approve", run)
    await asyncio.gather(here.click(APPROVER, button), here.click(ON_CALL, button))
    await here.ended_with(run, "v2.0.0 runs in production")
    names = here.event_names(run)
    assert names.count("run:started") == names.count("approval:granted") == names.count("run:succeeded") == 1
    assert {here.revision(service) for service in SERVICES} == {3}
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


async def test_a_second_click_in_a_delivery_of_its_own_acts_once(here: Story):
    run = await waiting(here)
    button = await here.shown("approve", run)
    await here.click(APPROVER, button)
    await here.click(APPROVER, button)
    await here.ended_with(run, "v2.0.0 runs in production")
    names = here.event_names(run)
    assert [name for name in names if name != "command:accepted"] == [
        name for name in DEPLOYED if name != "command:accepted"
    ]
    here.nothing_is_written_twice(run)


async def test_a_click_that_slack_delivers_twice_acts_once(here: Story):
    run = await waiting(here)
    here.slack.faults.duplicate_next = 1
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert here.event_names(run) == DEPLOYED


async def test_a_command_that_slack_delivers_twice_acts_once(here: Story):
    here.slack.faults.duplicate_next = 1
    run = await waiting(here)
    await here.until(lambda: here.slack.faults.duplicate_next == 0, "it was delivered again")
    assert here.runs() == [run]
    assert here.event_names(run).count("run:requested") == 1


async def test_a_button_of_a_card_that_has_changed_is_refused(here: Story):
    run = await waiting(here)
    old = await here.shown("approve", run)
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    with pytest.raises(Exception, match="action_not_found"):
        await here.click(ON_CALL, old)  # Slack itself no longer has it


async def test_a_word_that_was_guessed_decides_nothing(here: Story):
    run = await waiting(here)
    message, block, element = await here.shown("approve", run)
    forged = element | {"value": element["value"].replace(here.word_of(element), "x" * 16)}
    blocks = tuple(
        one | {"elements": [forged if each is element else each for each in one["elements"]]} if one is block else one
        for one in message.blocks
    )
    here.slack.update(message.channel, message.ts, text=message.text, blocks=blocks)
    await here.press(APPROVER, "approve", run)
    await here.whispered(APPROVER, "This card has changed")
    assert "approval:given" not in here.event_names(run)
    untouched(here)


async def test_who_may_not_see_a_button_types_the_same(here: Story):
    run = await waiting(here)
    short = run.rpartition(".")[2][:6]
    await here.type(APPROVER, f"/omnicare approve {short}")
    await here.ended_with(run, "v2.0.0 runs in production")
    assert {here.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES} == {True}


async def test_nobody_answers_so_they_are_reminded_once_and_then_it_expires(world: Story):
    def short(document: dict[str, Any]) -> None:
        document["environments"]["production"]["approval"]["disruptive"] |= {
            "expires_seconds": 3.0,
            "reminder_seconds": 1.5,
        }

    world.configure(short)
    await world.inside()
    run = await waiting(world)
    reminder = await world.says(run, "Still waiting for approval", "reminder")
    assert "U0TOMAS" in reminder
    assert "U0MAYA" not in reminder
    await world.says(run, "nobody decided in time", "result")
    assert world.button("approve", run) is None
    assert world.event_names(run)[-1] == "run:expired"
    world.nothing_was_said_twice(run)
    untouched(world)


def shifts(world: Story, *, members: frozenset[str], first: float = 600.0) -> None:
    """Ines may approve and so may Tomas; neither reads #deploys, and the group says who is on shift.

    `first`: seconds for those on shift, before the rest is reminded.
    """
    world.slack.add_group(Group("S0ONCALL", "oncall-today", "On call today", members))

    def change(document: dict[str, Any]) -> None:
        production = document["environments"]["production"]
        production["groups"] = True
        production["approval"]["disruptive"] |= {"expires_seconds": first + 600.0, "reminder_seconds": 600.0}
        document["roles"]["on-call"] |= {"group": "oncall-today", "shift": True}

    world.configure(change)
    for who in (APPROVER, ON_CALL):
        world.slack.leave(who, DEPLOYS)


async def test_those_on_shift_are_asked_first_and_the_rest_at_the_reminder(world: Story):
    shifts(world, members=frozenset({"U0INES"}), first=8.0)
    await world.inside()
    run = await waiting(world)
    await world.says(run, "Approval by Ines (on shift) or Tomas, not Maya", "approval")
    await world.says(run, "needs your approval", "invitation-1-ines@ines")
    assert world.said(run).get("invitation-1-tomas@tomas") is None
    reminder = await world.says(run, "Still waiting for approval", "reminder")
    assert "U0TOMAS" in reminder
    await world.says(run, "needs your approval", "invitation-1-tomas@tomas")
    (asked,) = [event for event in world.events(run) if event.name == "approval:asked"]
    assert dict(asked.details) == {"approvers": ["ines", "tomas"], "later": ["tomas"]}
    world.nothing_was_said_twice(run)


async def test_who_is_not_on_shift_may_approve_before_the_reminder_all_the_same(world: Story):
    shifts(world, members=frozenset({"U0INES"}))
    await world.inside()
    run = await waiting(world)
    await world.type(APPROVER, f"/omnicare approve {run}", INCIDENTS)
    await world.ended_with(run, "v2.0.0 runs in production")
    assert world.said(run).get("invitation-1-tomas@tomas") is None


@pytest.mark.parametrize("members", [frozenset(), frozenset({"U0MAYA"})], ids=["nobody", "the requester alone"])
async def test_where_nobody_else_is_on_shift_everybody_is_asked_at_once(world: Story, members: frozenset[str]):
    shifts(world, members=members)
    await world.inside()
    run = await waiting(world)
    await world.says(run, "Approval by Tomas or Ines, not Maya", "approval")
    for key in (APPROVER, ON_CALL):
        await world.says(run, "needs your approval", f"invitation-1-{key}@{key}")
    assert world.said(run).get("reminder") is None


async def test_where_slack_does_not_say_who_is_on_shift_everybody_is_asked_at_once(world: Story):
    shifts(world, members=frozenset({"U0INES"}))
    world.slack.faults.fail_next("usergroups.list", "server_error", times=50)
    await world.inside()
    run = await waiting(world)
    for key in (APPROVER, ON_CALL):
        await world.says(run, "needs your approval", f"invitation-1-{key}@{key}")


async def test_two_of_the_group_are_asked_where_the_policy_wants_two(world: Story):
    def two(document: dict[str, Any]) -> None:
        document["environments"]["production"]["approval"]["disruptive"]["count"] = 2

    world.configure(two)
    await world.inside()
    run = await waiting(world)
    await world.press(APPROVER, "approve", run)
    await world.says(run, "Tomas approved", "approval")
    assert {world.tag(service) for service in SERVICES} == {"v1.2.0"}
    await world.press(APPROVER, "approve", run)
    await world.whispered(APPROVER, "You have already approved it; it needs 1 more")
    await world.press(ON_CALL, "approve", run)
    await world.ended_with(run, "v2.0.0 runs in production")
    assert "Tomas" in world.text(run, "approval")
    assert "Ines" in world.text(run, "approval")


async def test_where_nobody_but_the_requester_could_approve_it_says_so_at_once(world: Story):
    def nobody(document: dict[str, Any]) -> None:
        document["environments"]["production"]["permissions"]["rollout:approve"] = ["release-manager"]

    world.configure(nobody)
    await world.inside()
    run = await world.ask("deploy v2.0.0")
    await world.says(run, "Nobody but you could approve this", "result")
    assert "approval" not in world.said(run)
    untouched(world)


async def test_an_approver_who_is_not_in_the_channel_gets_a_direct_message(world: Story):
    world.slack.leave(ON_CALL, "C0DEPLOYS")
    await world.inside()
    run = await waiting(world)
    direct = world.slack.direct_channel(ON_CALL)
    await world.until(lambda: world.slack.history(direct), "Ines is told directly")
    assert "Deploy v2.0.0" in shown_text(world.slack.history(direct)[0])
    assert world.slack.history(world.slack.direct_channel(APPROVER)) == []
    world.nothing_was_said_twice(run)
