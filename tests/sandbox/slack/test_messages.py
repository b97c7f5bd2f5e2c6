import asyncio

import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack.workspace import SLACKBOT, Refused, SlackSettings

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}


async def refusal(call):
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


async def test_a_message_is_posted_changed_and_deleted(slack):
    posted = await slack.client.chat_postMessage(channel="C1", text="first", blocks=[SECTION])
    (message,) = slack.workspace.history("#deploys")
    assert (message.ts, message.text, message.bot_id) == (posted["ts"], "first", slack.workspace.app.bot_id)
    assert message.blocks[0]["block_id"]

    await slack.client.chat_update(channel="C1", ts=posted["ts"], text="second")
    changed = slack.workspace.message("C1", posted["ts"])
    assert (changed.text, changed.blocks) == ("second", message.blocks)

    await slack.client.chat_update(channel="C1", ts=posted["ts"], text="third", blocks=[])
    assert slack.workspace.message("C1", posted["ts"]).blocks == ()

    await slack.client.chat_delete(channel="C1", ts=posted["ts"])
    assert slack.workspace.history("C1") == []


async def test_replies_make_a_thread_that_counts_them(slack):
    head = await slack.client.chat_postMessage(channel="C1", text="head")
    await slack.workspace.type("approver", "#deploys", "a reply", head["ts"])
    reply = await slack.client.chat_postMessage(channel="C1", text="another", thread_ts=head["ts"])

    first = slack.workspace.message("C1", head["ts"])
    assert (first.reply_count, first.latest_reply) == (2, reply["ts"])
    assert set(first.reply_users) == {"U2", slack.workspace.app.user_id}
    assert [message.text for message in slack.workspace.history("C1")] == ["head"]

    await slack.client.chat_delete(channel="C1", ts=head["ts"])
    assert slack.workspace.message("C1", head["ts"]).deleted
    assert len(slack.workspace.replies("C1", head["ts"])) == 3


async def test_a_message_is_found_again_by_its_metadata(start):
    slack = await start(scopes=frozenset({"chat:write", "channels:history"}))
    metadata = {"event_type": "run", "event_payload": {"run": "7KQ2"}}
    head = await slack.client.chat_postMessage(channel="C1", text="head")
    await slack.client.chat_postMessage(channel="C1", text="x", thread_ts=head["ts"], metadata=metadata)

    found = await slack.client.conversations_replies(channel="C1", ts=head["ts"], include_all_metadata=True)
    assert [message.get("metadata") for message in found["messages"]] == [None, metadata]
    plain = await slack.client.conversations_replies(channel="C1", ts=head["ts"])
    assert all("metadata" not in message for message in plain["messages"])


async def test_history_comes_in_pages_newest_first(slack):
    for number in range(5):
        await slack.workspace.type("requester", "#deploys", f"message {number}")
    first = await slack.client.conversations_history(channel="C1", limit=2)
    assert [message["text"] for message in first["messages"]] == ["message 4", "message 3"]
    assert first["has_more"]
    cursor = first["response_metadata"]["next_cursor"]
    second = await slack.client.conversations_history(channel="C1", limit=3, cursor=cursor)
    assert [message["text"] for message in second["messages"]] == ["message 2", "message 1", "message 0"]
    assert not second["has_more"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C2", "text": "x"}, "not_in_channel"),
        ({"channel": "C3", "text": "x"}, "channel_not_found"),
        ({"channel": "C9", "text": "x"}, "channel_not_found"),
        ({"channel": "C1"}, "no_text"),
        ({"channel": "C1", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "C1", "text": "x", "thread_ts": "1.000000"}, "thread_not_found"),
        ({"channel": "C1", "text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"channel": "C1", "blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
        ({"channel": "C1", "blocks": "[{"}, "invalid_blocks_format"),
    ],
)
async def test_posting_is_refused_in_slacks_words(slack, arguments, error):
    response = await refusal(slack.client.api_call("chat.postMessage", json=arguments))
    assert response["error"] == error
    assert slack.workspace.history("C1") == []


async def test_refused_blocks_are_named_one_by_one(slack):
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    response = await refusal(slack.client.chat_postMessage(channel="C1", text="x", blocks=[SECTION, long]))
    assert response["error"] == "invalid_blocks"
    assert response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/1/text/text]"
    ]


async def test_an_archived_channel_takes_nothing_more(slack):
    posted = await slack.client.chat_postMessage(channel="C1", text="before")
    slack.workspace.archive("#deploys")
    assert (await refusal(slack.client.chat_postMessage(channel="C1", text="x")))["error"] == "is_archived"
    answer = await refusal(slack.client.chat_update(channel="C1", ts=posted["ts"], text="x"))
    assert answer["error"] == "is_inactive"
    with pytest.raises(Refused, match="is_archived"):
        await slack.workspace.type("requester", "#deploys", "x")


async def test_only_ones_own_messages_can_be_changed(slack):
    theirs = (await slack.workspace.type("requester", "#deploys", "mine")).message
    answer = await refusal(slack.client.chat_update(channel="C1", ts=theirs.ts, text="x"))
    assert answer["error"] == "cant_update_message"
    answer = await refusal(slack.client.chat_delete(channel="C1", ts=theirs.ts))
    assert answer["error"] == "cant_delete_message"
    answer = await refusal(slack.client.chat_update(channel="C1", ts="1.000000", text="x"))
    assert answer["error"] == "message_not_found"


