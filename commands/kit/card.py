"""A card: what a person is shown, as a small document that knows no surface.

`bot/surfaces/slack/render/blocks.py` turns it into Block Kit inside Slack's limits, `bot/surfaces/terminal/` into lines and tables, `--json` dumps it.
Text is a sequence of spans; a plain string in it is data and is escaped by the surface, so a log line can't ping a channel or
pose as a link. Cards are stored with the run that shows them, so they are JSON.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from runbooks.kit.answers import read_time
from runbooks.kit.targets import Frozen
from runbooks.metrics.chart import Chart


class State(StrEnum):
    """A state is a word and a sign, never colour alone."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ENDED = "ended"  # denied, withdrawn, expired, cancelled
    LOCKED = "locked"

    @property
    def sign(self) -> str:
        """The one decoration that a card has."""
        return _SIGNS[self]


_SIGNS = {
    State.WAITING: "🟡",
    State.RUNNING: "🔵",
    State.DONE: "🟢",
    State.FAILED: "🔴",
    State.ENDED: "⚪",
    State.LOCKED: "🔒",
}


class Plain(Frozen):
    """Words: data, whatever signs are in them."""

    kind: Literal["plain"] = "plain"
    text: str


class Strong(Frozen):
    """Words that stand out."""

    kind: Literal["strong"] = "strong"
    text: str


class Code(Frozen):
    """Something to be read letter by letter or typed: a command, an id, a pod."""

    kind: Literal["code"] = "code"
    text: str


class PersonName(Frozen):
    """A person, by their key in `omnicare.toml` (or a raw account id where nobody of that id is listed).

    `mention` notifies them: only where that person must act.
    """

    kind: Literal["person"] = "person"
    key: str
    mention: bool = False


class Moment(Frozen):
    """A point in time, shown in the reader's own zone; with `age`, how long ago besides."""

    kind: Literal["moment"] = "moment"
    at: datetime
    form: Literal["time", "seconds", "date-time"] = "time"
    age: bool = False


class Link(Frozen):
    """A web address (https, or http in the sandbox) with words."""

    kind: Literal["link"] = "link"
    url: str
    text: str


Span = Annotated[Plain | Strong | Code | PersonName | Moment | Link, Field(discriminator="kind")]


class Text(Frozen):
    """A line or a paragraph."""

    spans: tuple[Span, ...] = ()


def words(*parts: "str | Plain | Strong | Code | PersonName | Moment | Link | Text") -> Text:
    """Text from its parts; a string is plain."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Text):
            spans.extend(part.spans)
        else:
            spans.append(Plain(text=part) if isinstance(part, str) else part)
    return Text(spans=tuple(spans))


def moment(stamp: str, *, age: bool = True) -> Moment | str:
    """Return a time of the fleet's record, or words where what stands there is none."""
    at = read_time(stamp)
    return Moment(at=at, form="date-time", age=age) if at is not None else "at an unknown time"


def sentence(text: str) -> Text:
    """A sentence of ours in which what is to be typed stands between backticks. Never for words of others."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return words(text)
    return words(*(Code(text=part) if place % 2 else part for place, part in enumerate(parts) if part))


class Paragraph(Frozen):
    """Running text."""

    kind: Literal["paragraph"] = "paragraph"
    text: Text


class Note(Frozen):
    """Small print below what matters."""

    kind: Literal["note"] = "note"
    text: Text


class Fact(Frozen):
    """A label and what it says."""

    label: str
    value: Text


class Facts(Frozen):
    """A few facts beside each other."""

    kind: Literal["facts"] = "facts"
    facts: tuple[Fact, ...]


class Table(Frozen):
    """Rows of short texts under a header."""

    kind: Literal["table"] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    caption: str = ""
    minor: bool = False
    """It proves what the card says, and needs nobody's eyes: Slack shows it as small print, row after row."""


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepLine(Frozen):
    """One step of a run, as shown."""

    key: str = ""
    """What the step is known by, such as `rollout:backend`; empty in lines of a version that knew steps by their titles."""
    targets: tuple[str, ...] = ()
    """What it changes: names of services."""
    title: str
    status: StepStatus
    detail: str = ""
    seconds: float | None = None


