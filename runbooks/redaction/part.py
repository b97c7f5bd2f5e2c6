"""What a reader says of one hit. Used by every module of readers, and by `runbooks.redaction.parts`, which asks them."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from runbooks.redaction.marks import PrivateKind
from runbooks.redaction.text import ScannedText


class PrivatePart(NamedTuple):
    """`data[start:end]` is private; an empty part means that the hit is none, and reading goes on at `resume`."""

    kind: PrivateKind
    start: int
    end: int
    resume: int
    withheld: bool = False
    """Nobody looked at it: a sentence stands in its place."""


Parts = Iterable[PrivatePart]
"""In reading order; none at all means that the hit is none, and reading goes on behind its first byte."""
Reader = Callable[[ScannedText, re.Match[bytes], int, int], Parts]
"""(text, the rule's hit, where the rule's group begins, where it ends) → what is private there. Raises `TooDense`."""


One = tuple[PrivatePart]


def part(kind: PrivateKind, start: int, end: int) -> PrivatePart:
    """Return these bytes as private, with what follows them still to be read."""
    return PrivatePart(kind, start, end, end)


def one(kind: PrivateKind, start: int, end: int) -> One:
    """Return the only part of a hit."""
    return (PrivatePart(kind, start, end, end),)


def none(resume: int) -> One:
    """Return that nothing is private before `resume`, where reading goes on."""
    return (PrivatePart(PrivateKind.SECRET, resume, resume, resume),)


def exactly(kind: PrivateKind) -> Reader:
    """The reader of a rule whose group is the value."""

    def read(_text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Parts:
        return (PrivatePart(kind, start, end, end),)

    return read


_DIGITS = b"0123456789"


def digits_in(value: bytes) -> int:
    """How many digits there are."""
    return len(value) - len(value.translate(None, _DIGITS))
