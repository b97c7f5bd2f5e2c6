import asyncio

import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack.workspace import Refused
from tests.sandbox.slack.conftest import SHORT


def plain(text):
    return {"type": "plain_text", "text": text}


def option(value):
    return {"text": plain(value.title()), "value": value}


CARD = [
    {"type": "section", "block_id": "about", "text": plain("Deploy v2")},
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [
            {"type": "button", "action_id": "approve", "text": plain("Approve"), "value": "run-7", "style": "primary"},
            {"type": "overflow", "action_id": "more", "options": [option("withdraw"), option("logs")]},
            {"type": "static_select", "action_id": "version", "options": [option("v1"), option("v2")]},
        ],
    },
]

FORM = {
    "type": "modal",
    "callback_id": "deny",
    "title": plain("Deny"),
    "submit": plain("Deny"),
    "notify_on_close": True,
    "private_metadata": "run-7",
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 20},
        },
        {
            "type": "input",
            "block_id": "where",
            "optional": True,
            "label": plain("Environment"),
            "element": {
                "type": "static_select",
                "action_id": "env",
                "options": [option("staging"), option("production")],
                "initial_option": option("staging"),
            },
        },
    ],
}


@pytest.fixture
async def opened(slack, until):
    """A form that the app opened for the requester when a button was pressed."""

    @slack.app.action("approve")
    async def pressed(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    await slack.connect()
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=CARD)
    async with slack.workspace.subscribe("requester") as seen:
        await slack.workspace.click("requester", message["ts"], "C1", "approve")
        event = await until(seen, "view_opened")
    return event.view_id


async def test_a_click_carries_person_place_message_and_value(slack):
    heard = []

    @slack.app.action({"block_id": "decide"})
    async def listener(ack, body):
        await ack()
        heard.append(body)

    await slack.connect()
    head = await slack.client.chat_postMessage(channel="C1", text="head")
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=CARD, thread_ts=head["ts"])
    for action, value in (("approve", None), ("more", "logs"), ("version", "v2")):
        assert (await slack.workspace.click("approver", message["ts"], "#deploys", action, "decide", value)).ok

    button, overflow, select = (body["actions"][0] for body in heard)
    assert (button["value"], button["block_id"], button["type"]) == ("run-7", "decide", "button")
    assert overflow["selected_option"] == option("logs")
    assert select["selected_option"] == option("v2")
    assert heard[2]["state"]["values"]["decide"]["version"]["selected_option"] == option("v2")
    assert heard[0]["user"]["id"] == "U2"
    assert heard[0]["container"]["thread_ts"] == head["ts"]
    assert heard[0]["message"]["text"] == "card"


async def test_a_click_that_nobody_answers_ends_with_an_error_for_the_one_who_clicked(start):
    slack = await start(SHORT)
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=CARD)
    assert (await slack.workspace.click("approver", message["ts"], "C1", "approve")).error == "dispatch_failed"
    await slack.connect()
    slack.workspace.faults.swallow_next = 1

    @slack.app.action("approve")
    async def listener(ack):
        await ack()

    assert (await slack.workspace.click("approver", message["ts"], "C1", "approve")).error == "operation_timeout"


async def test_a_press_on_the_card_as_it_stood_a_moment_ago_counts(slack):
    heard = []

    @slack.app.action("approve")
    async def listener(ack, body):
        await ack()
        heard.append(body["actions"][0]["block_id"])

    await slack.connect()
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=CARD)
    drawn_anew = [{**block, "block_id": f"anew-{at}"} for at, block in enumerate(CARD)]
    await slack.client.chat_update(channel="C1", ts=message["ts"], text="card", blocks=drawn_anew)
    assert (await slack.workspace.click("approver", message["ts"], "C1", "approve", "decide")).ok
    assert heard == ["anew-1"]


async def test_a_button_of_an_old_card_is_gone(slack):
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=CARD)
    await slack.client.chat_update(channel="C1", ts=message["ts"], text="decided", blocks=[])
    with pytest.raises(Refused, match="action_not_found"):
        await slack.workspace.click("approver", message["ts"], "C1", "approve")


