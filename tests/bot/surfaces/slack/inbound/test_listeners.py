"""What people do in Slack reaches the dispatcher once, in the right order with the acknowledgement, and is answered where they look."""

import asyncio

import pytest

from bot.boundary.inbound import Answer, Exit
from bot.surfaces.slack.inbound.background import AT_ONCE, TOO_MANY
from commands.kit.card import Attachment, Button, Confirm, OpenForm, RunAct, Typed
from tests.bot.surfaces.slack.conftest import SHORT, Slack, Start, card

RUN = "production.deploy.0123456789abc"


async def test_a_query_is_acknowledged_before_it_is_done(slack: Slack) -> None:
    slack.dispatcher.gate.clear()
    outcome = await slack.workspace.type("requester", "deploys", "/omnicare status")
    assert outcome.ok
    await slack.dispatcher.arrived.wait()
    slack.dispatcher.gate.set()
    await slack.until(lambda: slack.whispers() == ["answer to status"])


async def test_an_operation_is_acknowledged_only_when_it_is_handed_over(slack: Slack) -> None:
    slack.dispatcher.gate.clear()
    slack.dispatcher.answers["deploy"] = Answer(card=None, private=False, run=RUN)
    typing = asyncio.create_task(slack.workspace.type("requester", "deploys", "/omnicare deploy v2.0.0"))
    await slack.dispatcher.arrived.wait()
    assert not typing.done()
    slack.dispatcher.gate.set()
    assert (await typing).ok
    assert slack.whispers() == []


async def test_what_was_not_handed_over_in_time_is_not_acknowledged(start: Start) -> None:
    slack = await start(sandbox=SHORT)
    slack.dispatcher.gate.clear()
    outcome = await slack.workspace.type("requester", "deploys", "/omnicare deploy v2.0.0")
    assert "operation_timeout" in outcome.error
    slack.dispatcher.gate.set()


async def test_a_public_answer_stands_in_the_channel(slack: Slack) -> None:
    slack.dispatcher.answers["status"] = Answer(card=card("v1.2.0 runs"), private=False)
    await slack.workspace.type("requester", "deploys", "/omnicare status")
    await slack.until(lambda: [m.text for m in slack.workspace.history("deploys")] == ["v1.2.0 runs"])


async def test_a_delivery_that_comes_twice_acts_once(slack: Slack) -> None:
    slack.workspace.faults.duplicate_next = 2
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    await slack.workspace.type("requester", "deploys", "/omnicare deploy v2.0.0")
    await slack.workspace.type("requester", "deploys", "/omnicare status")
    await slack.until(lambda: slack.workspace.faults.duplicate_next == 0 and len(slack.whispers()) == 1)
    assert [inbound.text for inbound in slack.dispatcher.taken] == ["deploy v2.0.0", "status"]


async def test_an_event_whose_acknowledgement_was_lost_acts_once(start: Start) -> None:
    slack = await start(sandbox=SHORT)
    slack.workspace.faults.swallow_next = 1
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    await slack.workspace.type("requester", "deploys", "<@U0OMNICARE> deploy v2.0.0")
    await slack.until(lambda: slack.workspace.faults.swallow_next == 0)
    await slack.workspace.type("requester", "deploys", "<@U0OMNICARE> status")
    await slack.until(lambda: len(slack.whispers()) == 1)
    assert [inbound.text for inbound in slack.dispatcher.taken] == ["deploy v2.0.0", "status"]


async def test_a_mention_in_a_thread_is_answered_in_that_thread(slack: Slack) -> None:
    head = slack.workspace.post("deploys", "requester", "something is odd")
    slack.dispatcher.answers["logs"] = Answer(card=card("3 lines"), private=False)
    await slack.workspace.type("requester", "deploys", "<@U0OMNICARE> logs backend", thread_ts=head.ts)
    await slack.until(lambda: len(slack.workspace.replies("deploys", head.ts)) == 3)
    assert slack.workspace.replies("deploys", head.ts)[-1].text == "3 lines"
    (inbound,) = slack.dispatcher.taken
    assert (inbound.text, inbound.place.thread, inbound.place.channel) == ("logs backend", head.ts, "C1DEPLOYS")


