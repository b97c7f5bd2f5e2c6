"""The messages on the terminal's socket: one call, then one JSON object per line until `end`."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from bot.boundary.inbound import Exit
from commands.kit.card import Card, OpenForm, State
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

LONGEST_CALL = 64 * 1024
"""Bytes of a call's body."""
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one line of the answer: a card may carry a long log as an attachment."""
ALIVE_SECONDS = 10.0
"""The server sends a sign of life at least this often; after three times that, the client gives up."""


class Call(Frozen):
    """A command, as the shell split it."""

    tokens: Annotated[tuple[Annotated[str, StringConstraints(max_length=8000)], ...], Field(max_length=200)]
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """128 random bits: a repeated call takes effect once."""
    named: Annotated[str, StringConstraints(max_length=63)] | None = None
    """`--as`: the sandbox only."""
    follow: bool = True
    offset: Annotated[int, Field(ge=-86_340, le=86_340)] | None = None
    """Seconds by which the person's clock is ahead of UTC."""
    zone: Annotated[str, StringConstraints(max_length=64)] | None = None
    """The person's time zone by name, if known: an offset would be wrong after the next clock change."""


class AnswerLine(Frozen):
    """The dispatcher's answer."""

    kind: Literal["answer"] = "answer"
    exit: int
    run: str | None = None
    short: str | None = None
    """The run's id as people type it."""
    card: Card | None = None
    form: OpenForm | None = None
    names: dict[str, str] = {}
    """Names of the people in the card, by key."""
    followed: bool = False
    """Cards of the run come next."""


class CardLine(Frozen):
    """A new state of the followed run."""

    kind: Literal["card"] = "card"
    slot: str
    """Which of the run's messages it is: head, plan, approval, progress, result."""
    card: Card
    names: dict[str, str] = {}


class MoreLine(Frozen):
    """The new part of a continuing answer."""

    kind: Literal["more"] = "more"
    lines: tuple[str, ...] = ()
    records: tuple[dict[str, object], ...] = ()
    said: str = ""


class NoticeLine(Frozen):
    """A message beside the answer, for standard error."""

    kind: Literal["notice"] = "notice"
    said: str


class RawLines(Frozen):
    """Unredacted lines, some at a time, before the answer's card."""

    kind: Literal["raw"] = "raw"
    lines: tuple[str, ...]
    records: tuple[dict[str, object], ...]


class EndLine(Frozen):
    """The end. `exit` is the run's if one was followed, else the answer's."""

    kind: Literal["end"] = "end"
    exit: int


class AliveLine(Frozen):
    """Nothing new, still here."""

    kind: Literal["alive"] = "alive"


class RefusedLine(Frozen):
    """A refusal by the socket server, before the dispatcher."""

    kind: Literal["refused"] = "refused"
    exit: int
    message: str


Line = AnswerLine | CardLine | MoreLine | NoticeLine | RawLines | EndLine | AliveLine | RefusedLine
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def read_line(raw: bytes) -> Line:
    """Parse a line. Raises `pydantic.ValidationError`."""
    return _LINE.validate_json(raw)


def people_in(card: Any) -> Iterator[str]:
    """Return the keys of the people in a card's JSON."""
    if isinstance(card, dict):
        if card.get("kind") == "person" and isinstance(card.get("key"), str):
            yield card["key"]
        for value in card.values():
            yield from people_in(value)
    elif isinstance(card, list | tuple):
        for value in card:
            yield from people_in(value)


_OK = frozenset({ReasonCode.SUCCEEDED, ReasonCode.NOTHING_TO_DO, ReasonCode.DRY_RUN})
_DENIED = frozenset(
    {
        ReasonCode.UNKNOWN_PERSON,
        ReasonCode.ACCOUNT_REFUSED,
        ReasonCode.ACCOUNT_UNCHECKED,
        ReasonCode.SHARED_ACCOUNT,
        ReasonCode.NOT_PERMITTED,
        ReasonCode.OWN_REQUEST,
        ReasonCode.NO_APPROVER,
        ReasonCode.LOCKED,
        ReasonCode.DENIED,
        ReasonCode.NO_GO,
    }
)


def exit_of(card: Card | None) -> Exit:
    """Return a followed run's exit status, from its last card."""
    if card is None:
        return Exit.FAILED
    code = card.data.get("reason_code")
    if isinstance(code, str) and code:
        if code in _OK:
            return Exit.OK
        return Exit.DENIED if code in _DENIED else Exit.FAILED
    return Exit.OK if card.state is State.DONE else Exit.FAILED
