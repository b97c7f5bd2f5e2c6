r"""Matching of a person's pattern against log lines, and which of the matches may be shown.

Patterns run on whole blocks, which is many times faster than line by line. Each line begins with the kubelet's timestamp,
which the pattern does not see. It does not see redacted text either: a line counts only if the pattern matches
the rest, with a stand-in for the removed text. So neither a line nor a count reveals who is in a log.
"""

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from itertools import accumulate
from typing import Any

from runbooks.kit.errors import PermanentError
from runbooks.kit.patterns import PatternRefused, anchored, compiled, literal
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.marks import MARK

_SPARED = 200
"""Further places in lines that are found already, in one block, before only one is looked for in each."""
_STAMP = b"2026-01-01T00:00:00.123456789Z 2026-11-30T23:59:48.0+05:30 \n"
_IN_STAMPS = re.compile(rb"[0-9TZ:.+ -]+")

_CROSSED = ("\ue000".encode(), "\ue000".encode() * 37)
"""What stands where something was taken out, in two lengths: a sign that only a `.` matches."""
_NOT_CROSSED = (b"\n", b"x\nx")
"""For a pattern that could ask for what is *not* there (`[^M]`, `\\W`): it does not look across what was taken out."""
_ASKS_FOR_OTHERS = re.compile(r"\[\^|\[:\^|\\[DWSBPpCxQ0-7]|\[.*[^\x00-\x7f]")
_DIGITS = tuple(
    bytes.maketrans(b"0123456789", digits)
    for digits in (b"0000000000", bytes(secrets.choice(b"123456789") for _ in range(10)))
)
"""Stand-ins for digits; nobody knows the second."""


class MatchVerdict(Enum):
    """What may be said of the lines that differ from one only in their digits."""

    ALL = "all match"
    EACH = "each has to be looked at"


class Pattern:
    """A pattern, ready for blocks. Raises `PermanentError(USAGE)` for one that can't be used."""

    def __init__(self, typed: str) -> None:
        try:
            self._line: Any = compiled(typed)
            self._block: Any = compiled(typed, each_line=True)
        except PatternRefused as error:
            raise PermanentError(str(error), code=ReasonCode.USAGE) from error
        self._literal = literal(typed)
        # what an anchor or a border of a word means depends on what stands before it, and a stamp stands there
        in_stamps = (
            _IN_STAMPS.fullmatch(self._literal) is not None
            if self._literal is not None
            else self._block.search(_STAMP) is not None
        )
        self._apart = in_stamps or (self._literal is None and anchored(typed))
        self._instead = _NOT_CROSSED if _ASKS_FOR_OTHERS.search(typed) else _CROSSED
        self._alone = bool(re.search(r"\\[AzQ]|\(\?[a-z]*-?[a-z]*m", typed))

    def matches(self, text: bytes) -> bool:
        """Whether one line's text matches."""
        return self._line.search(text) is not None

    def lines(self, block: bytes) -> list[bytes]:
        """The lines of a block (which ends with a line's end) whose text matches, with their stamps."""
        if self._alone:
            return [line for line in block.split(b"\n") if line and self.matches(text_of(line))]
        if self._apart:
            return self._without_stamps(block)
        return self._literally(block) if self._literal is not None else list(self._with_stamps(block))

    def _without_stamps(self, block: bytes) -> list[bytes]:
        lines = block.split(b"\n")
        lines.pop()
        texts = [line[line.find(b" ") + 1 :] for line in lines]
        ends = list(accumulate(len(text) + 1 for text in texts))
        joined = b"\n".join(texts)
        found: list[bytes] = []
        at = 0
        while at <= len(joined) and (hit := self._block.search(joined, at)) is not None:
            number = bisect_right(ends, hit.start())
            if number >= len(lines):
                break
            found.append(lines[number])
            at = ends[number]
        return found

    def _literally(self, block: bytes) -> list[bytes]:
        """The same for a plain word, which bytes find by themselves."""
        word, find, rfind = self._literal, block.find, block.rfind
        assert word is not None, "asked before"
        found: list[bytes] = []
        at, hit = 0, find(word)
        while hit >= 0 and (end := find(b"\n", hit)) >= 0:
            begin = rfind(b"\n", at, hit) + 1 or at
            line = block[begin:end]
            if hit - begin > line.find(b" ") or self.matches(text_of(line)):
                found.append(line)
            at = end + 1
            hit = find(word, end)
        return found

    def _with_stamps(self, block: bytes) -> Iterator[bytes]:
        at, size = 0, len(block)
        for hit in self._places(block):
            if hit < at:
                continue  # a line that an earlier place in it has found
            if hit >= size:
                return
            begin = block.rfind(b"\n", at, hit) + 1 or at
            end = block.find(b"\n", hit)
            line = block[begin:end]
            at = end + 1
            if hit - begin > line.find(b" ") or self.matches(text_of(line)):
                yield line

    def _places(self, block: bytes) -> Iterator[int]:
        """Where it is found, in order; where it is found often in one line, only once in each."""
        at = spared = 0
        for found in self._block.finditer(block):
            hit = found.start()
            if hit >= at:
                yield hit
                at = block.find(b"\n", hit) + 1 or len(block)
            elif (spared := spared + 1) > _SPARED:
                break
        while spared > _SPARED and at < len(block) and (found := self._block.search(block, at)) is not None:
            yield found.start()
            at = block.find(b"\n", found.start()) + 1 or len(block)

    def visible(self, redacted: bytes) -> bool:
        """Whether a line that matches does so by what is left of it."""
        if MARK.search(redacted) is None:
            return self.matches(redacted)
        return all(self.matches(MARK.sub(instead, redacted)) for instead in self._instead)

    def verdict(self, redacted: bytes) -> MatchVerdict:
        """Of a redacted line, for all that differ from it in their digits only."""
        texts = (MARK.sub(instead, redacted).translate(digits) for instead in self._instead for digits in _DIGITS)
        return MatchVerdict.ALL if all(map(self.matches, texts)) else MatchVerdict.EACH


def text_of(line: bytes) -> bytes:
    """Without the time stamp that the kubelet puts before it."""
    return line[line.find(b" ") + 1 :]