async def test_a_private_answer_in_a_thread_is_whispered_there(slack: Slack) -> None:
    head = slack.workspace.post("deploys", "requester", "who am I")
    await slack.workspace.type("requester", "deploys", "<@U0OMNICARE> whoami", thread_ts=head.ts)
    await slack.until(lambda: bool(slack.whispers()))
    (whisper,) = slack.workspace.ephemerals("requester")
    assert whisper.thread_ts == head.ts


async def test_an_edited_mention_runs_nothing(slack: Slack) -> None:
    said = (await slack.workspace.type("requester", "deploys", "deploy v2.0.0")).message
    assert said is not None
    await slack.workspace.edit("requester", said.ts, "<@U0OMNICARE> deploy v2.0.0")
    await slack.workspace.type("requester", "deploys", "/omnicare status")
    await slack.until(lambda: slack.whispers() == ["answer to status"])
    assert [inbound.text for inbound in slack.dispatcher.taken] == ["status"]


@pytest.mark.parametrize("subtype", ["me_message", "file_share", "whatever_slack_adds"])
async def test_what_is_no_plain_message_runs_nothing_and_is_answered(slack: Slack, subtype: str) -> None:
    direct = slack.workspace.direct_channel("requester")
    if subtype == "me_message":
        await slack.workspace.type("requester", direct, "/me deploy v2.0.0")
    else:
        slack.workspace.tell_of_post(slack.workspace.post(direct, "requester", "deploy v2.0.0"), subtype=subtype)
    await slack.until(lambda: len(slack.workspace.history(direct)) == 2)
    assert "Only plain messages are read" in slack.workspace.history(direct)[-1].text
    assert slack.dispatcher.taken == []


async def test_a_mention_in_passing_runs_nothing_and_says_how(slack: Slack) -> None:
    await slack.workspace.type("requester", "deploys", "do not let <@U0OMNICARE> deploy v2.0.0 today")
    await slack.until(lambda: bool(slack.whispers()))
    assert "start the message" in slack.whispers()[0]
    assert slack.dispatcher.taken == []


async def test_a_direct_message_is_a_command_and_is_answered_there(slack: Slack) -> None:
    direct = slack.workspace.direct_channel("requester")
    await slack.workspace.type("requester", direct, "status")
    await slack.until(lambda: len(slack.workspace.history(direct)) == 2)
    (inbound,) = slack.dispatcher.taken
    assert inbound.place.direct


@pytest.mark.parametrize("channel", ["elsewhere", "closed"])
async def test_a_command_where_the_bot_is_not_says_so_to_the_dispatcher_and_is_answered_privately(
    slack: Slack, channel: str
) -> None:
    slack.dispatcher.answers["deploy"] = Answer(card=card("I am not in this channel"), exit=Exit.DENIED)
    await slack.workspace.type("requester", channel, "/omnicare deploy v2.0.0")
    await slack.until(lambda: slack.whispers() == ["I am not in this channel"])
    (inbound,) = slack.dispatcher.taken
    assert not inbound.place.member


async def test_nothing_typed_shows_the_menu(slack: Slack) -> None:
    await slack.workspace.type("requester", "deploys", "/omnicare")
    await slack.until(lambda: slack.whispers() == ["What you may run"])


async def test_an_answer_still_arrives_when_the_response_url_is_refused(slack: Slack) -> None:
    slack.workspace.faults.fail_next("response_url", "server_error", times=4)
    await slack.workspace.type("requester", "deploys", "/omnicare whoami")
    await slack.until(lambda: slack.sent("chat.postEphemeral") != [])


async def test_a_public_answer_with_a_file_has_it_in_its_thread(slack: Slack) -> None:
    file = Attachment(filename="logs.txt", content="one\ntwo\n", summary="2 lines")
    slack.dispatcher.answers["logs"] = Answer(card=card("2 lines", body=(file,)), private=False)
    await slack.workspace.type("requester", "deploys", "/omnicare logs backend")
    await slack.until(lambda: any(m.reply_count for m in slack.workspace.history("deploys")))
    (head,) = slack.workspace.history("deploys")
    _, reply = slack.workspace.replies("deploys", head.ts)
    assert slack.workspace.files[reply.files[0]].content == b"one\ntwo\n"


