"""Slack's payloads, each read once: nothing after `read` sees a payload as it came.

Payloads are data from outside. `Payload.delivery_id` makes a second delivery of the same act known; the act's own key is in its `inbound`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.boundary.inbound import Filled, Inbound, Surface
from bot.surfaces.slack.json_path import at, list_at, object_at, text_at
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.own_messages import METADATA
from bot.surfaces.slack.render import button_values
from bot.surfaces.slack.render.modals import ANSWER, CHOICE, CHOOSER, COMMAND, FORM, PLACE, YES
from commands.kit.card import OpenForm, RunAct, Typed


class Shortcut(StrEnum):
    """The manifest's shortcuts, by their callback ids: one that is used anywhere, and those on a message."""

    MENU = "omnicare_menu"
    RUN = "omnicare_run"
    THREAD = "omnicare_thread"
    DIAGNOSE = "omnicare_diagnose"


DIAGNOSE = "diagnose"
"""The command that one of the message shortcuts opens."""

IN_PASSING = "To run a command, start the message with the mention, such as `@omnicare status`."
NOT_PLAIN = "Only plain messages are read, without files or `/me`. Send the command alone, such as `status`."
OLD_BUTTON = "That button no longer works. Type the command instead."

LONGEST_OPTION = 75
"""Characters of an option's value."""
_NOT_SAID = frozenset({"bot_message", "message_changed", "message_deleted", "message_replied"})
"""Subtypes of what no person said just now. Two bots that answer each other would never end."""
_MENTION = re.compile(r"\s*<@([UW][A-Z0-9]+)(?:\|[^>]*)?>[\s:,]*")


class Unreadable(Exception):
    """The payload does not say who acted, or which act it is. It is not acknowledged, so Slack says so to the person or delivers it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What Slack delivered."""

    delivery_id: str | None
    """None for what changes nothing and has none: each of its deliveries is handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange(Payload):
    """A user group has other members or another handle."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPerson(Payload):
    """Something that a person did; this alone for a visit to Home."""

    delivery_id: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackAct(FromPerson):
    """A typed command, or a button that stands for one or for a decision."""

    inbound: Inbound


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission(SlackAct):
    """A form that came back."""

    values: Mapping[str, str]
    inputs: tuple[str, ...]
    """The form's fields, in the order in which they are shown."""
    stacked: bool
    """It was opened from another modal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake(FromPerson):
    """Something that is no command; the sentence says what to do instead."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRequest(FromPerson):
    """A button that opens a form."""

    form: RunAct | OpenForm


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCommand(FromPerson):
    """A command was chosen, whose form comes next."""

    form: OpenForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion(Payload):
    """Somebody types into a select of a form, which asks for what to offer."""

    origin: Origin
    field: str
    typed: str
    values: Mapping[str, str]
    inbound: Inbound


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest(FromPerson):
    """The message shortcut."""

    run: str | None
    """The run that the message's metadata names; any app may write any metadata."""
    bot: str | None
    """Whose message it is."""


def read(body: object) -> Payload | None:
    """Return what was delivered; None where it asks nothing of the bot. Raises `Unreadable`."""
    match at(body, "type"):
        case _ if text_at(body, "command"):
            return _command(body)
        case "event_callback":
            return _event(body)
        case "block_actions":
            return _click(body)
        case "view_submission":
            return _choice(body) if at(body, "view", "callback_id") == CHOICE else _submission(body)
        case "block_suggestion":
            return _suggestion(body)
        case "shortcut" | "message_action":
            return _shortcut(body)
        case _:
            return None


def typed(key: str, origin: Origin, text: str, *, drawn: bool = False, expires: int | None = None) -> Inbound:
    """Return text that was typed, or that a button stands for (`drawn`)."""
    return Inbound(
        key=key,
        surface=Surface.SLACK,
        account=origin.account,
        text=text,
        drawn=drawn,
        expires=expires,
        place=origin.place,
    )