class StepList(Frozen):
    """The steps of a run, in order."""

    kind: Literal["steps"] = "steps"
    title: str
    steps: tuple[StepLine, ...]


class Preformatted(Frozen):
    """Lines as they are: logs, `kubectl` commands, a message of the cluster's."""

    kind: Literal["preformatted"] = "preformatted"
    text: str
    label: str = ""
    log: bool = False
    """Lines of a log: where there is colour, each has its level's."""
    excerpt: bool = False
    """An attachment of the same card has these lines too: where that is shown whole, they are not shown twice."""
    to_paste: bool = False
    """Lines to paste into a shell: one that redaction would change is withheld."""


class Attachment(Frozen):
    """Too long for a message: a file beside it. The card itself says what is in it."""

    kind: Literal["attachment"] = "attachment"
    filename: str
    content: str
    summary: str
    log: bool = False
    """As for preformatted text."""


class Confirm(Frozen):
    """Asked once more before a button acts; names what will happen."""

    title: str
    text: str
    yes: str
    no: str = "Back"


class RunAct(Frozen):
    """A button of a run: act on it as it stands now.

    `word` is the card's random word: the run keeps it, a new one for each state of the card, so an old, copied or
    guessed button does nothing.
    """

    kind: Literal["run"] = "run"
    command: str
    """A decision of the registry: approve, deny, withdraw, cancel …"""
    run: str
    word: str
    form: bool = False
    """Opens the decision's form first (a denial's reason)."""


class Typed(Frozen):
    """A button that is a typed command: it comes in through the dispatcher like one."""

    kind: Literal["typed"] = "typed"
    text: str
    replaces: bool = False
    """The answer takes the place of the card that has the button."""
    expires: int | None = None
    """Until when it works, in seconds since 1970; None: as long as the message is there."""


class OpenForm(Frozen):
    """A button that opens a command's form, filled with what is known."""

    kind: Literal["form"] = "form"
    command: str
    filled: dict[str, str] = {}


class Button(Frozen):
    """Something to do next."""

    label: str
    does: Annotated[RunAct | Typed | OpenForm, Field(discriminator="kind")]
    style: Literal["default", "primary", "danger"] = "default"
    confirm: Confirm | None = None
    quiet: bool = False
    """Seldom needed: may go into an overflow menu."""


class Choice(Frozen):
    """A value to choose, and the command that it completes."""

    label: str
    text: str


class Choices(Frozen):
    """What a command was not told: choosing is typing the command with the value."""

    label: str
    """"Choose the service"."""
    options: tuple[Choice, ...]
    expires: int
    """Until when a choice works, in seconds since 1970."""


class ButtonRow(Frozen):
    """Buttons in the middle of a card, under what they are about."""

    kind: Literal["buttons"] = "buttons"
    buttons: tuple[Button, ...]


Element = Annotated[
    Paragraph | Note | Facts | Table | StepList | Preformatted | Attachment | Chart | ButtonRow,
    Field(discriminator="kind"),
]


class CardSubject(Frozen):
    """What a card is about, for the buttons that follow from it."""

    service: str = ""
    target: str = ""
    """A pod, or the service again."""


class Card(Frozen):
    """One answer, or one state of one message."""

    title: Text
    summary: str
    """The whole thing in words, as a notification would say it; also what an old client shows."""
    state: State | None = None
    elapsed: float | None = None
    """Seconds, shown beside the title."""
    body: tuple[Element, ...] = ()
    buttons: tuple[Button, ...] = ()
    choices: Choices | None = None
    about: CardSubject | None = None
    """Where it is about something else than what the request named."""
    unhelpful: tuple[str, ...] = ()
    """Commands that usually follow, and would not mend this."""
    data: dict[str, object] = {}
    """For `--json`: the facts behind the words, under stable names."""
    records: tuple[dict[str, object], ...] = ()
    """For `--json`: what is naturally one object a line, such as a log's lines; the card's own line comes last."""


def person(key: str, *, mention: bool = False) -> PersonName:
    """A person in a text."""
    return PersonName(key=key, mention=mention)