async def test_a_private_answer_with_a_file_brings_it_directly(slack: Slack) -> None:
    file = Attachment(filename="logs.txt", content="one\ntwo\n", summary="2 lines")
    slack.dispatcher.answers["logs"] = Answer(card=card("2 lines", body=(file,)))
    await slack.workspace.type("requester", "deploys", "/omnicare logs backend")
    direct = slack.workspace.direct_channel("requester")
    await slack.until(lambda: any(message.files for message in slack.workspace.history(direct)))
    assert slack.workspace.history("deploys") == []


async def _posted_with(slack: Slack, *buttons: Button) -> str:
    shown = card("Approve?", buttons=buttons)
    posted = await slack.surface.messenger.post(RUN, "approval", shown, channel="C1DEPLOYS", thread=None, search=False)
    return posted.ts


async def test_a_runs_button_carries_run_act_person_and_word(slack: Slack) -> None:
    confirm = Confirm(title="Approve?", text="v1 to v2", yes="Approve")
    act = RunAct(command="approve", run=RUN, word="w1")
    ts = await _posted_with(slack, Button(label="Approve", does=act, confirm=confirm, style="primary"))
    slack.dispatcher.answers["approve"] = Answer(card=card("You can't approve your own request"), exit=Exit.DENIED)
    for _ in range(2):
        await slack.workspace.click("requester", ts, "deploys", "approve")
    await slack.until(lambda: len(slack.whispers()) == 2)
    keys = {inbound.key for inbound in slack.dispatcher.taken}
    assert keys == {f"{RUN}:approve:U1REQUESTER:w1"}
    first = slack.dispatcher.taken[0]
    assert first.filled is not None
    assert (first.filled.values, first.filled.word) == ({"run": RUN}, "w1")


async def test_a_quiet_button_works_from_the_menu(slack: Slack) -> None:
    act = RunAct(command="deny", run=RUN, word="abcdefghijklmnop")
    ts = await _posted_with(slack, Button(label="Withdraw", does=act, quiet=True))
    await slack.workspace.click("requester", ts, "deploys", "more", value=f"r|deny|{RUN}|abcdefghijklmnop")
    assert slack.dispatcher.taken[0].key == f"{RUN}:deny:U1REQUESTER:abcdefghijklmnop"


async def test_a_typed_button_comes_in_through_the_dispatcher(slack: Slack) -> None:
    slack.dispatcher.answers["logs"] = Answer(card=card("3 lines"), private=False)
    ts = await _posted_with(slack, Button(label="Logs", does=Typed(text="logs backend")))
    await slack.workspace.click("approver", ts, "deploys", "type-logs")
    await slack.until(lambda: len(slack.workspace.replies("deploys", ts)) == 2)
    assert (slack.dispatcher.taken[0].text, slack.dispatcher.taken[0].account) == ("logs backend", "U2APPROVER")
    assert slack.dispatcher.taken[0].drawn, "nothing is undone in what no client touched"


async def test_a_button_of_no_card_of_ours_does_nothing(slack: Slack) -> None:
    element = {
        "type": "button",
        "action_id": "approve",
        "text": {"type": "plain_text", "text": "x"},
        "value": '{"k":"run","c":1}',
    }
    forged = slack.workspace.post(
        "deploys", slack.workspace.app.user_id, "x", blocks=[{"type": "actions", "elements": [element]}]
    )
    await slack.workspace.click("outsider", forged.ts, "deploys", "approve")
    await slack.until(lambda: bool(slack.whispers("outsider")), person="outsider")
    assert slack.dispatcher.taken == []


