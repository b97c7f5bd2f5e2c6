"""Conversion of chunks, cut anywhere, into blocks of whole lines, and the timestamps at the beginning of lines.

A chunk is cut at its last line end; the rest waits for the next chunk. Windows line ends become plain ones, bytes
that are not UTF-8 become replacement characters, so that pattern, redaction and reader see the same text. A line without an end does
not fill the memory: bytes beyond `LONGEST` are dropped and counted.
"""

import re
from datetime import UTC, datetime

LONGEST = 256 * 1024
"""Maximum bytes of a line that are read."""

_STAMPED = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_FIXED = 31
"""Length of the kubelet's usual timestamp with the space after it: nine decimal places, UTC."""


class Blocks:
    """A stream's chunks, reassembled into lines."""

    def __init__(self) -> None:
        self._held = b""
        self._over = False
        self.dropped = 0
        """Dropped bytes of overlong lines."""

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that are now complete, with their ends; often none."""
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
        """Return what is left when the stream has ended: a last line without its end, or nothing."""
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
    """Return whether the line begins with a time; the kubelet's own messages do not."""
    return _STAMPED.match(line) is not None


def stamp_of(line: bytes) -> str:
    """Return when the kubelet received the line, as sortable text; empty without a timestamp."""
    end = line.find(b" ", 20, _FIXED)
    if line[end - 1 : end] == b"Z" and line[19:20] == b".":
        return line[: end - 1].decode("ascii", "replace").ljust(_FIXED - 2, "0") + "Z"
    found = _STAMPED.match(line)
    return sortable(found[0][:-1].decode()) if found else ""


def sortable(stamp: str) -> str:
    """Normalise the timestamp: a kubelet may omit trailing zeros and use the node's time zone, which don't sort as text."""
    seconds, zone = (stamp[:-1], "Z") if stamp.endswith("Z") else (stamp[:-6], stamp[-6:])
    whole, _, fraction = seconds.partition(".")
    if zone != "Z":
        whole = datetime.fromisoformat(whole + zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction[:9].ljust(9, '0')}Z"


def stamped(moment: datetime) -> str:
    """Return a point in time as such a text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


_BEYOND = 10_000
"""Number of consecutive lines after the window before the rest of a stream is assumed to be later too."""


class Window:
    """The lines of a stream between two points in time. Each is judged by its own timestamp, because a node's clock may jump."""

    def __init__(self, since: str = "", until: str = "") -> None:
        self._since = since
        self._until = until
        self._at = ""
        self._in_a_row = 0
        self.later = 0
        """Number of lines omitted because their time is later."""
        self.between = 0
        """Of these, lines before a line in the window."""

    @property
    def over(self) -> bool:
        """Return whether so many lines were later that the rest need not be read."""
        return self._in_a_row >= _BEYOND

    def within(self, block: bytes) -> bytes:
        """Return the part of the block in the window. A line without a timestamp, such as the kubelet's own, goes with the line before it."""
        if not self._since and not self._until:
            return block
        if not self._until and min(stamp_of(block), stamp_of(block[block.rfind(b"\n", 0, -1) + 1 :])) >= self._since:
            return block  # the kubelet has filtered the lines; only the first second of `since` remains to be checked
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