async def test_an_ephemeral_message_is_one_persons_and_cant_be_changed(slack):
    answer = await slack.client.chat_postEphemeral(channel="C1", user="U1", text="for you")
    assert slack.last_seen_by("requester") == "for you"
    assert slack.workspace.history("C1") == []
    late = await refusal(slack.client.chat_update(channel="C1", ts=answer["message_ts"], text="x"))
    assert late["error"] == "message_not_found"
    outside = await refusal(slack.client.chat_postEphemeral(channel="C1", user="U3", text="x"))
    assert outside["error"] == "user_not_in_channel"
    slack.workspace.forget_ephemerals("requester")
    assert slack.workspace.ephemerals("requester") == []


async def test_a_mention_reaches_the_app_with_its_thread(slack):
    heard: asyncio.Queue = asyncio.Queue()

    @slack.app.event("app_mention")
    async def listener(event):
        await heard.put(event)

    await slack.connect()
    head = (await slack.workspace.type("requester", "#deploys", "head")).message
    await slack.workspace.type("requester", "#deploys", "@omnicare logs backend", head.ts)
    async with asyncio.timeout(60):
        event = await heard.get()
    assert event["text"] == f"<@{slack.workspace.app.user_id}> logs backend"
    assert (event["user"], event["channel"], event["thread_ts"]) == ("U1", "C1", head.ts)


async def test_a_mention_where_the_app_is_not_is_answered_by_slackbot(slack):
    await slack.workspace.type("requester", "#elsewhere", "@omnicare status")
    (answer,) = slack.workspace.ephemerals("requester")
    assert answer.user == SLACKBOT
    assert "not in this channel" in answer.text


async def test_an_edited_message_comes_as_changed_and_a_new_mention_in_it_as_edited(start):
    slack = await start(events=frozenset({"app_mention", "message.channels"}))
    changes: asyncio.Queue = asyncio.Queue()
    mentions: asyncio.Queue = asyncio.Queue()

    @slack.app.event({"type": "message", "subtype": "message_changed"})
    async def changed(event):
        await changes.put(event)

    @slack.app.event("message")
    async def message():
        return None

    @slack.app.event("app_mention")
    async def mention(event):
        await mentions.put(event)

    await slack.connect()
    posted = (await slack.workspace.type("requester", "#deploys", "status")).message
    edited = await slack.workspace.edit("requester", posted.ts, "@omnicare status")
    assert edited.edited
    async with asyncio.timeout(60):
        event = await changes.get()
        assert event["previous_message"]["text"] == "status"
        assert "edited" in await mentions.get()
    with pytest.raises(Refused, match="message_not_found"):
        await slack.workspace.edit("approver", posted.ts, "not mine")


async def test_names_and_addresses_are_linked_as_the_client_does(slack):
    message = (
        await slack.workspace.type("requester", "#deploys", "@approver #deploys https://a.test/x. <b> @nobody")
    ).message
    assert message.text == "<@U2> <#C1|deploys> <https://a.test/x>. &lt;b&gt; @nobody"


async def test_a_direct_message_goes_by_the_persons_id(slack):
    await slack.client.chat_postMessage(channel="U2", text="please approve")
    direct = slack.workspace.direct_channel("approver")
    assert [message.text for message in slack.workspace.history(direct)] == ["please approve"]
    assert direct not in slack.workspace.channels_of("requester")


async def test_a_file_is_uploaded_in_three_steps_and_its_shares_are_kept(slack):
    head = await slack.client.chat_postMessage(channel="C1", text="head")
    content = "line\n" * 1000
    answer = await slack.client.files_upload_v2(
        channel="C1", thread_ts=head["ts"], content=content, filename="backend.log", initial_comment="The log"
    )
    file_id = answer["files"][0]["id"]
    (message,) = slack.workspace.replies("C1", head["ts"])[1:]
    assert (message.files, message.text) == ((file_id,), "The log")
    assert slack.workspace.files[file_id].content == content.encode()

    info = (await slack.client.files_info(file=file_id))["file"]
    assert info["shares"]["public"]["C1"][0] == {
        "ts": message.ts,
        "thread_ts": head["ts"],
        "reply_users": [],
        "reply_count": 0,
        "channel_name": "deploys",
    }


async def test_a_file_that_was_never_sent_cant_be_completed(slack):
    address = await slack.client.files_getUploadURLExternal(filename="x.log", length=3)
    answer = await refusal(slack.client.files_completeUploadExternal(files=[{"id": address["file_id"]}]))
    assert answer["error"] == "file_not_found"


async def test_subscribers_hear_only_of_what_they_may_see(slack):
    outside = slack.workspace.subscribe("outsider")
    inside = slack.workspace.subscribe("requester")
    await slack.client.chat_postMessage(channel="C1", text="for all")
    await slack.client.chat_postEphemeral(channel="C1", user="U1", text="for one")
    await slack.client.chat_postMessage(channel="U2", text="for the approver")
    outside.close()
    inside.close()
    assert [event.kind async for event in outside] == ["message_posted"]
    assert [event.kind async for event in inside] == ["message_posted", "ephemeral_posted"]


async def test_people_are_described_with_what_the_bot_must_ask_for(slack):
    from dataclasses import replace

    outsider = slack.workspace.person("outsider")
    slack.workspace.add_person(replace(outsider, deleted=True, is_restricted=True, is_stranger=True, team_id="T2"))
    user = (await slack.client.users_info(user="U3"))["user"]
    assert (user["deleted"], user["is_restricted"], user["is_stranger"], user["team_id"]) == (True, True, True, "T2")
    answer = await refusal(slack.client.users_info(user="U9"))
    assert answer["error"] == "user_not_found"
    assert (await slack.client.usergroups_users_list(usergroup="S1"))["users"] == ["U2"]


async def test_without_rate_limits_a_setting_says_so(start):
    slack = await start(SlackSettings(rate_limits=False))
    for number in range(30):
        await slack.client.chat_postMessage(channel="C1", text=str(number))
    assert len(slack.workspace.history("C1")) == 30
