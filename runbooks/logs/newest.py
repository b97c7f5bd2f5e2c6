"""The newest lines over all streams: so many and no more are in memory, however much is read.

Streams are read side by side and none waits for another, so a pod that hangs keeps back nothing. Each gives its lines in its own
order; what is kept of them is merged by the kubelet's stamps at the end.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator

from runbooks.logs.blocks import stamp_of

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
        """A line without a stamp of its own belongs to the one before it."""
        at = ""
        for line in self._kept[source]:
            at = max(at, stamp_of(line))
            yield at, source, line

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


def _shortened(line: bytes) -> bytes:
    if len(line) <= LONGEST:
        return line
    kept = line[:LONGEST].decode(errors="ignore").encode()
    return kept + f" … ({len(line) - len(kept):,} bytes more)".encode()
