"""The workspace as people use it: they type, click, submit forms, open App Home. No HTTP here.

The page, the tests and the demo call these methods; the app hears of it through `delivery`, which `socket_mode` puts in
its place, and answers through the Web API (`api.py`), which changes the same memory.
"""

from typing import Any, Protocol

from sandbox.slack import composer, forms, payloads
from sandbox.slack.faults import Faults
from sandbox.slack.limits import check_message, check_view
from sandbox.slack.model import (
    SLACKBOT,
    TEAM,
    Channel,
    Event,
    File,
    Group,
    Json,
    Message,
    Outcome,
    Person,
    Refused,
    View,
)
from sandbox.slack.posting import Posting
from sandbox.slack.settings import SlackApp, SlackSettings
from sandbox.slack.state import Subscription
from sandbox.slack.wire import message_json, view_json

__all__ = [
    "SLACKBOT",
    "TEAM",
    "Channel",
    "Delivery",
    "Event",
    "File",
    "Group",
    "Message",
    "NotDelivered",
    "Outcome",
    "Person",
    "Refused",
    "SlackApp",
    "SlackSettings",
    "Subscription",
    "View",
    "Workspace",
]


class NotDelivered(Exception):
    """The app did not answer: `dispatch_failed` where none is connected, `operation_timeout` where it was too slow."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Delivery(Protocol):
    """The way to the app."""

    @property
    def connected(self) -> int:
        """How many connections of the app are open."""

    async def deliver(self, kind: str, payload: Json) -> Json:
        """Send it to one connection and return what the acknowledgement carried; NotDelivered if there was none."""

    def announce(self, payload: Json) -> None:
        """Send an event, in the background, again if it is not acknowledged."""

    async def refresh(self) -> None:
        """Ask every connection to be replaced, as Slack does every few hours."""


class Workspace(Posting):
    """Everything that a person can do, and what they see of it."""

    def __init__(self, *, app: SlackApp | None = None, settings: SlackSettings | None = None) -> None:
        super().__init__(app=app, settings=settings)
        self.delivery: Delivery | None = None
        self.faults = Faults()

    @property
    def app_connected(self) -> bool:
        return self.delivery is not None and self.delivery.connected > 0

    async def refresh_connections(self) -> None:
        """Slack replaces its connections every few hours: warning, then the end of each."""
        if self.delivery is not None:
            await self.delivery.refresh()

    # Typing

    async def type(self, who: str | Person, where: str | Channel, text: str, thread_ts: str | None = None) -> Outcome:
        """Send what stands in the composer: a slash command, or a message."""
        person, channel = self.person(who), self.channel(where)
        if channel.is_archived:
            raise Refused("is_archived")
        if person.id not in channel.members:
            raise Refused("not_in_channel" if self.sees(person.id, channel) else "channel_not_found")
        if text.startswith("/me "):
            message = self.post(
                channel, person, composer.typed(self, text.removeprefix("/me ")), thread_ts=thread_ts or ""
            )
            self.tell_of_post(message, subtype="me_message")
            return Outcome(message=message)
        if text.startswith("/"):
            return await self._command(person, channel, text, thread_ts or "")
        message = self.post(channel, person, composer.typed(self, text), thread_ts=thread_ts or "")
        self._tell_of_message(message)
        return Outcome(message=message)

    async def _command(self, person: Person, channel: Channel, line: str, thread_ts: str) -> Outcome:
        command, _, text = line.partition(" ")
        if command not in self.app.commands:
            return self._slackbot(
                person,
                channel,
                f"`{command}` is not a valid command. In Slack, all of the commands start with a slash.",
                thread_ts,
            )
        if thread_ts:
            return self._slackbot(person, channel, f"{command} is not supported in threads. Sorry!", thread_ts)
        typed = composer.typed_command(self, text.strip(), escape_entities=command in self.app.escaped_commands)
        payload = payloads.slash_command(self, person, channel, command, typed)
        try:
            answer = await self._deliver("slash_commands", payload)
            return Outcome(message=self._answered(person, channel, answer, line))
        except NotDelivered as failure:
            return self._slackbot(person, channel, f'{command} failed with the error "{failure.reason}"', "")
        except Refused as refusal:
            return self._slackbot(person, channel, f'{command} failed with the error "{refusal.error}"', "")

    def _answered(self, person: Person, channel: Channel, answer: Json, line: str) -> Message | None:
        """The message that an acknowledgement carried, if any."""
        text, blocks = str(answer.get("text") or ""), answer.get("blocks") or []
        if not text and not blocks:
            return None
        check_message(text, blocks)
        if answer.get("response_type") == "in_channel":
            return self.post(channel, self.app.user_id, text, blocks=blocks, command=line)
        return self.post_ephemeral(channel, person, text, blocks=blocks)

    def _slackbot(self, person: Person, channel: Channel, text: str, thread_ts: str) -> Outcome:
        message = self.post_ephemeral(channel, person, text, who=SLACKBOT, thread_ts=thread_ts)
        return Outcome(ok=False, error=text, message=message)

    async def edit(self, who: str | Person, ts: str, text: str, *, channel: str | Channel = "") -> Message:
        """Change one's own message. A mention that is new in it is told to the app as well, marked as edited."""
        person = self.person(who)
        old = self._own_message(person, ts, channel)
        new = self.update(old.channel, ts, text=composer.typed(self, text), blocks=(), editor=person.id)
        self.tell_of_update(old, new)
        if self.app.user_id in composer.mentioned(new.text) - composer.mentioned(old.text):
            self._tell_of_mention(new)
        return new

    async def remove(self, who: str | Person, ts: str, *, channel: str | Channel = "") -> None:
        """Delete one's own message."""
        old = self._own_message(self.person(who), ts, channel)
        self.delete(old.channel, ts)
        self.tell_of_deletion(old)

    def _own_message(self, person: Person, ts: str, where: str | Channel) -> Message:
        channels = [self.channel(where)] if where else list(self.channels.values())
        for channel in channels:
            message = self._conversations[channel.id].messages.get(ts)
            if message is not None and message.user == person.id and not message.deleted:
                return message
        raise Refused("message_not_found")

    # Clicking

    async def click(
        self,
        who: str | Person,
        message_ts: str,
        where: str | Channel,
        action_id: str,
        block_id: str | None = None,
        value: Any = None,
        *,
        state_values: Json | None = None,
    ) -> Outcome:
        """Use a button, select or other element of a message; a `confirm` dialog counts as answered with yes.

        `value` is the value of the chosen option, a list of them, or the date, time, user or text that was entered.
        """
        person, channel = self.person(who), self.channel(where)
        if not self.sees(person.id, channel):
            raise Refused("channel_not_found")
        message = self.message(channel.id, message_ts, person.id)
        # apps give blocks new ids with each update: a press on the card as it stood a moment ago is a press on this one
        found = forms.find(message.blocks, action_id, block_id) or forms.find(message.blocks, action_id)
        if found is None:
            raise Refused("action_not_found")
        action = forms.action(*found, value, self.new_ts())
        values = forms.state_of(message.blocks, _with_choice(state_values, found, value))
        return await self._interact(payloads.block_actions(self, person, message, [action], values))

    async def click_in_view(
        self,
        who: str | Person,
        view_id: str,
        action_id: str,
        block_id: str | None = None,
        value: Any = None,
        *,
        state_values: Json | None = None,
    ) -> Outcome:
        """The same in a modal or in App Home; `state_values` is what stands in the other fields."""
        person, view = self.person(who), self._own_view(who, view_id)
        found = forms.find(view.view["blocks"], action_id, block_id)
        if found is None:
            raise Refused("action_not_found")
        action = forms.action(*found, value, self.new_ts())
        values = forms.state_of(view.view["blocks"], _with_choice(state_values, found, value))
        return await self._interact(payloads.view_actions(self, person, view, [action], values))

    async def suggest(
        self,
        who: str | Person,
        action_id: str,
        block_id: str,
        typed: str,
        *,
        view_id: str = "",
        channel: str | Channel = "",
        message_ts: str = "",
    ) -> list[Json]:
        """What an external select offers for the letters typed so far: options, or groups of them."""
        person = self.person(who)
        where: Message | View
        if view_id:
            where = self._own_view(who, view_id)
        else:
            where = self.message(self.channel(channel).id, message_ts, person.id)
        try:
            payload = payloads.block_suggestion(self, person, where, block_id, action_id, typed)
            answer = await self._deliver("interactive", payload)
        except NotDelivered:
            return []
        return list(answer.get("options") or answer.get("option_groups") or [])

    async def shortcut(self, who: str | Person, callback_id: str, where: str | Channel = "") -> Outcome:
        """A global shortcut, from the composer's menu; `where` the person looks."""
        if callback_id not in self.app.shortcuts:
            raise Refused("unknown_shortcut")
        channel = self.channel(where).id if where else ""
        return await self._interact(payloads.shortcut(self, self.person(who), callback_id, channel))

    async def message_shortcut(self, who: str | Person, where: str | Channel, ts: str, callback_id: str) -> Outcome:
        """A shortcut from a message's own menu."""
        if callback_id not in self.app.message_shortcuts:
            raise Refused("unknown_shortcut")
        message = self.message(self.channel(where).id, ts)
        return await self._interact(payloads.message_action(self, self.person(who), message, callback_id))

    # Forms and Home

    async def submit_view(self, who: str | Person, view_id: str, state_values: Json | None = None) -> Outcome:
        """Submit a modal. `state_values` is plain: {block_id: {action_id: value}}; what is missing keeps its initial."""
        person, view = self.person(who), self._own_view(who, view_id)
        blocks = view.view["blocks"]
        values = forms.state_of(blocks, state_values)
        if errors := forms.client_errors(blocks, values):
            return Outcome(ok=False, errors=errors)
        payload = payloads.view_submission(self, person, view, values)
        try:
            answer = await self._deliver("interactive", payload)
            return self._after_submission(view, answer)
        except NotDelivered as failure:
            return Outcome(ok=False, error=failure.reason)
        except Refused:
            return Outcome(ok=False, error="We had some trouble connecting. Try again?", view=view)

    def _after_submission(self, view: View, answer: Json) -> Outcome:
        match answer.get("response_action"):
            case "errors":
                known = {block.get("block_id") for block in view.view["blocks"] if block["type"] == "input"}
                if not answer.get("errors") or not known.issuperset(answer["errors"]):
                    raise Refused("invalid_arguments")
                return Outcome(ok=False, errors=answer["errors"], view=view)
            case "update":
                check_view(answer.get("view"))
                return Outcome(view=self.update_view(answer["view"], view_id=view.id))
            case "push":
                check_view(answer.get("view"))
                return Outcome(view=self._show(view.owner, answer["view"]))
            case "clear":
                self._drop_view(view, all_of_them=True)
            case _ if view.view.get("clear_on_close"):
                self._drop_view(view, all_of_them=True)
            case _:
                self._drop_view(view)
        below = self.modals_of(view.owner)
        return Outcome(view=below[-1] if below else None)

    async def close_view(self, who: str | Person, view_id: str, *, clear: bool = False) -> Outcome:
        """Cancel a modal (`clear`: the cross, which closes all of the stack)."""
        person, view = self.person(who), self._own_view(who, view_id)
        clear = clear or bool(view.view.get("clear_on_close"))
        closing = self.modals_of(person)[::-1] if clear else [view]
        self._drop_view(view, all_of_them=clear)
        for one in closing:
            if one.view.get("notify_on_close"):
                await self._interact(payloads.view_closed(self, person, one, is_cleared=clear))
        return Outcome()

    async def open_home(self, who: str | Person) -> Outcome:
        """Look at the app's Home tab."""
        person = self.person(who)
        home = self.homes.get(person.id)
        event: Json = {
            "type": "app_home_opened",
            "user": person.id,
            "channel": self.direct_channel(person).id,
            "tab": "home",
            "event_ts": self.new_ts(),
        }
        if home is not None:
            event["view"] = view_json(self, home)
        self._tell("app_home_opened", event)
        return Outcome(view=home)

    def _own_view(self, who: str | Person, view_id: str) -> View:
        view = self.find_view(view_id)
        if view.owner != self.person(who).id:
            raise Refused("not_found")
        return view

    # Telling the app

    async def _deliver(self, kind: str, payload: Json) -> Json:
        if self.delivery is None:
            raise NotDelivered("dispatch_failed")
        return await self.delivery.deliver(kind, payload)

    async def _interact(self, payload: Json) -> Outcome:
        try:
            await self._deliver("interactive", payload)
        except NotDelivered as failure:
            return Outcome(ok=False, error=failure.reason)
        return Outcome()

    def _tell(self, event_type: str, event: Json) -> None:
        if self.delivery is not None and event_type in self.app.events:
            self.delivery.announce(payloads.event(self, event))

    def _subscription_for(self, channel: Channel) -> str:
        names = {"im": "message.im", "group": "message.groups", "channel": "message.channels"}
        return names[payloads.channel_type(channel)]

    def tell_of_post(self, message: Message, **more: Any) -> None:
        """The app hears of every message in its channels, its own included, as far as it asked for them."""
        channel = self.channels[message.channel]
        if self.app.user_id in channel.members:
            self._tell(self._subscription_for(channel), payloads.message_event(self, message, **more))

    def _tell_of_message(self, message: Message) -> None:
        channel = self.channels[message.channel]
        self.tell_of_post(message)
        if not channel.is_im and self.app.user_id in composer.mentioned(message.text):
            self._tell_of_mention(message)

    def _tell_of_mention(self, message: Message) -> None:
        channel = self.channels[message.channel]
        if self.app.user_id not in channel.members:
            text = f"<@{self.app.user_id}> was mentioned, but they're not in this channel."
            self.post_ephemeral(channel, message.user, text, who=SLACKBOT, thread_ts=message.thread_ts)
            return
        event = message_json(self, message) | {
            "type": "app_mention",
            "channel": message.channel,
            "event_ts": message.edited or message.ts,
        }
        self._tell("app_mention", event)

    def tell_of_update(self, old: Message, new: Message) -> None:
        self._tell_of(new, "message_changed", message=message_json(self, new), previous_message=message_json(self, old))

    def tell_of_deletion(self, old: Message) -> None:
        self._tell_of(old, "message_deleted", deleted_ts=old.ts, previous_message=message_json(self, old))

    def _tell_of(self, about: Message, subtype: str, **more: Any) -> None:
        channel = self.channels[about.channel]
        if self.app.user_id not in channel.members:
            return
        now = self.new_ts()
        event: Json = {
            "type": "message",
            "subtype": subtype,
            "channel": channel.id,
            "channel_type": payloads.channel_type(channel),
            "hidden": True,
            "ts": now,
            "event_ts": now,
            **more,
        }
        self._tell(self._subscription_for(channel), event)


def _with_choice(values: Json | None, found: tuple[Json, Json], value: Any) -> Json:
    """The state of the other fields, with what was just chosen in its place."""
    block, element = found
    answer = {block_id: dict(fields) for block_id, fields in (values or {}).items()}
    if value is not None:
        answer.setdefault(block["block_id"], {})[element["action_id"]] = value
    return answer
