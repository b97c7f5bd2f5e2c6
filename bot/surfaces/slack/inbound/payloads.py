"""What Slack sends → who did what, where, and how they can be answered. Payloads are data from outside: read with distrust.

A delivery's own id (`once`) makes a second delivery of the same act known; the act's key for the door is in the `Delivery`.
"""

import re
from dataclasses import dataclass
from typing import Any

from bot.inbound import Filled, Inbound, Surface
from bot.surfaces.slack.origin import Origin
from commands.kit.card import RunAct

_NOT_SAID = frozenset({"bot_message", "message_changed", "message_deleted", "message_replied"})
"""Subtypes of what no person said just now. Two bots that answer each other would never end."""
_MENTION = re.compile(r"\s*<@([UW][A-Z0-9]+)(?:\|[^>]*)?>[\s:,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """Text that was typed somewhere."""

    origin: Origin
    once: str
    text: str
    plain: bool = True
    """Nothing but words: no file, no `/me`, no other kind of message that Slack may have."""

    @property
    def delivery(self) -> Inbound:
        """The act, by the delivery's own id."""
        return Inbound(
            key=self.once, surface=Surface.SLACK, account=self.origin.account, text=self.text, place=self.origin.place
        )


def slash_command(body: dict[str, Any]) -> Typed:
    """`/omnicare …`."""
    channel = str(body.get("channel_id", ""))
    origin = Origin(
        account=str(body["user_id"]),
        channel=channel or None,
        direct=channel.startswith("D"),
        response_url=_text(body.get("response_url")),
        trigger=_text(body.get("trigger_id")),
    )
    return Typed(origin=origin, once=f"command:{body.get('trigger_id', '')}", text=str(body.get("text") or ""))


def message(body: dict[str, Any]) -> Typed | None:
    """Return a mention or a direct message; None for what no person said to the bot just now: edits, deletions, other bots' messages."""
    event = body.get("event") or {}
    if event.get("edited") or event.get("bot_id") or event.get("bot_profile") or event.get("hidden"):
        return None
    if event.get("user") in (None, "", "USLACKBOT") or event.get("subtype") in _NOT_SAID:
        return None
    mention = event.get("type") == "app_mention"
    if not mention and event.get("channel_type") != "im":
        return None
    channel, thread = str(event.get("channel", "")), _text(event.get("thread_ts"))
    origin = Origin(
        account=str(event["user"]),
        channel=channel,
        thread=thread,
        in_thread=thread is not None,
        direct=channel.startswith("D"),
        mentioned=mention,
    )
    text = str(event.get("text") or "")
    once = f"event:{body.get('event_id') or event.get('client_msg_id') or event.get('ts')}"
    plain = event.get("subtype") in (None, "thread_broadcast") and not event.get("files")
    return Typed(origin=origin, once=once, text=text, plain=plain)


def after_mention(text: str, me: str | None) -> str | None:
    """What is said to the bot: the text after its mention at the beginning; None where it is mentioned in passing."""
    found = _MENTION.match(text)
    if found is None or (me and found[1] != me):
        return None
    return text[found.end() :].strip()


def click(body: dict[str, Any]) -> Origin:
    """Where a button or menu was used."""
    container = body.get("container") or {}
    channel = _text((body.get("channel") or {}).get("id")) or _text(container.get("channel_id"))
    at, thread = _text(container.get("message_ts")), _text(container.get("thread_ts"))
    reply = thread is not None and thread != at
    below = at if channel and at and not container.get("is_ephemeral") and not channel.startswith("D") else None
    return Origin(
        account=str(body["user"]["id"]),
        channel=channel,
        thread=thread if reply else below,
        in_thread=reply,
        direct=bool(channel and channel.startswith("D")),
        response_url=_text(body.get("response_url")),
        trigger=_text(body.get("trigger_id")),
        in_modal=container.get("type") == "view" and (body.get("view") or {}).get("type") == "modal",
    )


def chosen(body: dict[str, Any]) -> str | None:
    """The value of the button, or of the menu's option."""
    actions = body.get("actions")
    if not isinstance(actions, list) or len(actions) != 1 or not isinstance(actions[0], dict):
        return None
    action = actions[0]
    if action.get("type") == "overflow":
        return _text((action.get("selected_option") or {}).get("value"))
    return _text(action.get("value"))


def run_delivery(act: RunAct, origin: Origin, values: dict[str, str] | None = None) -> Inbound:
    """A decision: by run, act, person and word, whatever delivery brings it."""
    return Inbound(
        key=f"{act.run}:{act.command}:{origin.account}:{act.word}",
        surface=Surface.SLACK,
        account=origin.account,
        filled=Filled(command=act.command, values={"run": act.run, **(values or {})}, word=act.word),
        place=origin.place,
    )


def filled_delivery(key: str, origin: Origin, command: str, values: dict[str, str], word: str | None = None) -> Inbound:
    """A form, or a button that opens one."""
    return Inbound(
        key=key,
        surface=Surface.SLACK,
        account=origin.account,
        filled=Filled(command=command, values=values, word=word),
        place=origin.place,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def nothing_yet(key: str, origin: Origin) -> Inbound:
    """An act whose text is put in by who knows it."""
    return Typed(origin=origin, once=key, text="").delivery


def bot_user(body: dict[str, Any]) -> str | None:
    """The bot's own account, as the event's authorization names it."""
    found = body.get("authorizations")
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return found[0].get("user_id")
    return None
