"""A pattern for what must never leave, searched by google-re2, which is imported when the first text comes.

Used by `runbooks.redaction.rules`, `redaction.disguise`, `redaction.blocks` and `redactor`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Compiled:
    """One pattern. A hit is its span: re2's own wrapper makes an object of it, and five calls to read it."""

    __slots__ = ("_anywhere", "_match")

    def __init__(self, source: bytes) -> None:
        """Groups that only `re` reads are left out of the source: re2 is much faster without any."""
        from re2 import _re2

        pattern = _re2.RE2(without_groups(source), options())
        if not pattern.ok():
            raise ValueError(pattern.error())
        self._match: Any = pattern.Match
        self._anywhere: Any = _re2.RE2.Anchor.UNANCHORED

    def search(self, data: bytes, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
        """Return where the first hit begins and ends, or None."""
        span: tuple[int, int] = self._match(self._anywhere, data, start, len(data) if end is None else end)[0]
        return span if span[0] >= 0 else None

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each hit begins and ends; none is empty."""
        at = 0
        while (span := self.search(data, at)) is not None:
            yield span
            at = span[1]


class SideBySide:
    """Several patterns: says which of them match all of some bytes."""

    __slots__ = ("_match",)

    def __init__(self, sources: Iterable[bytes]) -> None:
        from re2 import _re2

        which = _re2.Set(_re2.RE2.Anchor.ANCHOR_BOTH, options())
        for source in sources:
            if which.Add(without_groups(source)) < 0:
                raise ValueError(source)
        if not which.Compile():
            raise ValueError
        self._match: Callable[[bytes], list[int]] = which.Match

    def matching(self, data: bytes) -> list[int]:
        """Return the places of those that do, in no order."""
        return self._match(data)


_TAIL = re.compile(rb"\{(\d+),\d+\}(\)*)\Z")


def shortest(source: bytes) -> bytes:
    """Return a pattern that begins to match at the same bytes, but ends where it could end first.

    What is counted at its end costs the search a state for each count, and only the place where a hit begins matters.
    """
    return _TAIL.sub(rb"{\1}\2", source)


def without_groups(source: bytes) -> bytes:
    """Return the same pattern for google-re2."""
    return re.sub(rb"\(\?P<\w+>", b"(?:", source)


def options() -> Any:
    """On bytes, and with room for one large alternation."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 64 << 20
    return options
