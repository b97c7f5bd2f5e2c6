"""Tokens, scopes, rate limits, and the faults that a test can ask for."""

import asyncio

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack.workspace import SlackSettings


@pytest.mark.parametrize(
    ("token", "error"), [(None, "not_authed"), ("xoxb-other", "invalid_auth"), ("app", "not_allowed_token_type")]
)
async def test_a_wrong_token_is_refused(slack, token, error):
    client = AsyncWebClient(slack.server.app_token if token == "app" else token, base_url=slack.server.api_url)
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response["error"] == error


async def test_a_missing_scope_is_named_with_those_that_there_are(start):
    slack = await start(scopes=frozenset({"commands", "chat:write"}))
    with pytest.raises(SlackApiError) as caught:
        await slack.client.users_info(user="U1")
    response = caught.value.response
    assert (response["error"], response["needed"], response["provided"]) == (
        "missing_scope",
        "users:read",
        "chat:write,commands",
    )
    assert response.headers["x-oauth-scopes"] == "chat:write,commands"


async def test_the_scope_is_that_of_the_channels_kind(start):
    slack = await start(scopes=frozenset({"im:history"}))
    with pytest.raises(SlackApiError) as caught:
        await slack.client.conversations_history(channel="C1")
    assert caught.value.response["needed"] == "channels:history"
    await slack.client.conversations_history(channel=slack.workspace.direct_channel("requester").id)


async def test_an_unknown_method_is_called_unknown(slack):
    with pytest.raises(SlackApiError, match="unknown_method"):
        await slack.client.api_call("chat.shout", json={})


async def test_arguments_may_come_as_json_or_as_a_form(slack):
    block = '[{"type": "section", "text": {"type": "plain_text", "text": "hello"}}]'
    await slack.client.api_call("chat.postMessage", params={"channel": "C1", "text": "form", "blocks": block})
    await slack.client.api_call("chat.postMessage", data={"channel": "C1", "text": "form", "blocks": block})
    await slack.client.api_call("chat.postMessage", json={"channel": "C1", "text": "json", "blocks": block})
    assert [len(message.blocks) for message in slack.workspace.history("C1")] == [1, 1, 1]
    assert [sent.method for sent in slack.server.record] == ["chat.postMessage"] * 3


async def test_calling_too_often_is_answered_with_429_for_that_method_only(start):
    slack = await start(SlackSettings(rates={"chat.update": (2, 6)}))  # so rarely that it does not come back meanwhile
    posted = await slack.client.chat_postMessage(channel="C1", text="x")
    for number in range(2):
        await slack.client.chat_update(channel="C1", ts=posted["ts"], text=str(number))
    with pytest.raises(SlackApiError) as caught:
        await slack.client.chat_update(channel="C1", ts=posted["ts"], text="too often")
    assert caught.value.response.status_code == 429
    assert caught.value.response["error"] == "ratelimited"
    assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 10  # exactly how many: test_rates.py
    assert slack.workspace.message("C1", posted["ts"]).text == "1"
    await slack.client.chat_postMessage(channel="C1", text="another method")


async def test_posting_is_counted_for_each_channel(start):
    slack = await start(SlackSettings(rate_scale=0.0))  # what was used does not come back
    slack.workspace.join(slack.workspace.app.user_id, "#elsewhere")
    for number in range(10):
        await slack.client.chat_postMessage(channel="C1", text=str(number))
    with pytest.raises(SlackApiError, match="ratelimited"):
        await slack.client.chat_postMessage(channel="C1", text="too often")
    await slack.client.chat_postMessage(channel="C2", text="elsewhere")


async def test_a_token_comes_back_with_time(start):
    slack = await start(SlackSettings(rates={"users.info": (1, 60)}, rate_scale=0.5))
    await slack.client.users_info(user="U1")
    refusals = 0
    async with asyncio.timeout(60):
        while (await slack.server_call("users.info"))["error"] == "ratelimited":
            refusals += 1
    assert refusals


async def test_calls_can_be_made_to_fail_in_each_way(slack):
    faults = slack.workspace.faults
    faults.fail_next("chat.postMessage", "ratelimited", retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        await slack.client.chat_postMessage(channel="C1", text="x")
    assert caught.value.response.headers["Retry-After"] == "7"

    faults.fail_next("*", "server_error", times=2)
    for method in ("chat.postMessage", "users.info"):
        with pytest.raises(SlackApiError) as caught:
            await slack.client.api_call(method, json={})
        assert caught.value.response.status_code == 500

    faults.fail_next("chat.postMessage", "reset")
    with pytest.raises(aiohttp.ClientError):
        await AsyncWebClient(slack.server.bot_token, base_url=slack.server.api_url, retry_handlers=[]).chat_postMessage(
            channel="C1", text="x"
        )

    faults.fail_next("chat.postMessage", "hang")
    hanging = asyncio.create_task(slack.client.chat_postMessage(channel="C1", text="x"))
    while faults._planned["chat.postMessage"]:  # noqa: ASYNC110 - until the call has come
        await asyncio.sleep(0.01)
    assert not hanging.done()
    hanging.cancel()

    await slack.client.chat_postMessage(channel="C1", text="at last")
    assert [message.text for message in slack.workspace.history("C1")] == ["at last"]


async def test_slack_can_be_down_and_come_back(slack, until):
    await slack.connect()
    async with slack.workspace.subscribe("requester") as seen:
        slack.server.go_down()
        assert not (await until(seen, "presence")).connected
    with pytest.raises(SlackApiError) as caught:
        await slack.client.auth_test()
    assert caught.value.response.status_code == 503
    slack.server.come_back()
    await slack.client.auth_test()