async def test_a_mistyped_command_offers_the_filled_form(slack: Slack) -> None:
    form = OpenForm(command="deploy", filled={"version": "v2.0.0"})
    slack.dispatcher.answers["deplyo"] = Answer(card=card("Did you mean deploy?"), exit=Exit.USAGE, form=form)
    await slack.workspace.type("requester", "deploys", "/omnicare deplyo v2.0.0")
    await slack.until(lambda: bool(slack.whispers()))
    (whisper,) = slack.workspace.ephemerals("requester")
    await slack.workspace.click("requester", whisper.ts, "deploys", "open-deploy")
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    assert slack.dispatcher.forms[0][1] == form


def _home(slack: Slack, person: str = "U1REQUESTER") -> str:
    view = slack.workspace.homes.get(person)
    return str(view.view) if view is not None else ""


async def test_home_is_published_when_it_is_opened_and_again_when_what_it_shows_changes(slack: Slack) -> None:
    slack.dispatcher.answers["home"] = Answer(card=card("production is well", data={"state": "done"}))
    await slack.workspace.open_home("requester")
    await slack.until(lambda: "production is well" in _home(slack))
    assert "Run a command…" in _home(slack)
    slack.dispatcher.answers["home"] = Answer(card=card("production is ill", data={"state": "failed"}))
    slack.surface.changed()
    await slack.until(lambda: "production is ill" in _home(slack))
    looks = len(slack.dispatcher.taken)
    await slack.until(lambda: len(slack.dispatcher.taken) > looks + 2)
    assert len(slack.sent("views.publish")) == 2, "the same facts are not published again"
    assert len({each.key for each in slack.dispatcher.taken}) == 1, "looking again is the same act as the visit"


async def test_home_is_refreshed_by_its_button_and_what_is_decided_there_is_a_decision(slack: Slack) -> None:
    buttons = (
        Button(label="Refresh", does=Typed(text="home", replaces=True)),
        Button(label="Approve", does=RunAct(command="approve", run=RUN, word="w")),
    )
    slack.dispatcher.answers["home"] = Answer(card=card("production is well", buttons=buttons))
    slack.dispatcher.answers["approve"] = Answer(card=None)
    await slack.workspace.open_home("requester")
    await slack.until(lambda: bool(_home(slack)))
    first = len(slack.sent("views.publish"))
    await slack.workspace.click_in_view("requester", slack.workspace.homes["U1REQUESTER"].id, "type-home")
    await slack.until(lambda: len(slack.sent("views.publish")) > first)
    await slack.workspace.click_in_view("requester", slack.workspace.homes["U1REQUESTER"].id, "approve")
    await slack.until(lambda: any(each.filled is not None for each in slack.dispatcher.taken))
    decided = next(each.filled for each in slack.dispatcher.taken if each.filled is not None)
    assert (decided.command, decided.values["run"], decided.word) == ("approve", RUN, "w")


async def test_home_is_published_once_slack_takes_it(slack: Slack) -> None:
    slack.dispatcher.answers["home"] = Answer(card=card("production is well"))
    slack.workspace.faults.fail_next("views.publish", "server_error", times=2)
    await slack.workspace.open_home("requester")
    await slack.until(lambda: "production is well" in _home(slack))
    assert slack.workspace.history(slack.workspace.direct_channel("requester")) == []


async def test_what_is_asked_on_home_is_answered_in_a_modal_and_what_is_pressed_there_too(slack: Slack) -> None:
    ask = Button(label="Status", does=Typed(text="status"))
    refresh = Button(label="Refresh", does=Typed(text="status", replaces=True))
    deploy = Button(label="Deploy", does=Typed(text="deploy v2.0.0"))
    slack.dispatcher.answers["home"] = Answer(card=card("production is well", buttons=(ask,)))
    slack.dispatcher.answers["status"] = Answer(card=card("first look", buttons=(refresh, deploy)))
    await slack.workspace.open_home("requester")
    await slack.until(lambda: bool(_home(slack)))

    def modal() -> str:
        return str(slack.workspace.modals_of("requester")[-1].view) if slack.workspace.modals_of("requester") else ""

    await slack.workspace.click_in_view("requester", slack.workspace.homes["U1REQUESTER"].id, "type-status")
    await slack.until(lambda: "first look" in modal())
    slack.dispatcher.answers["status"] = Answer(card=card("second look", buttons=(refresh, deploy)))
    await slack.workspace.click_in_view("requester", slack.workspace.modals_of("requester")[-1].id, "type-status")
    await slack.until(lambda: "second look" in modal())
    slack.dispatcher.answers["deploy"] = Answer(card=card("You may not deploy"), exit=Exit.DENIED)
    await slack.workspace.click_in_view("requester", slack.workspace.modals_of("requester")[-1].id, "type-deploy")
    await slack.until(lambda: "You may not deploy" in modal())
    assert len(slack.workspace.modals_of("requester")) == 1
    assert slack.workspace.history(slack.workspace.direct_channel("requester")) == []


