"""Deliveries that the Bolt app is given directly: once each, acknowledged only where they were handled, over both transports."""

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot.boundary.inbound import Answer
from bot.surfaces.slack.identity import SlackIdentity
from bot.surfaces.slack.render import button_values
from commands.kit.card import Typed
from sandbox.slack.workspace import Group
from tests.bot.surfaces.slack.conftest import Slack, Start

RUN = "production.deploy.0123456789abc"


def bolt(slack: Slack) -> AsyncApp:
    assert slack.surface.connections is not None
    return slack.surface.connections.app


def _command(text: str, trigger: str) -> AsyncBoltRequest:
    body = {
        "command": "/omnicare",
        "user_id": "U1REQUESTER",
        "channel_id": "C1DEPLOYS",
        "text": text,
        "trigger_id": trigger,
    }
    return AsyncBoltRequest(mode="socket_mode", body=body)


_CLICK = {"type": "block_actions", "user": {"id": "U1REQUESTER"}, "channel": {"id": "C1DEPLOYS"}}
_SAID = {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1REQUESTER", "text": "deploy v2.0.0"}
_FORM_VIEW = {
    "id": "V1",
    "type": "modal",
    "callback_id": "omnicare_form",
    "private_metadata": '{"c": "deploy", "h": {}, "p": {}}',
    "state": {"values": {}},
    "blocks": [],
}


def _deploy_button(action_ts: str) -> dict[str, Any]:
    value = button_values.written(Typed(text="deploy v2.0.0"))
    return {"type": "button", "action_id": "x", "value": value, "action_ts": action_ts}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"command": "/omnicare", "user_id": "U1REQUESTER", "text": "deploy v2.0.0", "response_url": "https://s/1"},
            {"command": "/omnicare", "user_id": "U1REQUESTER", "text": "deploy v2.0.0", "response_url": "https://s/2"},
        ),
        (
            {**_CLICK, "actions": [_deploy_button("1.000001")]},
            {**_CLICK, "actions": [_deploy_button("1.000002")]},
        ),
        (
            {"type": "view_submission", "user": {"id": "U1REQUESTER"}, "view": {**_FORM_VIEW, "hash": "1.a"}},
            {"type": "view_submission", "user": {"id": "U1REQUESTER"}, "view": {**_FORM_VIEW, "hash": "2.b"}},
        ),
        (
            {"type": "event_callback", "event": {**_SAID, "ts": "1.000001"}},
            {"type": "event_callback", "event": {**_SAID, "ts": "1.000002"}},
        ),
    ],
    ids=["command", "click", "form", "message"],
)
async def test_each_act_without_a_trigger_has_a_key_of_its_own(
    slack: Slack, first: dict[str, Any], second: dict[str, Any]
) -> None:
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    for body in (first, second, second):
        request = AsyncBoltRequest(mode="socket_mode", body=body)
        assert (await bolt(slack).async_dispatch(request)).status == 200
    keys = [inbound.key for inbound in slack.dispatcher.taken]
    assert len(keys) == len(set(keys)) == 2
    assert "https://" not in "".join(keys)


async def test_an_act_that_nothing_tells_from_another_is_not_acknowledged(slack: Slack) -> None:
    body = {"command": "/omnicare", "user_id": "U1REQUESTER", "text": "deploy v2.0.0"}
    assert (await bolt(slack).async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body))).status == 500
    assert slack.dispatcher.taken == []


async def test_a_second_delivery_waits_for_the_first_and_is_acknowledged_like_it(slack: Slack) -> None:
    app = bolt(slack)
    slack.dispatcher.gate.clear()
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    first, second = (asyncio.create_task(app.async_dispatch(_command("deploy v2.0.0", "1.1"))) for _ in range(2))
    await slack.dispatcher.arrived.wait()
    assert not second.done()
    slack.dispatcher.gate.set()
    assert [(await each).status for each in (first, second)] == [200, 200]
    assert len(slack.dispatcher.taken) == 1


async def test_what_could_not_be_handed_over_is_not_acknowledged_and_may_come_again(slack: Slack) -> None:
    app, take = bolt(slack), slack.dispatcher.take

    async def fails(_came: object) -> Answer:
        slack.dispatcher.arrived.set()
        await slack.dispatcher.gate.wait()
        raise OSError("the disk is full")

    slack.dispatcher.take = fails  # type: ignore[method-assign] # the fake dispatcher of the tests
    slack.dispatcher.gate.clear()
    first, second = (asyncio.create_task(app.async_dispatch(_command("deploy v2.0.0", "1.1"))) for _ in range(2))
    await slack.dispatcher.arrived.wait()
    slack.dispatcher.gate.set()
    assert 200 not in [(await each).status for each in (first, second)]
    slack.dispatcher.take = take  # type: ignore[method-assign]
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    assert (await app.async_dispatch(_command("deploy v2.0.0", "1.1"))).status == 200


