"""What a workspace consists of: people, channels, messages, files, views. Values without behaviour.

`workspace.py` changes them (by putting a new value in the old one's place), `wire.py` writes them as Slack's JSON,
the page renders them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

SLACKBOT = "USLACKBOT"
TEAM = "T0SANDBOX"


@dataclass(frozen=True, slots=True)
class Person:
    """An account: a human, a bot, or one of the kinds that the bot must not trust (guest, stranger, deactivated)."""

    id: str
    handle: str
    name: str
    title: str = ""
    is_bot: bool = False
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    team_id: str = TEAM
    tz: str = "Europe/London"
    bot_id: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A user group: `@handle` mentions everybody in it."""

    id: str
    handle: str
    name: str
    members: frozenset[str] = frozenset()
    disabled: bool = False


@dataclass(slots=True)
class Channel:
    """A conversation; a direct message (`is_im`) has two members, the person and the app."""

    id: str
    name: str
    topic: str = ""
    is_private: bool = False
    is_archived: bool = False
    is_im: bool = False
    members: set[str] = field(default_factory=set)
    created: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file. `shares` says in which channels and as which messages it was shared."""

    id: str
    name: str
    title: str
    size: int
    mimetype: str = "text/plain"
    user: str = ""
    content: bytes | None = None
    created: int = 0
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    snippet_type: str = ""
    alt_txt: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was sent; mrkdwn is not rendered here. `user` is set for bots too, `bot_id` only for them.

    `ephemeral_to` names the one person who sees it. `reply_count`, `reply_users` and `latest_reply` are of a thread's
    first message.
    """

    ts: str
    channel: str
    user: str
    text: str = ""
    bot_id: str = ""
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    thread_ts: str = ""
    metadata: Json | None = None
    edited: str = ""
    edited_by: str = ""
    ephemeral_to: str = ""
    files: tuple[str, ...] = ()
    deleted: bool = False
    broadcast: bool = False
    reply_count: int = 0
    reply_users: tuple[str, ...] = ()
    latest_reply: str = ""
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    command: str = ""

    @property
    def is_reply(self) -> bool:
        return bool(self.thread_ts) and self.thread_ts != self.ts


@dataclass(frozen=True, slots=True)
class View:
    """A modal of one person (in a stack of up to three), or a person's App Home (`kind` home)."""

    id: str
    kind: Literal["modal", "home"]
    view: Json
    owner: str
    hash: str
    root_id: str
    previous_id: str = ""
    trigger: str = ""
    values: Json = field(default_factory=dict)


EventKind = Literal[
    "message_posted",
    "message_changed",
    "message_deleted",
    "ephemeral_posted",
    "ephemeral_changed",
    "ephemeral_deleted",
    "view_opened",
    "view_updated",
    "view_closed",
    "home_published",
    "file_shared",
    "channel_changed",
    "presence",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed that a page of `person` (empty: of everybody who sees the channel) should draw again."""

    kind: EventKind
    channel: str = ""
    ts: str = ""
    thread_ts: str = ""
    person: str = ""
    view_id: str = ""
    file_id: str = ""
    connected: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client shows to the person who acted.

    `error` is Slack's word (`operation_timeout`) or its sentence; `errors` are a form's, by block id; `view` is what a
    submission left on the screen; `message` what typing posted.
    """

    ok: bool = True
    error: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    message: Message | None = None
    view: View | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that the app sent: the method (or `response_url`, or `acknowledgement`) and its body, as it came."""

    method: str
    body: Json
    answer: Json


class Refused(Exception):
    """Slack would not do this: `error` is the word that its Web API answers with."""

    def __init__(self, error: str, *messages: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages
        self.extra = extra
