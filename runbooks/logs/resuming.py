"""The position at which a resumed stream continues: after its last line, which is found by its text and not by its time.

A node's clock may be set back, so "newer than" is not reliable. The kubelet is asked for the newest lines, and those up to the known one are
skipped. If the known line is not among them (the log was rotated, the container restarted), all of them are new.
"""

from runbooks.logs.blocks import is_stamped, stamp_of


class Resuming:
    """What of one stream has been given out."""

    def __init__(self, begun: str = "") -> None:
        """`begun`: before any line is known, older ones are passed over. Without it all lines are new."""
        self._begun = begun
        self._last = b""
        self._said = b""
        """The node's own sentence, which it repeats whenever it is asked."""
        self._passing = 0
        self._tail = 0
        self._held: list[bytes] | None = None
        """The stream has begun again, and the known line has not come yet."""
        self._seen = 0
        self.gap = False
        """Lines may have come and gone while the stream was broken; whoever tells it takes it back."""

    def connect(self, tail: int) -> None:
        """The stream begins again, with at most so many lines from before."""
        self._tail, self._seen = tail, 0
        self._held = [] if self._last else None
        self._passing = tail if self._begun and not self._last else 0

    def fresh(self, lines: list[bytes]) -> list[bytes]:
        """Those that have not been given out; what can't be told yet waits for more, for `pause` or for `end`."""
        if self._passing:
            lines = self._pass(lines)
        if self._held is None:
            return self._given(lines)
        self._held += lines
        for at in range(len(self._held) - 1, -1, -1):
            if self._held[at].startswith(self._last):  # it may have been cut when the stream broke
                passed, rest = self._held[:at], self._held[at + 1 :]
                self._held = None
                return self._given([line for line in passed if not is_stamped(line)] + rest)
        return self.end() if len(self._held) > self._tail else []

    def pause(self) -> list[bytes]:
        """Nothing more came for a moment: what waits is new, once it was so twice."""
        if not self._held:
            return []
        if len(self._held) == self._seen:
            return self.end()
        self._seen = len(self._held)
        return []

    def end(self) -> list[bytes]:
        """The stream is over: what waits is new."""
        held, self._held = self._held, None
        self.gap |= bool(held) and len(held or ()) >= self._tail
        return self._given(held or [])

    def _pass(self, lines: list[bytes]) -> list[bytes]:
        at = 0
        while at < min(len(lines), self._passing) and is_stamped(lines[at]) and stamp_of(lines[at]) < self._begun:
            self._last = lines[at]
            at += 1
        self._passing = self._passing - at if at == len(lines) else 0
        return lines[at:]

    def _given(self, lines: list[bytes]) -> list[bytes]:
        given: list[bytes] = []
        for line in lines:
            if is_stamped(line):
                self._last, self._said = line, b""
            elif line == self._said:
                continue
            else:
                self._said = line
            given.append(line)
        return given
