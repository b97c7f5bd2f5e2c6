"""The workspace's values as the JSON that Slack sends: in Web API answers, events and interaction payloads."""

from typing import Any

from sandbox.slack.model import TEAM, Channel, File, Group, Json, Message, Person, View
from sandbox.slack.posting import Posting


def message_json(state: Posting, message: Message, *, metadata: bool = True) -> Json:
    speaker = state.people[message.user]
    answer: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts, "team": TEAM}
    if message.bot_id:
        answer["bot_id"] = message.bot_id
        answer["app_id"] = state.app.id
        answer["bot_profile"] = {"id": message.bot_id, "app_id": state.app.id, "name": speaker.name, "team_id": TEAM}
    for key, value in {
        "blocks": list(message.blocks),
        "attachments": list(message.attachments),
        "thread_ts": message.thread_ts,
        "metadata": message.metadata if metadata else None,
        "files": [file_json(state, state.files[file_id]) for file_id in message.files],
        "reactions": [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ],
    }.items():
        if value:
            answer[key] = value
    if message.files:
        answer["upload"] = False
    if message.edited:
        answer["edited"] = {"user": message.edited_by, "ts": message.edited}
    if message.deleted:
        answer["subtype"] = "tombstone"
    if message.is_reply and message.broadcast:
        answer["subtype"] = "thread_broadcast"
    if message.reply_count:
        answer |= {
            "reply_count": message.reply_count,
            "reply_users_count": len(message.reply_users),
            "reply_users": list(message.reply_users),
            "latest_reply": message.latest_reply,
            "is_locked": False,
            "subscribed": False,
        }
    if message.ephemeral_to:
        answer["is_ephemeral"] = True
    return answer


def person_json(person: Person) -> Json:
    guest = person.is_restricted or person.is_ultra_restricted
    answer: Json = {
        "id": person.id,
        "team_id": person.team_id,
        "name": person.handle,
        "deleted": person.deleted,
        "real_name": person.name,
        "tz": person.tz,
        "tz_label": person.tz,
        "tz_offset": 0,
        "profile": {
            "title": person.title,
            "real_name": person.name,
            "display_name": person.handle,
            "real_name_normalized": person.name,
            "display_name_normalized": person.handle,
            "team": person.team_id,
        },
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": guest,
        "is_ultra_restricted": person.is_ultra_restricted,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1_700_000_000,
    }
    if person.bot_id:
        answer["profile"]["bot_id"] = person.bot_id
    if person.is_stranger or person.team_id != TEAM:
        answer["is_stranger"] = person.is_stranger
    return answer


def channel_json(channel: Channel, bot: str) -> Json:
    answer: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_mpim": False,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private and not channel.is_im,
        "is_private": channel.is_private,
        "context_team_id": TEAM,
    }
    if channel.is_im:
        other = next((member for member in sorted(channel.members) if member != bot), bot)
        return answer | {"user": other, "is_open": True}
    return answer | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_general": channel.name == "general",
        "is_member": bot in channel.members,
        "is_shared": False,
        "is_ext_shared": False,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def group_json(group: Group, *, users: bool = False) -> Json:
    answer: Json = {
        "id": group.id,
        "team_id": TEAM,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "date_delete": 1 if group.disabled else 0,
        "user_count": len(group.members),
    }
    return answer | {"users": sorted(group.members)} if users else answer


def file_json(state: Posting, file: File) -> Json:
    shares: dict[str, dict[str, list[Json]]] = {}
    for channel_id, stamps in file.shares.items():
        kind = "private" if state.channels[channel_id].is_private else "public"
        shares.setdefault(kind, {})[channel_id] = [_share_json(state, channel_id, ts) for ts in stamps]
    of_kind = {
        kind: [channel for channel in file.shares if state.channels[channel].is_private == (kind == "groups")]
        for kind in ("channels", "groups")
    }
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": file.name.rpartition(".")[2] or "text",
        "user": file.user,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": bool(of_kind["channels"]),
        "channels": of_kind["channels"],
        "groups": of_kind["groups"],
        "ims": [],
        "shares": shares,
        "alt_txt": file.alt_txt,
    }


def _share_json(state: Posting, channel_id: str, ts: str) -> Json:
    answer: Json = {"ts": ts, "reply_users": [], "reply_count": 0, "channel_name": state.channels[channel_id].name}
    message = state._conversations[channel_id].messages.get(ts)  # noqa: SLF001 - deleted messages stay in the shares
    if message is not None and message.thread_ts:
        answer["thread_ts"] = message.thread_ts
    return answer


def view_json(state: Posting, view: View, values: Json | None = None) -> Json:
    answer: dict[str, Any] = {
        "id": view.id,
        "team_id": TEAM,
        "app_id": state.app.id,
        "app_installed_team_id": TEAM,
        "bot_id": state.app.bot_id,
        "callback_id": "",
        "private_metadata": "",
        "external_id": "",
        "title": {"type": "plain_text", "text": state.app.name, "emoji": True},
        "close": None,
        "submit": None,
        "clear_on_close": False,
        "notify_on_close": False,
        "previous_view_id": view.previous_id or None,
        "root_view_id": view.root_id,
        "hash": view.hash,
        "state": {"values": values if values is not None else view.values},
    }
    return answer | view.view
