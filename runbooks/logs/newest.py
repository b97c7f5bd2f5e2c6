"""The newest lines of all streams, in bounded memory, however much is read.

Streams are read side by side and none waits for another, so a pod that hangs delays nothing. Each stream keeps its own
order; the kept lines are merged by the kubelet's timestamps at the end. A node's clock may jump: lines stay in their stream's order, and
a timestamp that does not fit its neighbours does not affect the position of its line.
"""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from runbooks.logs.blocks import stamp_of
from runbooks.wording import counted

LONGEST = 8_000
"""Bytes of a line that are kept."""
_BYTES = 6_000_000
"""Of all lines that are kept."""
_SLACK_LINES = 10_000
_SLACK_BYTES = 2_000_000

Entry = tuple[str, int, bytes]
"""When, which stream, the line with its stamp."""


class Newest:
    """Keeps the newest `most` lines."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: defaultdict[int, list[bytes]] = defaultdict(list)
        self._count = 0
        self._bytes = 0
        self.offered = 0

    def offer(self, lines: list[bytes], source: int) -> None:
        """Stamped lines of one stream, in its order."""
        self.offered += len(lines)
        if not self._most:
            return
        fresh = lines[-self._most :]
        if fresh and max(map(len, fresh)) > LONGEST:
            fresh = [_shortened(line) for line in fresh]
        own = self._kept[source]
        own += fresh
        self._count += len(fresh)
        self._bytes += sum(map(len, fresh))
        if len(own) > 2 * self._most:  # a stream has its own order: what is older than so many of its lines is too old
            old = own[: -self._most]
            del own[: -self._most]
            self._count -= len(old)
            self._bytes -= sum(map(len, old))
        if self._count > self._most + _SLACK_LINES or self._bytes > _BYTES + _SLACK_BYTES:
            self._forget()

    def entries(self) -> list[Entry]:
        """The newest lines, oldest first."""
        self._forget()
        return list(heapq.merge(*(self._stamped(source) for source in self._kept), key=lambda entry: entry[:2]))

    def _stamped(self, source: int) -> Iterator[Entry]:
        """A line without a stamp, or with one that does not fit, belongs to the one before it."""
        lines = self._kept[source]
        return ((at, source, line) for at, line in zip(_places([stamp_of(line) for line in lines]), lines, strict=True))

    def _forget(self) -> None:
        """The oldest, beyond what may be kept."""
        ordered = sorted(
            (entry for source in self._kept for entry in self._stamped(source)), key=lambda entry: entry[:2]
        )
        kept: defaultdict[int, list[bytes]] = defaultdict(list)
        self._count = self._bytes = 0
        for _, source, line in reversed(ordered):
            if self._count >= self._most or self._bytes + len(line) > _BYTES:
                break
            kept[source].append(line)
            self._count += 1
            self._bytes += len(line)
        for lines in kept.values():
            lines.reverse()
        self._kept = kept


def _places(stamps: list[str]) -> list[str]:
    """Times that never go back, one for each line: those of most lines are their own."""
    fitting = _longest_run(stamps)
    at = stamps[fitting[0]] if fitting else ""
    places: list[str] = []
    following = iter(fitting)
    upcoming = next(following, None)
    for number, stamp in enumerate(stamps):
        if number == upcoming:
            at, upcoming = stamp, next(following, None)
        places.append(at)
    return places


def _longest_run(stamps: list[str]) -> list[int]:
    """The numbers of as many stamps as can be kept so that none is before the one that precedes it; empty ones are passed over."""
    if all(stamps) and all(map(str.__le__, stamps, stamps[1:])):
        return list(range(len(stamps)))
    ends: list[str] = []
    """The least stamp with which a run of each length can end."""
    numbers: list[int] = []
    before: list[int] = []
    for number, stamp in enumerate(stamps):
        length = bisect_right(ends, stamp) if stamp else 0
        before.append(numbers[length - 1] if length else -1)
        if stamp:
            ends[length : length + 1] = [stamp]
            numbers[length : length + 1] = [number]
    found: list[int] = []
    at = numbers[-1] if numbers else -1
    while at >= 0:
        found.append(at)
        at = before[at]
    return found[::-1]


def _shortened(line: bytes) -> bytes:
    if len(line) <= LONGEST:
        return line
    kept = line[:LONGEST].decode(errors="ignore").encode()
    return kept + f" … ({counted(len(line) - len(kept), 'byte')} more)".encode()
