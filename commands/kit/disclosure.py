"""Answers that show what others never see: asked for with a reason, written to the audit log before anything is read.

A request whose `discloses` is true has `disclosure`, and the dispatcher asks it in three steps: what would be read, the audit event,
the reading. `answer` refuses such a request, so there is no way to it but that one.
"""

from typing import NamedTuple, Protocol

from commands.kit.card import Card
from runbooks.redaction.unredacted import Unredacted


class RawLine(NamedTuple):
    """One line: as a person reads it, and as `--json` has it."""

    text: str
    record: dict[str, object]


class Disclosed(NamedTuple):
    """The card, which says nothing of what is in the lines and is redacted like any other, and the lines."""

    card: Card
    lines: Unredacted[RawLine]


class Disclosure(Protocol):
    """What would be read, before it is."""

    @property
    def streams(self) -> tuple[str, ...]:
        """By name, for the audit log."""
        ...

    async def read(self) -> Disclosed:
        """Reads it. Called once the audit log has it."""
        ...