async def test_an_answer_with_a_file_that_is_asked_on_home_comes_as_a_direct_message(slack: Slack) -> None:
    file = Attachment(filename="lines.txt", content="one", summary="lines")
    slack.dispatcher.answers["home"] = Answer(
        card=card("production is well", buttons=(Button(label="Logs", does=Typed(text="logs")),))
    )
    slack.dispatcher.answers["logs"] = Answer(card=card("the lines", body=(file,)))
    await slack.workspace.open_home("requester")
    await slack.until(lambda: bool(_home(slack)))
    await slack.workspace.click_in_view("requester", slack.workspace.homes["U1REQUESTER"].id, "type-logs")
    direct = slack.workspace.direct_channel("requester")
    await slack.until(lambda: "the lines" in [each.text for each in slack.workspace.history(direct)])
    assert "in your messages with the app" in str(slack.workspace.modals_of("requester")[-1].view)


async def test_who_is_refused_sees_that_on_home_and_is_not_looked_for_again(slack: Slack) -> None:
    slack.dispatcher.answers["home"] = Answer(card=card("Your account is not listed"), exit=Exit.DENIED)
    await slack.workspace.open_home("outsider")
    await slack.until(lambda: "not listed" in _home(slack, "U3OUTSIDER"), person="outsider")
    assert "Run a command" not in _home(slack, "U3OUTSIDER")
    slack.dispatcher.answers["home"] = Answer(card=card("production is well"))
    await slack.workspace.open_home("requester")
    await slack.until(lambda: len(slack.dispatcher.taken) > 4)
    assert sum(each.account == "U3OUTSIDER" for each in slack.dispatcher.taken) == 1


REFRESH = Button(label="Refresh", does=Typed(text="status", replaces=True))


async def test_refresh_puts_the_newer_answer_in_the_place_of_the_card(slack: Slack) -> None:
    """In the channel and in a thread for everybody, and in a message that only one person sees for that person."""
    head = await slack.surface.messenger.say(card("first look", buttons=(REFRESH,)), channel="C1DEPLOYS", thread=None)
    reply = await slack.surface.messenger.say(
        card("first look", buttons=(REFRESH,)), channel="C1DEPLOYS", thread=head.ts
    )
    slack.dispatcher.answers["status"] = Answer(card=card("second look", buttons=(REFRESH,)), private=False)
    for posted in (head, reply):
        await slack.workspace.click("approver", posted.ts, "deploys", "type-status")
        await slack.until(lambda ts=posted.ts: slack.workspace.message("C1DEPLOYS", ts).text == "second look")
    assert len(slack.workspace.replies("deploys", head.ts)) == 2, "nothing was posted beside"
    await slack.surface.messenger.whisper(
        card("first look", buttons=(REFRESH,)), channel="C1DEPLOYS", account="U1REQUESTER"
    )
    (whisper,) = slack.workspace.ephemerals("requester")
    await slack.workspace.click("requester", whisper.ts, "deploys", "type-status")
    await slack.until(lambda: slack.whispers() == ["second look"])