def decision(act: RunAct, origin: Origin, values: Mapping[str, str] | None = None) -> Inbound:
    """Return a decision on a run. Its key is made of run, act, person and nonce, whatever delivery brings it."""
    key = f"{act.run}:{act.command}:{origin.account}:{act.word}"
    return filled(key, origin, act.command, {"run": act.run, **(values or {})}, act.word)


def filled(key: str, origin: Origin, command: str, values: Mapping[str, str], word: str | None = None) -> Inbound:
    """Return a form's content, or what a button that opens one has filled in."""
    return Inbound(
        key=key,
        surface=Surface.SLACK,
        account=origin.account,
        filled=Filled(command=command, values=dict(values), word=word),
        place=origin.place,
    )


def after_mention(text: str, me: str | None) -> str | None:
    """Return the text after the bot's mention at the beginning; None where it is mentioned in passing."""
    found = _MENTION.match(text)
    if found is None or (me and found[1] != me):
        return None
    return text[found.end() :].strip()


def _command(body: object) -> SlackAct:
    channel = text_at(body, "channel_id")
    origin = Origin(
        account=_account(text_at(body, "user_id")),
        channel=channel,
        direct=_is_direct(channel),
        response_url=text_at(body, "response_url"),
        trigger=text_at(body, "trigger_id"),
    )
    key = _key("command", body)
    return SlackAct(delivery_id=key, origin=origin, inbound=typed(key, origin, text_at(body, "text") or ""))


def _event(body: object) -> Payload | None:
    event = object_at(body, "event")
    match at(event, "type"):
        case "app_mention" | "message":
            return _message(body, event)
        case "app_home_opened" if at(event, "tab") == "home" and (account := text_at(event, "user")):
            return FromPerson(delivery_id=_key("event", body), origin=Origin(account=account))
        case "subteam_members_changed" | "subteam_updated":
            return GroupChange(delivery_id=_key("event", body), group=text_at(event, "subteam_id") or "")
        case _:
            return None


def _message(body: object, event: Mapping[str, object]) -> FromPerson | None:
    """Return what a person said to the bot; None for edits, deletions and other bots' messages."""
    account, subtype, mention = text_at(event, "user"), at(event, "subtype"), at(event, "type") == "app_mention"
    if any(at(event, sign) for sign in ("edited", "bot_id", "bot_profile", "hidden")) or subtype in _NOT_SAID:
        return None
    if account in (None, "USLACKBOT") or not (mention or at(event, "channel_type") == "im"):
        return None
    channel, thread = text_at(event, "channel"), text_at(event, "thread_ts")
    origin = Origin(
        account=account,
        channel=channel,
        thread=thread,
        in_thread=thread is not None,
        direct=_is_direct(channel),
        mentioned=mention,
    )
    delivery_id, said = _key("event", body), text_at(event, "text") or ""
    text = after_mention(said, _bot_user(body))
    if text is None and mention:
        return Mistake(delivery_id=delivery_id, origin=origin, sentence=IN_PASSING)
    if subtype not in (None, "thread_broadcast") or at(event, "files"):
        return Mistake(delivery_id=delivery_id, origin=origin, sentence=NOT_PLAIN)
    inbound = typed(delivery_id, origin, said if text is None else text)
    return SlackAct(delivery_id=delivery_id, origin=origin, inbound=inbound)


def _click(body: object) -> FromPerson | None:
    value = _chosen(body)
    if value is None:
        return None
    origin, delivery_id = _origin(body), _key("click", body)
    match button_values.read(value):
        case RunAct(form=False) as act:
            return SlackAct(delivery_id=delivery_id, origin=origin, inbound=decision(act, origin))
        case Typed() as act:
            origin = replace(origin, replaces=act.replaces)
            inbound = typed(delivery_id, origin, act.text, drawn=True, expires=act.expires)
            return SlackAct(delivery_id=delivery_id, origin=origin, inbound=inbound)
        case RunAct() | OpenForm() as act:
            return FormRequest(delivery_id=delivery_id, origin=origin, form=act)
        case None:
            return Mistake(delivery_id=delivery_id, origin=origin, sentence=OLD_BUTTON)


