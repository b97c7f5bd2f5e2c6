"""The payloads that Slack delivers to an app: slash commands, interactions, events. Built here, sent by `socket_mode`."""

import time
from typing import Any

from sandbox.slack.model import TEAM, Channel, Json, Message, Person, View
from sandbox.slack.posting import Posting
from sandbox.slack.wire import message_json, view_json

_VERIFICATION = "sandbox-verification-token"


def channel_name(channel: Channel) -> str:
    """Slack names private conversations only by their kind."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def slash_command(state: Posting, person: Person, channel: Channel, command: str, text: str) -> Json:
    return {
        "token": _VERIFICATION,
        "team_id": TEAM,
        "team_domain": state.team_domain,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": person.id,
        "user_name": person.handle,
        "command": command,
        "text": text,
        "api_app_id": state.app.id,
        "is_enterprise_install": "false",
        "response_url": state.new_response_url(person.id, channel.id),
        "trigger_id": state.new_trigger(person.id),
    }


def _interaction(state: Posting, kind: str, person: Person, channel: str = "") -> Json:
    return {
        "type": kind,
        "team": state.team,
        "user": {"id": person.id, "username": person.handle, "name": person.handle, "team_id": person.team_id},
        "api_app_id": state.app.id,
        "token": _VERIFICATION,
        "trigger_id": state.new_trigger(person.id, channel),
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _place(state: Posting, message: Message) -> Json:
    channel = state.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.ephemeral_to),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    shown = message_json(state, message)
    if message.ephemeral_to:
        # Slack tells the app nothing of an ephemeral message but where it was: it is not kept.
        shown = {"type": "message", "ts": message.ts, "is_ephemeral": True, "thread_ts": message.thread_ts}
    return {
        "container": container,
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "message": {key: value for key, value in shown.items() if value != ""},
    }


def block_actions(state: Posting, person: Person, message: Message, actions: list[Json], values: Json) -> Json:
    return {
        **_interaction(state, "block_actions", person),
        **_place(state, message),
        "state": {"values": values},
        "response_url": state.new_response_url(person.id, message.channel, message),
        "actions": actions,
    }


def view_actions(state: Posting, person: Person, view: View, actions: list[Json], values: Json) -> Json:
    return {
        **_interaction(state, "block_actions", person),
        "container": {"type": "view", "view_id": view.id},
        "view": view_json(state, view, values),
        "actions": actions,
    }


def view_submission(state: Posting, person: Person, view: View, values: Json) -> Json:
    return {
        **_interaction(state, "view_submission", person),
        "view": view_json(state, view, values),
        "response_urls": [],
    }


def view_closed(state: Posting, person: Person, view: View, *, is_cleared: bool) -> Json:
    payload = _interaction(state, "view_closed", person)
    del payload["trigger_id"]
    return {**payload, "view": view_json(state, view), "is_cleared": is_cleared}


def shortcut(state: Posting, person: Person, callback_id: str, channel: str = "") -> Json:
    return {
        **_interaction(state, "shortcut", person, channel),
        "callback_id": callback_id,
        "action_ts": f"{time.time():.6f}",
    }


def message_action(state: Posting, person: Person, message: Message, callback_id: str) -> Json:
    place = _place(state, message)
    return {
        **_interaction(state, "message_action", person),
        "callback_id": callback_id,
        "action_ts": f"{time.time():.6f}",
        "message_ts": message.ts,
        "channel": place["channel"],
        "message": place["message"],
        "response_url": state.new_response_url(person.id, message.channel, message),
    }


def block_suggestion(
    state: Posting, person: Person, where: Message | View, block_id: str, action_id: str, value: str
) -> Json:
    payload = _interaction(state, "block_suggestion", person)
    del payload["trigger_id"]
    if isinstance(where, View):
        place: Json = {"container": {"type": "view", "view_id": where.id}, "view": view_json(state, where)}
    else:
        place = _place(state, where)
    return {**payload, **place, "block_id": block_id, "action_id": action_id, "value": value}


def event(state: Posting, inner: Json) -> Json:
    """The envelope of the Events API around one event."""
    now = int(time.time())
    authorization: Json = {
        "enterprise_id": None,
        "team_id": TEAM,
        "user_id": state.app.user_id,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": _VERIFICATION,
        "team_id": TEAM,
        "context_team_id": TEAM,
        "context_enterprise_id": None,
        "api_app_id": state.app.id,
        "event": inner,
        "type": "event_callback",
        "event_id": state.new_id("Ev"),
        "event_time": now,
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": f"4-{state.new_id('E')}",
    }


def channel_type(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "group" if channel.is_private else "channel"


def message_event(state: Posting, message: Message, **more: Any) -> Json:
    channel = state.channels[message.channel]
    body = message_json(state, message)
    if message.files:
        body["subtype"] = "file_share"
    return {
        **body,
        "channel": message.channel,
        "channel_type": channel_type(channel),
        "event_ts": message.ts,
        **more,
    }
