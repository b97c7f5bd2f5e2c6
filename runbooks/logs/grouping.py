"""The summary of a log, for any number of lines in bounded memory: counted levels, and the most frequent kinds of message.

A line is recognised by its text with all digits made equal, which is computed for a whole block at once. Only new texts
are redacted, parsed and grouped, so a million lines from a few hundred statements cost little more than splitting them.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from runbooks.kit.targets import Frozen
from runbooks.logs.blocks import stamp_of
from runbooks.logs.matching import MatchVerdict, Pattern, text_of
from runbooks.logs.parsing import LogLevel, read, shape_of
from runbooks.redaction.redactor import Scope, default_redactor

_MASK = bytes.maketrans(b"0123456789", b"0000000000")
_KNOWN = 10_000
"""Maximum number of remembered texts; beyond that, the memory is cleared."""
_LONGEST_KEY = 512
_SHAPES = 1_000
"""Maximum number of groups; beyond that, the rarest half is counted together."""
_READ = 8_000
"""Bytes of a line that are used for grouping."""
_BEYOND = 1_000
_STAMP = 48
"""Bytes in which the kubelet's stamp is, with the space behind it."""


class Shape(Frozen):
    """Messages that differ only in what varies."""

    text: str
    level: LogLevel
    count: int
    first: str
    last: str
    """When, as the kubelet's timestamp; empty if lines have none."""
    sources: tuple[int, ...]


class Groups(Frozen):
    """All lines, grouped."""

    levels: dict[LogLevel, int]
    shapes: tuple[Shape, ...]
    """The most frequent first."""
    rarer: int
    """Lines of groups that are not listed."""


@dataclass(slots=True)
class _Counted:
    text: str
    level: LogLevel
    count: int = 0
    spans: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """Source → the beginnings of its earliest line and its latest: their stamps are read at the end, and not a thousand times before."""

    @property
    def first(self) -> str:
        return min(filter(None, (stamp_of(first) for first, _ in self.spans.values())), default="")

    @property
    def last(self) -> str:
        return max((stamp_of(last) for _, last in self.spans.values()), default="")


@dataclass(slots=True)
class _Key:
    shape: _Counted
    verdict: MatchVerdict