def _submission(body: object) -> Submission | None:
    """Return a submitted form; None for a view that is not a form of ours."""
    view = object_at(body, "view")
    hidden = button_values.read_hidden(at(view, "private_metadata"))
    command, kept = text_at(hidden, "c"), at(hidden, "h")
    if at(view, "callback_id") != FORM or command is None or not isinstance(kept, Mapping):
        return None
    texts = {str(name): value for name, value in kept.items() if isinstance(value, str)}
    word = texts.pop("word", None)
    values, origin = _entered(view) | texts, _kept_origin(body, at(hidden, "p"))
    delivery_id = _key("form", body)
    if word is not None and "run" in texts:
        inbound = decision(RunAct(command=command, run=texts["run"], word=word), origin, values)
    else:
        inbound = filled(delivery_id, origin, command, values, word)
    return Submission(
        delivery_id=delivery_id,
        origin=origin,
        inbound=inbound,
        values=values,
        inputs=tuple(
            name
            for block in list_at(view, "blocks")
            if at(block, "type") == "input" and (name := text_at(block, "block_id"))
        ),
        stacked=text_at(view, "previous_view_id") is not None,
    )


def _choice(body: object) -> ChosenCommand | None:
    """Return the command that was chosen, with the place where it will be answered."""
    view = object_at(body, "view")
    entered = _entered(view)
    origin = _kept_origin(body, at(button_values.read_hidden(at(view, "private_metadata")), "p"))
    if (channel := entered.get(PLACE)) is not None:
        origin = replace(origin, channel=channel, direct=_is_direct(channel))
    form = OpenForm(command=entered.get(COMMAND, ""))
    return ChosenCommand(delivery_id=_key("choice", body), origin=origin, form=form) if form.command else None


def _suggestion(body: object) -> Suggestion:
    hidden = button_values.read_hidden(at(body, "view", "private_metadata"))
    origin = _kept_origin(body, at(hidden, "p")) if hidden else _origin(body)
    return Suggestion(
        delivery_id=None,
        origin=origin,
        field=text_at(body, "block_id") or "",
        typed=(text_at(body, "value") or "").strip()[:LONGEST_OPTION],
        values=_entered(object_at(body, "view")),
        inbound=typed("suggestion", origin, ""),
    )


def _shortcut(body: object) -> FromPerson | None:
    """Return what a global shortcut, or one of a message's, asks for; None for one that is not in the manifest."""
    match at(body, "type"), at(body, "callback_id"):
        case "shortcut", Shortcut.MENU:
            return FormRequest(delivery_id=_key("shortcut", body), origin=_origin(body), form=CHOOSER)
        case "message_action", Shortcut.THREAD:
            return FormRequest(delivery_id=_key("shortcut", body), origin=_thread_origin(body), form=CHOOSER)
        case "message_action", Shortcut.DIAGNOSE:
            form = OpenForm(command=DIAGNOSE)
            return FormRequest(delivery_id=_key("shortcut", body), origin=_thread_origin(body), form=form)
        case "message_action", Shortcut.RUN:
            return _run_request(body)
        case _:
            return None


def _run_request(body: object) -> RunRequest:
    message = object_at(body, "message")
    ours = at(message, "metadata", "event_type") == METADATA
    return RunRequest(
        delivery_id=_key("shortcut", body),
        origin=_origin(body),
        run=text_at(message, "metadata", "event_payload", "run") if ours else None,
        bot=text_at(message, "bot_id"),
    )


def _origin(body: object) -> Origin:
    """Return where a button, menu or shortcut was used."""
    channel = text_at(body, "channel", "id") or text_at(body, "container", "channel_id")
    message, thread = text_at(body, "container", "message_ts"), text_at(body, "container", "thread_ts")
    reply, direct = thread is not None and thread != message, _is_direct(channel)
    below = message if channel and not at(body, "container", "is_ephemeral") and not direct else None
    return Origin(
        account=_account(text_at(body, "user", "id")),
        channel=channel,
        thread=thread if reply else below,
        in_thread=reply,
        direct=direct,
        response_url=text_at(body, "response_url"),
        trigger=text_at(body, "trigger_id"),
        ephemeral=bool(at(body, "container", "is_ephemeral")),
        in_modal=at(body, "container", "type") == "view" and at(body, "view", "type") == "modal",
        in_home=at(body, "container", "type") == "view" and at(body, "view", "type") == "home",
        view=text_at(body, "view", "id") if at(body, "view", "callback_id") == ANSWER else None,
    )


