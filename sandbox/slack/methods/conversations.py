"""Channels, their members, and what was said in them."""

from sandbox.slack.calls import Call, method
from sandbox.slack.model import Channel, Json, Message, Refused
from sandbox.slack.settings import TIER_2, TIER_3, TIER_4
from sandbox.slack.wire import channel_json, message_json

_READ = ("channels:read", "groups:read", "im:read")
_HISTORY = ("channels:history", "groups:history", "im:history")


def _needs(call: Call, channel: Channel, what: str) -> None:
    """The scope for this kind of channel."""
    kind = "im" if channel.is_im else "groups" if channel.is_private else "channels"
    needed = f"{kind}:{what}"
    if needed not in call.workspace.app.scopes:
        raise Refused("missing_scope", needed=needed, provided=",".join(sorted(call.workspace.app.scopes)))


def _kinds(call: Call) -> set[str]:
    return set(call.text("types", "public_channel").replace(" ", "").split(","))


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def _list(call: Call, *, only_of: str = "") -> list[Json]:
    bot, kinds = call.workspace.app.user_id, _kinds(call)
    return [
        channel_json(channel, bot)
        for channel in call.workspace.channels.values()
        if _kind(channel) in kinds
        and (bot in channel.members or not channel.is_private)
        and (not only_of or only_of in channel.members)
        and not (call.flag("exclude_archived") and channel.is_archived)
    ]


@method("conversations.list", *_READ, per_minute=TIER_2)
async def list_conversations(call: Call) -> Json:
    return call.page(_list(call), "channels")


@method("users.conversations", *_READ, per_minute=TIER_3)
async def of_person(call: Call) -> Json:
    person = call.workspace.people.get(call.text("user", call.workspace.app.user_id))
    if person is None:
        raise Refused("user_not_found")
    return call.page(_list(call, only_of=person.id), "channels")


@method("conversations.info", *_READ, per_minute=TIER_3)
async def info(call: Call) -> Json:
    channel = call.channel()
    _needs(call, channel, "read")
    answer = channel_json(channel, call.workspace.app.user_id)
    if not call.flag("include_num_members"):
        answer.pop("num_members", None)
    return {"channel": answer}


@method("conversations.members", *_READ, per_minute=TIER_4)
async def members(call: Call) -> Json:
    channel = call.channel()
    _needs(call, channel, "read")
    return call.page(sorted(channel.members), "members")  # type: ignore[arg-type]  # ids, not objects


@method("conversations.history", *_HISTORY, per_minute=TIER_3)
async def history(call: Call) -> Json:
    channel = _readable(call)
    wanted = [message for message in reversed(call.workspace.history(channel)) if _in_range(call, message)]
    return _messages(call, wanted)


@method("conversations.replies", *_HISTORY, per_minute=TIER_3)
async def replies(call: Call) -> Json:
    channel = _readable(call)
    ts = call.needed("ts", "thread_not_found")
    try:
        message = call.workspace.message(channel.id, ts)
    except Refused:
        raise Refused("thread_not_found") from None
    thread = call.workspace.replies(channel, message.thread_ts or ts)
    return _messages(call, [one for one in thread if one.ts == thread[0].ts or _in_range(call, one)])


def _readable(call: Call) -> Channel:
    channel = call.channel()
    _needs(call, channel, "history")
    if call.workspace.app.user_id not in channel.members:
        raise Refused("not_in_channel")
    return channel


def _in_range(call: Call, message: Message) -> bool:
    oldest, latest = call.text("oldest", "0"), call.text("latest")
    at = float(message.ts)
    if call.flag("inclusive"):
        return float(oldest) <= at and (not latest or at <= float(latest))
    return float(oldest) < at and (not latest or at < float(latest))


def _messages(call: Call, messages: list[Message]) -> Json:
    metadata = call.flag("include_all_metadata")
    answers = [message_json(call.workspace, message, metadata=metadata) for message in messages]
    page = call.page(answers, "messages")
    return page | {"has_more": bool(page["response_metadata"]["next_cursor"])}


@method("conversations.open", "im:write", per_minute=TIER_3)
async def open_direct(call: Call) -> Json:
    if call.text("channel"):
        channel = call.channel()
    else:
        users = call.needed("users", "users_list_not_supplied").split(",")
        if len(users) > 1:
            raise Refused("not_enough_users")
        channel = call.workspace.direct_channel(users[0])
    return {"channel": {"id": channel.id}, "no_op": False, "already_open": True}


@method("conversations.join", "channels:join", per_minute=TIER_3)
async def join(call: Call) -> Json:
    channel = call.channel()
    if channel.is_archived:
        raise Refused("is_archived")
    if channel.is_private:
        raise Refused("method_not_supported_for_channel_type")
    call.workspace.join(call.workspace.app.user_id, channel)
    return {"channel": channel_json(channel, call.workspace.app.user_id)}