class Grouping:
    """Takes the lines that a pattern found, block by block; gives back those that may be said to match."""

    def __init__(self, pattern: Pattern | None, scope: Callable[[], Scope] | None = None) -> None:
        """`scope`: what is taken out of a line before it is read; by default all that must never leave."""
        self._pattern = pattern
        self._scope = scope or default_redactor().scope
        self._known: dict[bytes, _Key] = {}
        self._shapes: dict[tuple[LogLevel, str], _Counted] = {}
        self._levels: Counter[LogLevel] = Counter()
        self.lines = 0

    def take(self, lines: list[bytes], source: int) -> list[bytes]:
        """Stamped lines of one stream, in its order. Raises `RedactionFailed`."""
        if not lines:
            return lines
        keys = _keys(lines)
        scope = self._scope()  # a new one each time: what it remembers would grow with the log
        counts = Counter(keys)
        firsts = dict(zip(reversed(keys), reversed(lines), strict=True))
        looked_at = {key for key in counts if self._key(key, firsts[key], scope).verdict is MatchVerdict.EACH}
        if looked_at:
            lines, keys = self._looked_at(lines, keys, looked_at, scope)
            counts = Counter(keys)
            firsts = dict(zip(reversed(keys), reversed(lines), strict=True))
        lasts = dict(zip(keys, lines, strict=True))
        if not _in_time_order(lines):
            timed = sorted((at, key, line) for key, line in zip(keys, lines, strict=True) if (at := stamp_of(line)))
            firsts |= {key: line for _, key, line in reversed(timed)}
            lasts |= {key: line for _, key, line in timed}
        for key, count in counts.items():
            self._count(key, count, firsts[key], lasts[key], source)
        self.lines += len(lines)
        self._bound()
        return lines

    def groups(self, most: int) -> Groups:
        """What was found, the most frequent `most` shapes first."""
        counted = (each for each in self._shapes.values() if each.count)
        ordered = sorted(counted, key=lambda each: (-each.count, each.first))
        shown = tuple(
            Shape(
                text=each.text, level=each.level, count=each.count, first=each.first, last=each.last,
                sources=tuple(sorted(each.spans)),
            )
            for each in ordered[:most]
        )  # fmt: skip
        levels = {level: self._levels[level] for level in LogLevel if self._levels[level]}
        return Groups(levels=levels, shapes=shown, rarer=self.lines - sum(each.count for each in shown))

    def _key(self, key: bytes, line: bytes, scope: Scope) -> _Key:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._learned(key, text_of(line), scope)
        return known

    def _learned(self, key: bytes, text: bytes, scope: Scope) -> _Key:
        redacted = scope.redact_bytes(text[: _READ + _BEYOND]).data[:_READ]  # a value that the cut halves would pass
        said = read(redacted.decode(errors="replace"))
        shape = shape_of(said.message)
        counted = self._shapes.get((said.level, shape))
        if counted is None:
            counted = self._shapes[said.level, shape] = _Counted(shape, said.level)
        if self._pattern is None:
            return _Key(counted, MatchVerdict.ALL)
        if len(key) >= _LONGEST_KEY:
            return _Key(counted, MatchVerdict.EACH)  # lines that begin alike may end otherwise
        return _Key(counted, self._pattern.verdict(redacted))

    def _looked_at(
        self, lines: list[bytes], keys: list[bytes], which: set[bytes], scope: Scope
    ) -> tuple[list[bytes], list[bytes]]:
        """Without the lines that match only by what redaction takes out."""
        assert self._pattern is not None, "without a pattern all lines count"
        texts = [text_of(line) for line, key in zip(lines, keys, strict=True) if key in which]
        if scope.finds_nothing(b"\n".join(texts)):
            return lines, keys
        visible, redact = self._pattern.visible, scope.redact_bytes
        kept = [
            (line, key)
            for line, key in zip(lines, keys, strict=True)
            if key not in which or visible(redact(text_of(line)).data)
        ]
        return [line for line, _ in kept], [key for _, key in kept]

    def _count(self, key: bytes, count: int, first: bytes, last: bytes, source: int) -> None:
        shape = self._known[key].shape
        shape.count += count
        begun, ended = shape.spans.get(source, (b"", b""))
        first, last = first[:_STAMP], last[:_STAMP]
        # a line without a stamp, which a kubelet's own words are, is no beginning and no end
        if begun[:1].isdigit() and not (first[:1].isdigit() and first < begun):
            first = begun
        if ended[:1].isdigit() and not (last[:1].isdigit() and last > ended):
            last = ended
        shape.spans[source] = (first, last)
        self._levels[shape.level] += count

    def _bound(self) -> None:
        if len(self._shapes) > _SHAPES:
            ordered = sorted(self._shapes.items(), key=lambda each: -each[1].count)
            self._shapes = dict(ordered[: _SHAPES // 2])
            self._known.clear()  # it points to shapes that are no more
        elif len(self._known) > _KNOWN:
            self._known.clear()


def _in_time_order(lines: list[bytes]) -> bool:
    """No clock was set back, and no line is without a stamp."""
    return all(line[:1].isdigit() for line in lines[:1] + lines[-1:]) and all(map(bytes.__le__, lines, lines[1:]))


_LEVEL_NUMBER = re.compile(rb'"level": ?[1-6]0\b')


def _keys(lines: list[bytes]) -> list[bytes]:
    """The lines' texts without what their digits say; a level that is a number stays apart from the others."""
    joined = b"\n".join([line[line.find(b" ") + 1 :] for line in lines])
    if _LEVEL_NUMBER.search(joined) is not None:
        for number, letter in zip(b"123456", b"abcdef", strict=True):
            for space in (b"", b" "):
                joined = joined.replace(b'"level":%s%c0' % (space, number), b'"level":%s%c' % (space, letter))
    keys = joined.translate(_MASK).split(b"\n")
    return [key[:_LONGEST_KEY] for key in keys] if max(map(len, keys)) > _LONGEST_KEY else keys