def _thread_origin(body: object) -> Origin:
    """Return the thread of the message whose shortcut was used."""
    channel = text_at(body, "channel", "id")
    thread = text_at(body, "message", "thread_ts") or text_at(body, "message", "ts") or text_at(body, "message_ts")
    return Origin(
        account=_account(text_at(body, "user", "id")),
        channel=channel,
        thread=thread,
        in_thread=thread is not None,
        direct=_is_direct(channel),
        response_url=text_at(body, "response_url"),
        trigger=text_at(body, "trigger_id"),
    )


def _kept_origin(body: object, place: object) -> Origin:
    """Return where the form was opened, as the form has carried it through Slack (`modals.form_view`)."""
    return Origin(
        account=_account(text_at(body, "user", "id")),
        channel=text_at(place, "ch"),
        thread=text_at(place, "th"),
        in_thread=bool(at(place, "in")),
        direct=bool(at(place, "d")),
        response_url=text_at(place, "u"),
        trigger=text_at(body, "trigger_id"),
    )


def _chosen(body: object) -> str | None:
    """Return the value of the button, or of the menu's option."""
    actions = list_at(body, "actions")
    if len(actions) != 1:
        return None
    kind, chosen = at(actions[0], "type"), text_at(actions[0], "selected_option", "value")
    if kind == "static_select" and at(body, "container", "type") != "message":
        return None  # a select in a form: it counts when the form is submitted
    return chosen if kind in ("overflow", "static_select") else text_at(actions[0], "value")


def _entered(view: Mapping[str, object]) -> dict[str, str]:
    """Return what stands in the inputs; empty ones left out."""
    found: dict[str, str] = {}
    for name, actions in object_at(view, "state", "values").items():
        for entry in actions.values() if isinstance(actions, Mapping) else ():
            if value := _value(entry):
                found[name] = value
    return found


def _value(entry: object) -> str | None:
    if at(entry, "type") == "checkboxes":
        return YES if at(entry, "selected_options") else None
    if at(entry, "type") == "conversations_select":
        return text_at(entry, "selected_conversation")
    chosen = at(entry, "selected_option") if "selected_option" in object_at(entry) else entry
    return (text_at(chosen, "value") or "").strip() or None


def _bot_user(body: object) -> str | None:
    """Return the bot's own account, as the event's authorization names it."""
    return next((text_at(each, "user_id") for each in list_at(body, "authorizations")), None)


def _account(found: str | None) -> str:
    if found is None:
        raise Unreadable("the payload does not say who acted")
    return found


def _key(kind: str, body: object) -> str:
    """Return what makes the act unique: its trigger's or event's id, else all that Slack says of its time and place. Raises `Unreadable`."""
    if own := text_at(body, "trigger_id") or text_at(body, "event_id") or text_at(body, "event", "client_msg_id"):
        return f"{kind}:{own}"
    marks = [
        *(text_at(each, "action_ts") for each in (body, *list_at(body, "actions"))),
        text_at(body, "response_url"),
        text_at(body, "view", "hash"),
        text_at(body, "event", "event_ts") or text_at(body, "event", "ts"),
    ]
    if not any(marks):
        raise Unreadable("the payload does not say which act it is")
    who = text_at(body, "user", "id") or text_at(body, "user_id") or text_at(body, "event", "user")
    where = text_at(body, "view", "id") or text_at(body, "event", "channel")
    whole = json.dumps([*marks, who, where])  # hashed: a response URL lets whoever has it answer in the bot's name
    return f"{kind}:{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


def _is_direct(channel: str | None) -> bool:
    return channel is not None and channel.startswith("D")
