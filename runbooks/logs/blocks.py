"""From chunks, cut anywhere, to blocks of whole lines; and the stamps that lines begin with.

A chunk of a stream is cut at its last line end; what is behind it waits for the next. Windows line ends become plain ones, bytes
that are no UTF-8 become the sign for that, so that pattern, redaction and reader see the same text. A line without an end does
not fill the memory: what is beyond `LONGEST` is dropped, and counted.
"""

import re
from datetime import UTC, datetime

LONGEST = 256 * 1024
"""Bytes of one line that are looked at."""

_STAMPED = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_FIXED = 31
"""Bytes of the kubelet's usual stamp with the space behind it: nine digits of a second, UTC."""


class Blocks:
    """One stream's chunks, put together again."""

    def __init__(self) -> None:
        self._held = b""
        self._over = False
        self.dropped = 0
        """Bytes of lines that are longer than anything that is looked at."""

    def feed(self, chunk: bytes) -> bytes:
        """The whole lines that are complete now, each with its end; often none."""
        if self._over:
            end = chunk.find(b"\n")
            if end < 0:
                self.dropped += len(chunk)
                return b""
            self.dropped += end
            self._over = False
            chunk = chunk[end:]
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._hold(chunk)
            return b""
        block = self._held + chunk[:cut]
        self._held = b""
        self._hold(chunk[cut:])
        return _clean(block)

    def rest(self) -> bytes:
        """What is left when the stream has ended: a last line without its end, or nothing."""
        held, self._held = self._held, b""
        return _clean(held + b"\n") if held else b""

    def _hold(self, part: bytes) -> None:
        room = LONGEST - len(self._held)
        self._held += part[:room]
        if len(part) > room:
            self._over = True
            self.dropped += len(part) - room


def _clean(block: bytes) -> bytes:
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if block.isascii():
        return block
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def is_stamped(line: bytes) -> bool:
    """Whether the line begins with a time; the kubelet's own words do not."""
    return _STAMPED.match(line) is not None


def stamp_of(line: bytes) -> str:
    """When the kubelet got the line, as text that sorts; empty where it has no stamp."""
    end = line.find(b" ", 20, _FIXED)
    if line[end - 1 : end] == b"Z" and line[19:20] == b".":
        return line[: end - 1].decode("ascii", "replace").ljust(_FIXED - 2, "0") + "Z"
    found = _STAMPED.match(line)
    return sortable(found[0][:-1].decode()) if found else ""


def sortable(stamp: str) -> str:
    """A kubelet may leave out trailing zeros, and write its node's own zone: neither sorts as text."""
    seconds, zone = (stamp[:-1], "Z") if stamp.endswith("Z") else (stamp[:-6], stamp[-6:])
    whole, _, fraction = seconds.partition(".")
    if zone != "Z":
        whole = datetime.fromisoformat(whole + zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction[:9].ljust(9, '0')}Z"


def stamped(moment: datetime) -> str:
    """A point in time as such a text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


_BEYOND = 10_000
"""Lines in a row that are later than the window, before the rest of a stream is taken to be later too."""


class Window:
    """The lines of one stream between two points in time. Each is judged by its own stamp: a node's clock may jump and come back."""

    def __init__(self, since: str = "", until: str = "") -> None:
        self._since = since
        self._until = until
        self._at = ""
        self._in_a_row = 0
        self.later = 0
        """Lines that were left out because their time is later."""
        self.between = 0
        """Of these, the ones that stand before a line of the window."""

    @property
    def over(self) -> bool:
        """So many lines were later that what follows need not be read."""
        return self._in_a_row >= _BEYOND

    def within(self, block: bytes) -> bytes:
        """The block's part that is inside. A line without a stamp, which a kubelet's own words are, goes with the one before it."""
        if not self._since and not self._until:
            return block
        if not self._until and min(stamp_of(block), stamp_of(block[block.rfind(b"\n", 0, -1) + 1 :])) >= self._since:
            return block  # the kubelet has looked at each line; only the first second of `since` is left to judge
        kept: list[bytes] = []
        for line in block.split(b"\n")[:-1]:
            at = self._at = stamp_of(line) or self._at
            if self._until and at > self._until:
                self.later += 1
                self._in_a_row += 1
            elif at >= self._since or not at:
                self.between = self.later
                self._in_a_row = 0
                kept.append(line)
        return b"".join([line + b"\n" for line in kept])