async def test_a_click_on_an_ephemeral_card_can_replace_and_delete_it(slack, until):
    @slack.app.action("approve")
    async def listener(ack, respond, body):
        await ack()
        if body["message"].get("is_ephemeral"):
            await respond("Replaced", blocks=CARD, replace_original=True)

    @slack.app.action("more")
    async def remove(ack, respond):
        await ack()
        await respond(delete_original=True)

    await slack.connect()
    shown = await slack.client.chat_postEphemeral(channel="C1", user="U1", text="card", blocks=CARD)
    async with slack.workspace.subscribe("requester") as seen:
        await slack.workspace.click("requester", shown["message_ts"], "C1", "approve")
        await until(seen, "ephemeral_changed")
        assert slack.last_seen_by("requester") == "Replaced"
        await slack.workspace.click("requester", shown["message_ts"], "C1", "more", value="logs")
        await until(seen, "ephemeral_deleted")
    assert slack.workspace.ephemerals("requester") == []
    with pytest.raises(Refused, match="message_not_found"):
        await slack.workspace.click("approver", shown["message_ts"], "C1", "approve")


async def test_a_response_url_works_five_times(slack):
    from slack_sdk.webhook.async_client import AsyncWebhookClient

    url = slack.workspace.new_response_url("U1", "C1")
    answers = [await AsyncWebhookClient(url).send(text=str(number)) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert "used_url" in answers[-1].body
    assert len(slack.workspace.ephemerals("requester")) == 5


async def test_a_form_is_submitted_with_what_was_entered_and_closes(slack, opened):
    heard = []

    @slack.app.view("deny")
    async def submitted(ack, view):
        await ack()
        heard.append(view)

    outcome = await slack.workspace.submit_view("requester", opened, {"why": {"reason": "not today"}})
    assert outcome.ok
    values = heard[0]["state"]["values"]
    assert values["why"]["reason"] == {"type": "plain_text_input", "value": "not today"}
    assert values["where"]["env"]["selected_option"] == option("staging")
    assert heard[0]["private_metadata"] == "run-7"
    assert slack.workspace.modals_of("requester") == []


async def test_the_client_itself_refuses_an_empty_or_too_long_field(slack, opened):
    empty = await slack.workspace.submit_view("requester", opened, {})
    assert empty.errors == {"why": "Please complete this required field."}
    long = await slack.workspace.submit_view("requester", opened, {"why": {"reason": "x" * 21}})
    assert long.errors == {"why": "Please enter no more than 20 characters."}
    assert len(slack.workspace.modals_of("requester")) == 1


async def test_a_form_can_be_answered_with_errors_another_view_or_the_end(slack, opened):
    answers = iter(
        [
            {"response_action": "errors", "errors": {"why": "Say more."}},
            {"response_action": "update", "view": FORM | {"title": plain("Again")}},
            {"response_action": "push", "view": FORM | {"title": plain("Over it")}},
            {"response_action": "errors", "errors": {"nowhere": "x"}},
            {"response_action": "update", "view": FORM | {"title": plain("A title that is longer than it may be")}},
            {"response_action": "clear"},
        ]
    )

    @slack.app.view("deny")
    async def submitted(ack):
        await ack(**next(answers))

    values = {"why": {"reason": "no"}}
    first = await slack.workspace.submit_view("requester", opened, values)
    assert first.errors == {"why": "Say more."}
    second = await slack.workspace.submit_view("requester", opened, values)
    assert (second.view.id, second.view.view["title"]["text"]) == (opened, "Again")
    third = await slack.workspace.submit_view("requester", opened, values)
    assert (third.view.previous_id, third.view.root_id) == (opened, opened)
    for _ in range(2):
        wrong = await slack.workspace.submit_view("requester", third.view.id, values)
        assert wrong.error == "We had some trouble connecting. Try again?"
    assert (await slack.workspace.submit_view("requester", third.view.id, values)).ok
    assert slack.workspace.modals_of("requester") == []


async def test_a_form_can_be_changed_while_it_is_open_but_not_over_a_newer_one(slack, opened):
    shown = slack.workspace.find_view(opened)
    await slack.client.views_update(view_id=opened, view=FORM | {"title": plain("New")}, hash=shown.hash)
    assert slack.workspace.find_view(opened).view["title"]["text"] == "New"
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await slack.client.views_update(view_id=opened, view=FORM, hash=shown.hash)


async def test_closing_a_form_is_told_where_it_was_asked_for(slack, opened):
    heard = []

    @slack.app.view_closed("deny")
    async def closed(ack, body):
        await ack()
        heard.append(body["is_cleared"])

    with pytest.raises(Refused, match="not_found"):
        await slack.workspace.close_view("approver", opened)
    await slack.workspace.close_view("requester", opened, clear=True)
    assert heard == [True]
    assert slack.workspace.modals_of("requester") == []


async def test_a_trigger_opens_one_view_and_only_for_a_while(slack):
    trigger = slack.workspace.new_trigger("U1")
    await slack.client.views_open(trigger_id=trigger, view=FORM)
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        await slack.client.views_open(trigger_id=trigger, view=FORM)
    with pytest.raises(SlackApiError, match="invalid_trigger_id"):
        await slack.client.views_open(trigger_id="made-up", view=FORM)
    late = slack.workspace.new_trigger("U1")
    slack.workspace.triggers[late].expires = 0
    with pytest.raises(SlackApiError, match="expired_trigger_id"):
        await slack.client.views_open(trigger_id=late, view=FORM)


async def test_three_views_lie_on_each_other_and_no_fourth(slack):
    await slack.client.views_open(trigger_id=slack.workspace.new_trigger("U1"), view=FORM)
    for _ in range(2):
        await slack.client.views_push(trigger_id=slack.workspace.new_trigger("U1"), view=FORM)
    with pytest.raises(SlackApiError, match="push_limit_reached"):
        await slack.client.views_push(trigger_id=slack.workspace.new_trigger("U1"), view=FORM)


async def test_home_is_published_for_the_one_who_opened_it(slack, until):
    home = {"type": "home", "blocks": CARD}
    heard: asyncio.Queue = asyncio.Queue()

    @slack.app.event("app_home_opened")
    async def opened(event, client):
        await client.views_publish(user_id=event["user"], view=home)

    @slack.app.action("approve")
    async def pressed(ack, body):
        await ack()
        await heard.put(body)

    await slack.connect()
    async with slack.workspace.subscribe("requester") as seen:
        await slack.workspace.open_home("requester")
        event = await until(seen, "home_published")
    assert slack.workspace.homes["U1"].view["blocks"][0]["block_id"] == "about"
    assert (await slack.workspace.click_in_view("requester", event.view_id, "approve")).ok
    assert (await heard.get())["container"] == {"type": "view", "view_id": event.view_id}


async def test_shortcuts_reach_the_app(start):
    slack = await start(shortcuts={"menu": "Menu"}, message_shortcuts={"audit": "Who did this"})
    heard = []

    @slack.app.shortcut("menu")
    async def menu(ack, body):
        await ack()
        heard.append(body["user"]["id"])

    @slack.app.message_shortcut("audit")
    async def audit(ack, body):
        await ack()
        heard.append(body["message"]["text"])

    await slack.connect()
    message = (await slack.workspace.type("requester", "#deploys", "look")).message
    assert (await slack.workspace.shortcut("requester", "menu")).ok
    assert (await slack.workspace.message_shortcut("requester", "#deploys", message.ts, "audit")).ok
    assert heard == ["U1", "look"]
    with pytest.raises(Refused, match="unknown_shortcut"):
        await slack.workspace.shortcut("requester", "other")


async def test_an_external_select_asks_the_app_for_its_options(slack):
    @slack.app.options("versions")
    async def versions(ack, payload):
        await ack(options=[option(name) for name in ("v1", "v2") if payload["value"] in name])

    await slack.connect()
    element = {"type": "external_select", "action_id": "versions", "placeholder": plain("Version")}
    block = {"type": "section", "block_id": "pick", "text": plain("Which"), "accessory": element}
    message = await slack.client.chat_postMessage(channel="C1", text="card", blocks=[block])
    offered = await slack.workspace.suggest(
        "requester", "versions", "pick", "v2", channel="C1", message_ts=message["ts"]
    )
    assert offered == [option("v2")]


async def test_a_form_of_a_shortcut_begins_with_the_conversation_that_the_person_looks_at(start, until):
    slack = await start(shortcuts={"menu": "Menu"})
    where = {"type": "conversations_select", "action_id": "value", "default_to_current_conversation": True}
    block = {"type": "input", "block_id": "place", "optional": True, "label": plain("Channel"), "element": where}

    @slack.app.shortcut("menu")
    async def used(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view={**FORM, "blocks": [block]})

    await slack.connect()
    async with slack.workspace.subscribe("requester") as seen:
        await slack.workspace.shortcut("requester", "menu", "#deploys")
        event = await until(seen, "view_opened")
    (shown,) = slack.workspace.find_view(event.view_id).view["blocks"]
    assert shown["element"]["initial_conversation"] == "C1"