async def test_a_refusal_and_a_private_answer_leave_the_shared_card_as_it_is(slack: Slack) -> None:
    shared = await slack.surface.messenger.say(card("first look", buttons=(REFRESH,)), channel="C1DEPLOYS")
    slack.dispatcher.answers["status"] = Answer(card=card("You may not look"), private=True, exit=Exit.DENIED)
    await slack.workspace.click("outsider", shared.ts, "deploys", "type-status")
    await slack.until(lambda: slack.whispers("outsider") == ["You may not look"], person="outsider")
    slack.dispatcher.answers["status"] = Answer(card=card("for you alone"), private=True)
    await slack.workspace.click("requester", shared.ts, "deploys", "type-status")
    await slack.until(lambda: slack.whispers() == ["for you alone"])
    assert slack.workspace.message("C1DEPLOYS", shared.ts).text == "first look"


async def test_the_message_shortcut_shows_the_run_of_our_own_messages_only(slack: Slack) -> None:
    ts = await _posted_with(slack)
    await slack.workspace.message_shortcut("requester", "deploys", ts, "omnicare_run")
    await slack.until(lambda: bool(slack.whispers()))
    assert slack.dispatcher.taken[0].text == f"runs {RUN}"
    metadata = {"event_type": "omnicare_run", "event_payload": {"run": "production.deploy.forged", "slot": "head"}}
    forged = slack.workspace.post("deploys", "outsider", "a run", metadata=metadata)
    await slack.workspace.message_shortcut("requester", "deploys", forged.ts, "omnicare_run")
    await slack.until(lambda: len(slack.whispers()) == 2)
    assert len(slack.dispatcher.taken) == 1


async def test_closing_lets_what_was_begun_end(start: Start) -> None:
    slack = await start()
    slack.dispatcher.gate.clear()
    await slack.workspace.type("requester", "deploys", "/omnicare status")
    await slack.dispatcher.arrived.wait()
    closing = asyncio.create_task(slack.surface.close(drain=5.0))
    slack.dispatcher.gate.set()
    await closing
    assert slack.whispers() == ["answer to status"]


async def test_who_floods_is_told_once_and_keeps_nobody_else_waiting(slack: Slack) -> None:
    """Two hundred presses whose answers do not end are not two hundred tasks that look."""
    slack.dispatcher.gate.clear()
    for _ in range(200):
        assert (await slack.workspace.type("outsider", "deploys", "/omnicare status")).ok
    await slack.until(lambda: len(slack.dispatcher.taken) == AT_ONCE, person="outsider")
    await slack.until(lambda: slack.whispers("outsider") == [TOO_MANY], person="outsider")
    typing = asyncio.create_task(slack.workspace.type("requester", "deploys", "/omnicare status"))
    assert (await typing).ok
    await slack.until(lambda: len(slack.dispatcher.taken) == AT_ONCE + 1)
    slack.dispatcher.gate.set()
    await slack.until(lambda: slack.whispers() == ["answer to status"])
    await slack.until(lambda: len(slack.whispers("outsider")) == AT_ONCE + 1, person="outsider")
    await slack.workspace.type("outsider", "deploys", "/omnicare status")
    await slack.until(lambda: len(slack.whispers("outsider")) == AT_ONCE + 2, person="outsider")


async def test_answers_that_slack_is_slow_with_are_in_no_ones_way_who_changes_something(slack: Slack) -> None:
    slack.dispatcher.gate.clear()
    for _ in range(AT_ONCE):
        await slack.workspace.type("requester", "deploys", "/omnicare status")
    slack.dispatcher.answers["rollback"] = Answer(card=None, run=RUN)
    going_back = asyncio.create_task(slack.workspace.type("requester", "deploys", "/omnicare rollback"))
    await slack.until(lambda: len(slack.dispatcher.taken) == AT_ONCE + 1)
    slack.dispatcher.gate.set()
    assert (await going_back).ok


async def test_a_flood_of_presses_that_change_something_is_bounded_too(start: Start) -> None:
    slack = await start()
    slack.dispatcher.gate.clear()
    presses = [
        asyncio.create_task(slack.workspace.type("requester", "deploys", "/omnicare deploy v2.0.0")) for _ in range(200)
    ]
    await slack.until(lambda: slack.whispers() == [TOO_MANY])
    assert len(slack.dispatcher.taken) == AT_ONCE
    slack.dispatcher.gate.set()
    assert all(outcome.ok for outcome in await asyncio.gather(*presses))
