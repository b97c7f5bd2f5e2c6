"""The memory of the workspace: who and what is there, messages, views, files, and who is told of a change.

`Workspace` builds on it; nothing here knows of HTTP, of the app's deliveries or of what a person may type.
"""

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from sandbox.slack.model import (
    SLACKBOT,
    TEAM,
    Channel,
    Event,
    EventKind,
    File,
    Group,
    Json,
    Message,
    Person,
    Refused,
    View,
)
from sandbox.slack.settings import SlackApp, SlackSettings

_TRIGGER_ID = re.compile(r"\d+\.\d+\.[0-9a-f]{32}")


class Subscription:
    """What one person's page is told, in order. An async iterator; leaving it (`async with`, `close`) ends it."""

    def __init__(self, state: "State", person: str) -> None:
        self.person = person
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._state = state
        state.subscriptions.add(self)

    def close(self) -> None:
        if self in self._state.subscriptions:
            self._state.subscriptions.discard(self)
            self.queue.put_nowait(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events()

    async def _events(self) -> AsyncIterator[Event]:
        while (event := await self.queue.get()) is not None:
            yield event


@dataclass(slots=True)
class Trigger:
    """Permission to open one view, given with each act of a person."""

    person: str
    expires: float
    used: bool = False
    view_id: str = ""
    channel: str = ""
    """Where the person looks, for a shortcut that is used from there."""


@dataclass(slots=True)
class ResponseHook:
    """What a response URL still may do, and what it was given for."""

    person: str
    channel: str
    expires: float
    uses_left: int
    message_ts: str = ""


@dataclass(slots=True)
class Conversation:
    """A channel's messages in the order of their ts, and those of its threads."""

    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)


