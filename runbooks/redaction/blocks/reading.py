"""What a reader of one format says of one line. Used by every reader of this package, and by `lines`, which asks them."""

import re
from enum import Enum
from typing import NamedTuple, Protocol

from runbooks.redaction.marks import PrivateKind


class Found(NamedTuple):
    """`line[start:end]` is private."""

    kind: PrivateKind
    start: int
    end: int
    quote: bytes = b""
    """What a JSON number's mark needs around it, or what is left would be no JSON."""


class Then(Enum):
    """What follows the line."""

    MORE = "the block goes on"
    OVER = "the block ends with this line"
    FOREIGN = "the line is not part of the block, which ended before it"


class Read(NamedTuple):
    """One line, read."""

    then: Then
    parts: list[Found] = []
    withheld: str = ""
    """What the line is part of, where all of it goes: `an X12 message`."""
    units: int = 1
    """So many of what the withheld text is counted in."""


FOREIGN = Read(Then.FOREIGN)


class Reader(Protocol):
    """A block that is open. It remembers what the lines so far say of the next; never the lines."""

    steps: int
    """Tokens that were looked at: a test holds them against the bytes that were given."""

    def read(self, line: bytes, at: int) -> Read:
        """The next line, whose text begins at `at` (before it is the kubelet's stamp)."""
        ...


DEEPEST = 200
"""Levels of nesting that are remembered; what is deeper is withheld."""

RECORD = re.compile(
    rb"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL)\b|[IWEF]\d{4} \d\d:|\{\"|\d{1,3}(?:\.\d{1,3}){3} "
)
"""How a program's next record begins: no text of several lines goes on behind it."""
