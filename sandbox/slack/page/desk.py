"""What one person sees of the workspace: their channels, what is unread, a channel's newest messages, a thread.

Values only; `fragments.py` draws them. Nothing here changes the workspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from sandbox.slack.model import SLACKBOT, Channel, Message, Person, Refused
from sandbox.slack.page.reader import Names, Reader, zone_named
from sandbox.slack.workspace import Workspace

NEWEST = 100
TOGETHER = 300.0  # seconds between two messages of one author that are drawn as one block


@dataclass(slots=True)
class ReadMarks:
    """Up to where each person has read each channel. What was there before the page began counts as read."""

    begun: str
    marks: dict[tuple[str, str], str] = field(default_factory=dict)

    def until(self, person: str, channel: str) -> str:
        return self.marks.get((person, channel), self.begun)

    def seen(self, person: str, channel: str, ts: str) -> bool:
        """Note it; False if that was known."""
        if ts <= self.until(person, channel):
            return False
        self.marks[person, channel] = ts
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """A channel in somebody's list. `path` is its part of the page's address, `unread` counts what calls for them."""

    channel: Channel
    path: str
    label: str
    other: Person | None = None
    has_new: bool = False
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """A message where it stands: after `previous`, whether it begins a day, goes on with one author, is the first new one."""

    message: Message
    author: Person
    new_day: bool = False
    grouped: bool = False
    first_new: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """A person at the workspace."""

    workspace: Workspace
    person: Person
    reader: Reader
    marks: ReadMarks

    @classmethod
    def of(cls, workspace: Workspace, who: str, marks: ReadMarks, zone: str = "") -> "Desk":
        person = workspace.person(who)
        reader = Reader(
            person=person.id,
            handle=person.handle,
            zone=zone_named(zone, person.tz),
            names=names(workspace),
            base=f"/as/{person.handle}",
            groups=frozenset(group.id for group in workspace.groups.values() if person.id in group.members),
        )
        return cls(workspace, person, reader, marks)

    def places(self) -> list[Place]:
        """Channels in the workspace's order, then direct messages, the app's first."""
        app = self.workspace.direct_channel(self.person)
        rooms = [channel for channel in self.workspace.channels_of(self.person) if channel.id != app.id]
        rooms.sort(key=lambda channel: channel.is_im)
        position = next((at for at, channel in enumerate(rooms) if channel.is_im), len(rooms))
        return [self.place(channel) for channel in [*rooms[:position], app, *rooms[position:]]]

    def place(self, channel: Channel) -> Place:
        unread, calls = self._unread(channel)
        if not channel.is_im:
            return Place(channel, channel.name, channel.name, None, unread, calls)
        others = [self.workspace.people[one] for one in sorted(channel.members) if one != self.person.id]
        other = others[0] if others else self.person
        return Place(channel, f"~{other.handle}", other.name, other, unread, calls)

    def _unread(self, channel: Channel) -> tuple[bool, int]:
        until = self.marks.until(self.person.id, channel.id)
        new = [one for one in self.messages(channel) if one.ts > until and one.user != self.person.id]
        calls = sum(channel.is_im or f"<@{self.person.id}>" in one.text for one in new)
        return bool(new), calls

    def find(self, path: str) -> Place:
        for place in self.places():
            if place.path == path:
                return place
        raise Refused("channel_not_found")

    def messages(self, channel: Channel) -> list[Message]:
        """The channel's own messages with the person's ephemeral ones between them, oldest first."""
        own = [one for one in self.workspace.ephemerals(self.person, channel) if not one.thread_ts]
        return sorted([*self.workspace.history(channel), *own], key=lambda message: message.ts)

    def thread(self, channel: Channel, ts: str) -> list[Message]:
        own = [one for one in self.workspace.ephemerals(self.person, channel) if one.thread_ts == ts]
        return sorted([*self.workspace.replies(channel, ts), *own], key=lambda message: message.ts)

    def show(self, messages: list[Message], *, new_after: str = "") -> list[Shown]:
        """Each of them with what stands before it; the first of the list is taken to begin a day."""
        if not messages:
            return []
        shown = [self._shown(None, messages[0])]
        shown += [self._shown(before, message) for before, message in pairwise(messages)]
        if new_after:
            first = next((at for at, one in enumerate(shown) if self._is_new(one.message, new_after)), None)
            if first is not None:
                one = shown[first]
                shown[first] = Shown(one.message, one.author, one.new_day, grouped=False, first_new=True)
        return shown

    def show_one(self, messages: list[Message], ts: str) -> Shown | None:
        """One message of a list, for the stream."""
        for at, message in enumerate(messages):
            if message.ts == ts:
                return self._shown(messages[at - 1] if at else None, message)
        return None

    def _is_new(self, message: Message, after: str) -> bool:
        return message.ts > after and message.user != self.person.id

    def _shown(self, before: Message | None, message: Message) -> Shown:
        author = self.workspace.people.get(message.user) or Person(message.user, "unknown", "Unknown")
        if before is None or self.reader.time(before.ts).date() != self.reader.time(message.ts).date():
            return Shown(message, author, new_day=True)
        alike = (
            before.user == message.user
            and before.ephemeral_to == message.ephemeral_to
            and not before.deleted
            and not message.command
            and message.user != SLACKBOT
        )
        return Shown(message, author, grouped=alike and float(message.ts) - float(before.ts) < TOGETHER)


def names(workspace: Workspace) -> Names:
    people: Mapping[str, str] = {person.id: person.name for person in workspace.people.values()}
    return Names(
        people=people,
        channels={channel.id: channel.name for channel in workspace.channels.values() if not channel.is_im},
        groups={group.id: group.handle for group in workspace.groups.values()},
        app=workspace.app.user_id,
    )
