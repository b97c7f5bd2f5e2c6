"""What goes in at the dispatcher and what comes out: the values between the surfaces (Slack, terminal) and `bot.dispatch.dispatcher`.

A surface makes a `Inbound` of whatever reached it (typed command, mention, button, form, shortcut), gives it to the dispatcher and
shows the `Answer`. It decides nothing itself.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from commands.kit.card import Card, OpenForm
from commands.kit.command import Command
from commands.kit.disclosure import RawLine
from commands.kit.follows import LiveState
from commands.kit.spec import Kind
from runbooks.kit.targets import Frozen
from runbooks.redaction.unredacted import Unredacted


class Surface(StrEnum):
    """Where a person acts."""

    SLACK = "slack"
    TERMINAL = "terminal"


class Location(Frozen):
    """Where it was said, and so where it is answered. Empty in a terminal."""

    channel: str | None = None
    thread: str | None = None
    """The thread's first message, where it was said in a thread."""
    direct: bool = False
    """A direct message with the bot: nothing that changes something starts there."""
    member: bool = True
    """False: the bot is not in that channel, so it can't keep a thread there."""


NOWHERE = Location()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A request that comes from a button or a form: already in parts. Values are texts as typed, parsed like typed ones."""

    command: str
    values: dict[str, str] = field(default_factory=dict)
    word: str | None = None
    """The card's random word, for a button of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One act of one person."""

    key: str
    """What makes the act unique: a trigger id, a button's run + act + person + word, an event id. The same key acts once."""
    surface: Surface
    account: str
    """As the surface knows the person: a Slack user id, `uid:1000`."""
    text: str | None = None
    """Typed, as the client sent it (without the command's own name)."""
    drawn: bool = False
    """The text is a button's: no client did anything to it, so nothing is to be undone."""
    expires: int | None = None
    """Until when the button works, in seconds since 1970."""
    tokens: tuple[str, ...] | None = None
    """Typed in a terminal: the shell has split it already."""
    filled: Filled | None = None
    place: Location = NOWHERE
    thread_commands: tuple[str, ...] = ()
    """What was answered in the thread before, newest first, as it would be typed: a follow-up means the same service and environment."""
    thread_found: tuple[tuple[str, str], ...] = ()
    """A command among them, and the service that its newest answer found."""
    thread_asked_by: str = ""
    """Who asked for the newest of them: an account of the surface, or a listed person's key; empty: unknown."""
    thread_unread: bool = False
    """It was typed in a thread that could not be read: what is meant there is unknown."""
    named: str | None = None
    """Who acts, where the surface may choose (the sandbox's `--as`)."""
    zone: tzinfo | None = None
    """The person's, where the surface says it itself: a terminal does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedInbound:
    """What came in, and what it asks for: parsed once, when it came, and carried on to the answer."""

    inbound: Inbound
    request: Command | None = None
    """None where nothing was typed, or it can't be understood."""
    kind: Kind | None = None
    """The request's kind; a dry run is a query, since it changes nothing. None as above: the answer says what to type."""
    recalled: str = ""
    """What of the request was not typed but comes from its thread, in words: "backend in staging"."""
    error: Exception | None = None
    """Why it can't be understood; raised where it is taken."""

    @property
    def changes(self) -> bool:
        """Whether it changes something: then it is acknowledged once it can't be lost, and everything else before that."""
        return self.kind in (Kind.OPERATION, Kind.DECISION)


class Exit(IntEnum):
    """How it went, as a terminal's exit status."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalOnly:
    """Unredacted lines on their way to one account at a terminal. Made by `bot.dispatch.disclosure` alone, which has the audit log's receipt."""

    account: str
    """Whose process reads it; the socket compares it with what the kernel says."""
    event: int
    """The number of its audit event."""
    lines: Unredacted[RawLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the person is told."""

    card: Card | None
    """None where the answer stands in a thread of its own (a run's)."""
    private: bool = True
    """Only that person sees it."""
    typed: str = ""
    """What it answers, as it would be typed: a message in Slack keeps it, for follow-ups in its thread. Empty: nothing is kept."""
    exit: Exit = Exit.OK
    run: str | None = None
    """The request that was started or pointed to."""
    form: OpenForm | None = None
    terminal_only: TerminalOnly | None = None
    """Only the terminal's socket looks at it."""
    live: AsyncGenerator[LiveState] | None = None
    """The card is the first state of an answer that goes on: what comes next. Whoever shows it closes it."""


class TakesInbound(Protocol):
    """`bot.dispatch.dispatcher.Dispatcher`, as the surfaces see it."""

    def parse(self, inbound: Inbound) -> ParsedInbound:
        """Return what is asked for, by parsing alone (no I/O): decides whether it is acknowledged first. Never raises."""
        ...

    async def take(self, came: Inbound | ParsedInbound) -> Answer:
        """Do it. Never raises for what a person did: refusals and mistakes are answers. `Inbound`: it is parsed here.

        For operations and decisions it returns once the audit log and the engine have it: acknowledge then.
        """
        ...

    async def form(self, inbound: Inbound, asked: OpenForm) -> "Form | Answer":
        """The form for a command, for this person, or a refusal."""
        ...

    async def choices(self, inbound: Inbound) -> "tuple[CommandChoice, ...] | Answer":
        """The commands that this person may run, for a form to choose one from, or a refusal."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChoice:
    """A command that a person may run."""

    name: str
    summary: str
    group: str
    """For people: "Look", "Act" …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One input of a form, made from a parameter."""

    name: str
    label: str
    hint: str
    required: bool
    flag: bool = False
    options: tuple[str, ...] = ()
    """Choices, where they are few and known."""
    suggested: bool = False
    """Choices are asked for while typing (versions, runs)."""
    filled: str = ""
    long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A command's form, generated from its definition."""

    command: str
    title: str
    intro: str
    fields: tuple[FormField, ...]
    submit: str
    hidden: dict[str, Any] = field(default_factory=dict)
    """Goes back unchanged: a run's id and word."""