class _FailsOnce(SlackIdentity):
    """Forgets its groups at the second time only."""

    failed = False

    def group_changed(self, group: str) -> None:
        if not self.failed:
            self.failed = True
            raise OSError("out of files")
        super().group_changed(group)


async def test_a_listener_that_fails_after_its_acknowledgement_has_not_handled_the_delivery(start: Start) -> None:
    slack = await start(connect=False)
    slack.surface.identity = identity = _FailsOnce(slack.surface.api)
    slack.surface.open(slack.dispatcher)
    assert await identity.group("S0APPROVERS") == {"U2APPROVER"}
    slack.workspace.add_group(Group("S0APPROVERS", "release-approvers", "x", frozenset({"U1REQUESTER"})))
    event = {"type": "subteam_members_changed", "subteam_id": "S0APPROVERS"}
    body = {"type": "event_callback", "event_id": "Ev1", "event": event}
    delivered = [
        await bolt(slack).async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body)) for _ in range(2)
    ]  # Slack delivers again what was not acknowledged
    assert [each.status for each in delivered] == [500, 200]
    assert await identity.group("S0APPROVERS") == {"U1REQUESTER"}


@pytest.mark.parametrize(
    "body",
    [
        {"command": "/omnicare", "text": "status"},
        {"command": "/omnicare", "user_id": 7, "text": "status"},
        {"type": "block_actions", "actions": [{"type": "button", "action_id": "x", "value": "t|status"}], "user": None},
        {"type": "block_suggestion", "action_id": "value", "value": "v2"},
        {"type": "shortcut", "callback_id": "omnicare_menu"},
    ],
)
async def test_a_payload_that_does_not_say_who_acted_is_not_acknowledged(slack: Slack, body: dict[str, Any]) -> None:
    assert (await bolt(slack).async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body))).status == 500
    assert slack.dispatcher.taken == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "event_callback", "event": {"type": "reaction_added", "user": "U1REQUESTER"}},
        {"type": "event_callback", "event": {"type": "message", "subtype": "message_deleted", "channel_type": "im"}},
        {"type": "view_closed", "user": {"id": "U1REQUESTER"}, "view": {"callback_id": "omnicare_form"}},
        {"type": "shortcut", "callback_id": "another", "user": {"id": "U1REQUESTER"}},
        {
            "type": "block_actions",
            "actions": [{"type": "static_select", "action_id": "x"}],
            "user": {"id": "U1REQUESTER"},
        },
        {"type": "something_new"},
    ],
)
async def test_what_asks_nothing_of_the_bot_is_acknowledged(slack: Slack, body: dict[str, Any]) -> None:
    assert (await bolt(slack).async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body))).status == 200
    assert slack.dispatcher.taken == []


async def test_a_change_of_a_group_reaches_what_is_remembered_of_it(slack: Slack) -> None:
    identity = slack.surface.identity
    assert await identity.group("S0APPROVERS") == {"U2APPROVER"}
    slack.workspace.add_group(Group("S0APPROVERS", "release-approvers", "x", frozenset({"U1REQUESTER"})))
    event = {"type": "subteam_members_changed", "subteam_id": "S0APPROVERS"}
    body = {"type": "event_callback", "event_id": "Ev1", "event": event}
    assert (await bolt(slack).async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body))).status == 200
    assert await identity.group("S0APPROVERS") == {"U1REQUESTER"}


async def test_the_same_app_takes_what_comes_over_http_if_slack_has_signed_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "of the app")
    slack = await start(connect=False)
    body = urlencode(
        {"command": "/omnicare", "user_id": "U1REQUESTER", "channel_id": "D1", "text": "status", "trigger_id": "1.1"}
    )
    now = str(int(time.time()))
    signature = SignatureVerifier("of the app").generate_signature(timestamp=now, body=body)
    for signed, status in (("v0=forged", 401), (str(signature), 200)):
        headers = {"x-slack-signature": signed, "x-slack-request-timestamp": now}
        request = AsyncBoltRequest(mode="http", body=body, headers=headers)
        assert (await bolt(slack).async_dispatch(request)).status == status
    await slack.dispatcher.arrived.wait()
    assert [each.text for each in slack.dispatcher.taken] == ["status"]
