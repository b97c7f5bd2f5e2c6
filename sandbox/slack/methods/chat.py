"""Posting, changing and deleting messages, ephemeral ones, permalinks, reactions."""

from dataclasses import replace
from typing import Any

from sandbox.slack.calls import Call, method
from sandbox.slack.limits import check_message, check_metadata
from sandbox.slack.model import Channel, Json, Message, Refused
from sandbox.slack.settings import POSTING, POSTING_BURST, TIER_2, TIER_3, TIER_4
from sandbox.slack.wire import message_json


def content(call: Call) -> tuple[str, list[Json]]:
    """Text and blocks of a message, checked."""
    blocks = call.value("blocks", "invalid_blocks_format")
    markdown = call.text("markdown_text")
    if markdown:
        if blocks or call.text("text"):
            raise Refused("markdown_text_conflict")
        blocks = [{"type": "markdown", "text": markdown}]
    check_message(call.arguments.get("text"), blocks)
    return call.text("text") or markdown, blocks or []


def attachments(call: Call) -> tuple[Json, ...]:
    given = call.value("attachments", "invalid_attachments") or []
    if not isinstance(given, list):
        raise Refused("invalid_attachments")
    for attachment in given:
        check_message(None, attachment.get("blocks"))
    return tuple(given)


def may_post(call: Call, channel: Channel) -> None:
    workspace = call.workspace
    if channel.is_archived:
        raise Refused("is_archived")
    if workspace.app.user_id not in channel.members and (
        channel.is_private or "chat:write.public" not in workspace.app.scopes
    ):
        raise Refused("not_in_channel")


@method("chat.postMessage", "chat:write", per_minute=POSTING, burst=POSTING_BURST, per_channel=True)
async def post_message(call: Call) -> Json:
    workspace = call.workspace
    target = call.needed("channel", "channel_not_found")
    if target in workspace.people and target != workspace.app.user_id:
        channel = workspace.direct_channel(target)
    else:
        channel = call.channel()
    may_post(call, channel)
    text, blocks = content(call)
    extras = attachments(call)
    if not (text or blocks or extras):
        raise Refused("no_text")
    message = workspace.post(
        channel,
        workspace.app.user_id,
        text,
        blocks=blocks,
        attachments=extras,
        thread_ts=call.text("thread_ts"),
        metadata=_metadata(call),
        broadcast=call.flag("reply_broadcast"),
    )
    workspace.tell_of_post(message)
    return {"channel": channel.id, "ts": message.ts, "message": message_json(workspace, message)}


def _metadata(call: Call) -> Json | None:
    metadata = call.value("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    check_metadata(metadata)
    return dict(metadata)


@method("chat.update", "chat:write", per_minute=TIER_3)
async def update(call: Call) -> Json:
    workspace, channel = call.workspace, call.channel()
    old = _own(call, channel, "cant_update_message")
    if channel.is_archived:
        raise Refused("is_inactive")
    text, blocks = content(call)
    changes: Json = {}
    if call.arguments.get("metadata") is not None:
        changes["metadata"] = _metadata(call)
    if call.value("attachments") is not None:
        changes["attachments"] = attachments(call)
    given = call.value("blocks") is not None or bool(call.text("markdown_text"))
    if not (text or given or changes):
        raise Refused("no_text")
    new = workspace.update(
        channel.id,
        old.ts,
        text=text if call.arguments.get("text") is not None or call.text("markdown_text") else None,
        blocks=blocks if given else None,
        **changes,
    )
    workspace.tell_of_update(old, new)
    return {"channel": channel.id, "ts": new.ts, "text": new.text, "message": message_json(workspace, new)}


@method("chat.delete", "chat:write", per_minute=TIER_3)
async def delete(call: Call) -> Json:
    channel = call.channel()
    message = _own(call, channel, "cant_delete_message")
    call.workspace.delete(channel.id, message.ts)
    call.workspace.tell_of_deletion(message)
    return {"channel": channel.id, "ts": message.ts}


def _own(call: Call, channel: Channel, error: str) -> Message:
    message = call.workspace.message(channel.id, call.needed("ts", "message_not_found"))
    if message.deleted:
        raise Refused("message_not_found")
    if message.bot_id != call.workspace.app.bot_id:
        raise Refused(error)
    return message


@method("chat.postEphemeral", "chat:write", per_minute=TIER_4)
async def post_ephemeral(call: Call) -> Json:
    workspace, channel = call.workspace, call.channel()
    may_post(call, channel)
    person = workspace.people.get(call.needed("user", "user_not_found"))
    if person is None or person.id not in channel.members:
        raise Refused("user_not_in_channel")
    text, blocks = content(call)
    extras = attachments(call)
    if not (text or blocks or extras):
        raise Refused("no_text")
    thread_ts = call.text("thread_ts")
    message = workspace.post_ephemeral(channel, person, text, blocks=blocks, attachments=extras, thread_ts=thread_ts)
    return {"message_ts": message.ts}


@method("chat.getPermalink", per_minute=TIER_4 * 6)
async def get_permalink(call: Call) -> Json:
    channel = call.channel()
    message = call.workspace.message(channel.id, call.needed("message_ts", "message_not_found"))
    link = f"{call.base}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


@method("reactions.add", "reactions:write", per_minute=TIER_3)
async def add_reaction(call: Call) -> Json:
    _react(call, add=True)
    return {}


@method("reactions.remove", "reactions:write", per_minute=TIER_2)
async def remove_reaction(call: Call) -> Json:
    _react(call, add=False)
    return {}


def _react(call: Call, *, add: bool) -> None:
    workspace, channel = call.workspace, call.channel()
    name, me = call.needed("name", "invalid_name").strip(":"), workspace.app.user_id
    message = workspace.message(channel.id, call.needed("timestamp", "message_not_found"))
    users: tuple[str, ...] = message.reactions.get(name, ())
    if (me in users) is add:
        raise Refused("already_reacted" if add else "no_reaction")
    users = (*users, me) if add else tuple(user for user in users if user != me)
    reactions: dict[str, Any] = {**message.reactions, name: users}
    if not users:
        del reactions[name]
    workspace.put(replace(message, reactions=reactions))