class State:
    """In memory only: the sandbox starts fresh each time."""

    def __init__(self, *, app: SlackApp | None = None, settings: SlackSettings | None = None) -> None:
        self.app = app or SlackApp()
        self.settings = settings or SlackSettings()
        self.team_name = "OmniCare Sandbox"
        self.team_domain = "omnicare-sandbox"
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.modals: dict[str, list[str]] = {}
        self.homes: dict[str, View] = {}
        self.subscriptions: set[Subscription] = set()
        self.triggers: dict[str, Trigger] = {}
        self.hooks: dict[str, ResponseHook] = {}
        self.tickets: set[str] = set()
        self.uploads: dict[str, str] = {}
        self.response_base = "http://127.0.0.1/response/"
        self._conversations: dict[str, Conversation] = {}
        self._ephemerals: dict[str, dict[str, Message]] = {}
        self._last_ts = 0
        self._numbers = itertools.count(1)
        bot = self.app
        self.add_person(Person(bot.user_id, bot.handle, bot.name, "App", is_bot=True, bot_id=bot.bot_id))
        self.add_person(Person(SLACKBOT, "slackbot", "Slackbot", is_bot=True, bot_id="B0SLACKBOT"))

    # Who and where

    def add_person(self, person: Person) -> Person:
        """Add an account, or put its new description in the old one's place (deactivated, made a guest)."""
        self.people[person.id] = person
        return person

    def add_channel(self, channel: Channel) -> Channel:
        channel.created = channel.created or int(time.time())
        self.channels[channel.id] = channel
        self._conversations.setdefault(channel.id, Conversation())
        return channel

    def add_group(self, group: Group) -> Group:
        self.groups[group.id] = group
        return group

    def person(self, who: str | Person) -> Person:
        """By id or handle."""
        if isinstance(who, Person):
            who = who.id
        if who in self.people:
            return self.people[who]
        for person in self.people.values():
            if person.handle == who.removeprefix("@"):
                return person
        raise Refused("user_not_found")

    def channel(self, which: str | Channel) -> Channel:
        """By id or name."""
        if isinstance(which, Channel):
            return which
        if which in self.channels:
            return self.channels[which]
        for channel in self.channels.values():
            if channel.name == which.removeprefix("#") and not channel.is_im:
                return channel
        raise Refused("channel_not_found")

    def direct_channel(self, who: str | Person) -> Channel:
        """The person's direct messages with the app; made when first asked for."""
        person = self.person(who)
        members = {person.id, self.app.user_id}
        for channel in self.channels.values():
            if channel.is_im and channel.members == members:
                return channel
        return self.add_channel(Channel(f"D{person.id[1:]}", "", is_private=True, is_im=True, members=members))

    def sees(self, person: str, channel: Channel) -> bool:
        return person in channel.members or not channel.is_private

    def channels_of(self, who: str | Person) -> list[Channel]:
        """What the person's list of channels shows: public ones, and the private ones that they are in."""
        person = self.person(who)
        return [channel for channel in self.channels.values() if self.sees(person.id, channel)]

    def join(self, who: str | Person, which: str | Channel) -> None:
        channel = self.channel(which)
        channel.members.add(self.person(who).id)
        self.announce("channel_changed", channel=channel.id)

    def leave(self, who: str | Person, which: str | Channel) -> None:
        channel = self.channel(which)
        channel.members.discard(self.person(who).id)
        self.announce("channel_changed", channel=channel.id)

    def archive(self, which: str | Channel, *, archived: bool = True) -> None:
        channel = self.channel(which)
        channel.is_archived = archived
        self.announce("channel_changed", channel=channel.id)

    # Being told

    def subscribe(self, who: str | Person) -> Subscription:
        return Subscription(self, self.person(who).id)

    def announce(self, kind: EventKind, **what: Any) -> None:
        event = Event(kind, **what)
        channel = self.channels.get(event.channel)
        for subscription in tuple(self.subscriptions):
            if event.person and event.person != subscription.person:
                continue
            if channel is None or self.sees(subscription.person, channel):
                subscription.queue.put_nowait(event)

    # Messages

    def new_id(self, letter: str) -> str:
        """An id in Slack's manner, never given twice."""
        return f"{letter}0{next(self._numbers):06X}{secrets.token_hex(2).upper()}"

    def new_ts(self) -> str:
        """The clock in microseconds, a step further whenever two messages fall into one."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def message(self, channel: str, ts: str, person: str = "") -> Message:
        """The message; `person` finds their ephemeral ones too."""
        conversation = self._conversations.get(channel, Conversation())
        if (message := conversation.messages.get(ts)) is not None:
            return message
        ephemeral = self._ephemerals.get(person, {}).get(ts)
        if ephemeral is not None and ephemeral.channel == channel:
            return ephemeral
        raise Refused("message_not_found")

    def history(self, which: str | Channel) -> list[Message]:
        """The channel's own messages, oldest first: no replies but those that were sent to the channel as well."""
        messages = self._conversations[self.channel(which).id].messages.values()
        return [message for message in messages if not message.is_reply or message.broadcast]

    def replies(self, which: str | Channel, thread_ts: str) -> list[Message]:
        """The thread, oldest first, opened by its first message (which may have been deleted)."""
        conversation = self._conversations[self.channel(which).id]
        head = conversation.messages.get(thread_ts)
        tail = [conversation.messages[ts] for ts in conversation.threads.get(thread_ts, ())]
        return [head, *tail] if head is not None else tail

    def ephemerals(self, who: str | Person, which: str | Channel = "") -> list[Message]:
        """What only this person sees (of one channel), oldest first."""
        own = self._ephemerals.get(self.person(who).id, {}).values()
        return [message for message in own if not which or message.channel == self.channel(which).id]

    def forget_ephemerals(self, who: str | Person) -> None:
        """Reload the person's client: ephemeral messages do not survive it."""
        self._ephemerals.pop(self.person(who).id, None)

    def _keep(self, message: Message) -> Message:
        """Store a new message, and count it in its thread."""
        conversation = self._conversations[message.channel]
        conversation.messages[message.ts] = message
        for file_id in message.files:
            self._share(file_id, message)
        where = {"channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
        self.announce("message_posted", **where)
        for file_id in message.files:
            self.announce("file_shared", file_id=file_id, **where)
        if message.is_reply:
            conversation.threads.setdefault(message.thread_ts, []).append(message.ts)
            if (head := conversation.messages.get(message.thread_ts)) is not None:
                self._recount(head)
        return message

    def _recount(self, head: Message) -> None:
        conversation = self._conversations[head.channel]
        stamps = conversation.threads.get(head.ts, [])
        conversation.messages[head.ts] = replace(
            head,
            thread_ts=head.ts if stamps else "",
            reply_count=len(stamps),
            reply_users=tuple(dict.fromkeys(conversation.messages[ts].user for ts in stamps)),
            latest_reply=stamps[-1] if stamps else "",
        )
        self.announce("message_changed", channel=head.channel, ts=head.ts)

    def put(self, message: Message) -> Message:
        """A changed message in its old place."""
        if message.ephemeral_to:
            self._ephemerals.setdefault(message.ephemeral_to, {})[message.ts] = message
        else:
            self._conversations[message.channel].messages[message.ts] = message
        kind: EventKind = "ephemeral_changed" if message.ephemeral_to else "message_changed"
        where = {"channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
        self.announce(kind, person=message.ephemeral_to, **where)
        return message

    def _keep_ephemeral(self, message: Message) -> Message:
        self._ephemerals.setdefault(message.ephemeral_to, {})[message.ts] = message
        where = {"channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
        self.announce("ephemeral_posted", person=message.ephemeral_to, **where)
        return message

    def _remove(self, message: Message) -> None:
        where = {"channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
        if message.ephemeral_to:
            self._ephemerals.get(message.ephemeral_to, {}).pop(message.ts, None)
            self.announce("ephemeral_deleted", person=message.ephemeral_to, **where)
            return
        conversation = self._conversations[message.channel]
        if message.reply_count:
            # Slack leaves a tombstone where a thread hangs on.
            conversation.messages[message.ts] = replace(
                message, deleted=True, text="This message was deleted.", blocks=(), files=(), user=SLACKBOT, bot_id=""
            )
        else:
            del conversation.messages[message.ts]
        if message.is_reply:
            conversation.threads[message.thread_ts].remove(message.ts)
            if (head := conversation.messages.get(message.thread_ts)) is not None:
                self._recount(head)
        self.announce("message_deleted", **where)

    # Files

    def add_file(self, file: File) -> File:
        self.files[file.id] = file
        return file

    def _share(self, file_id: str, message: Message) -> None:
        file = self.files[file_id]
        shares = {**file.shares, message.channel: (*file.shares.get(message.channel, ()), message.ts)}
        self.files[file_id] = replace(file, shares=shares)

    # Triggers and response URLs

    def new_trigger(self, person: str, channel: str = "") -> str:
        trigger_id = f"{time.time_ns() // 1_000_000}.{next(self._numbers)}.{secrets.token_hex(16)}"
        self._forget_old()
        self.triggers[trigger_id] = Trigger(person, time.monotonic() + self.settings.trigger_lives, channel=channel)
        return trigger_id

    def use_trigger(self, trigger_id: str) -> Trigger:
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise Refused("expired_trigger_id" if _TRIGGER_ID.fullmatch(trigger_id) else "invalid_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if trigger.expires < time.monotonic():
            raise Refused("expired_trigger_id")
        trigger.used = True
        return trigger

    def new_response_url(self, person: str, channel: str, message: Message | None = None) -> str:
        token = secrets.token_urlsafe(18)
        self.hooks[token] = ResponseHook(
            person,
            channel,
            time.monotonic() + self.settings.response_url_lives,
            self.settings.response_url_uses,
            message.ts if message else "",
        )
        return f"{self.response_base}{token}"

    def _forget_old(self) -> None:
        """Oldest first in the dictionaries, so what is over stands at their front."""
        now = time.monotonic()
        keep = self.settings.trigger_lives + 600
        for old in list(itertools.takewhile(lambda key: self.triggers[key].expires + keep < now, self.triggers)):
            del self.triggers[old]
        for old in list(itertools.takewhile(lambda key: self.hooks[key].expires < now, self.hooks)):
            del self.hooks[old]

    def members_of(self, group_ids: Iterable[str]) -> set[str]:
        return {member for group_id in group_ids for member in self.groups[group_id].members}

    @property
    def team(self) -> Json:
        return {"id": TEAM, "domain": self.team_domain}
