"""One text while its hits are read, so that reading stays linear: what was found ahead is kept, and looking ahead is paid for.

Used by `runbooks.redaction.redactor`, `redaction.parts` and `redaction.identifiers`. Every pattern has a greatest width (a test holds the table
against it), so a search looks a bounded way beyond its hit. A reader that looks farther than what it takes (a FHIR structure up to its
closing bracket) asks here, and pays for each byte. The purse fills as reading goes on; where it is empty, the rest of the line is withheld.
"""

import re
from collections.abc import Callable, Iterator

LONGEST_LINE = 256 << 10
"""Bytes. A longer line in which something is found is withheld whole: nobody reads it, and its reading would hold up everything else."""
_LOOKS = 16
"""How often a byte may be looked at by readers, over the whole text."""
_PURSE = 256 << 10
"""Enough for two structures as long as they are read at all, where a text begins with them."""
_FAR = 64 << 10
_TOKEN = re.compile(rb"[\[{\]}\"]")
SAID = rb"(?:[^\"\\\r\n]++|\\(?![\"\\])[^\r\n]|\\\\(?!\\?\")[^\r\n])*+"
"""What stands between two quotation marks, whose own backslashes (JSON in JSON) are none of it."""
_STRING = re.compile(rb"\"" + SAID + rb"\\{0,3}\"")
_SHALLOW = rb"(?:[^\[\]{}\"]++|" + _STRING.pattern + rb")*+"
for _ in range(4):
    _SHALLOW = rb"(?:[^\[\]{}\"]++|" + _STRING.pattern + rb"|[\[{]" + _SHALLOW + rb"[\]}])*+"
_SHALLOW_BRACKETS = re.compile(rb"[\[{]" + _SHALLOW + rb"(?=[\]}])")
"""Up to where they close, with others within them, five deep; nearly all that there are."""
ALPHANUMERIC, BASE64, URL_SAFE = (
    re.compile(rb"[%s]*+" % signs) for signs in (b"A-Za-z0-9", b"A-Za-z0-9+/", b"A-Za-z0-9_-")
)


class TooDense(Exception):
    """Readers would look at the same bytes too often. Has none of the text."""


def _anywhere() -> int:
    return 0


class ScannedText:
    """The bytes, and what is known of them ahead of where reading is."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.looked = 0
        """Bytes that readers looked at beyond what they took."""
        self.at = 0
        """Where reading is: what lies behind fills the purse."""
        self.cue: Callable[[], int] = _anywhere
        """Where the next cue is, at or behind where reading is."""
        self._purse = _PURSE
        self._filled = 0
        self._closings: dict[int, int] = {}
        self._runs: dict[re.Pattern[bytes], tuple[int, int]] = {}
        self._read: dict[bytes, int] = {}
        self._next: dict[bytes, tuple[int, int]] = {}

    def look(self, size: int) -> None:
        """So many bytes are looked at. Raises `TooDense`."""
        if self.at > self._filled:
            self._purse = min(_PURSE, self._purse + _LOOKS * (self.at - self._filled))
            self._filled = self.at
        self.looked += size
        self._purse -= size
        if self._purse < 0:
            raise TooDense

    def line_end(self, at: int) -> int:
        """Where the line ends that `at` is in."""
        newline = self.data.find(b"\n", at)
        return newline if newline >= 0 else len(self.data)

    def run_end(self, signs: re.Pattern[bytes], at: int) -> int:
        """Where the run of these signs ends; each byte is looked at once for each sort of run."""
        begins, ends = self._runs.get(signs, (0, 0))
        if not begins <= at < ends:
            run = signs.match(self.data, at)
            ends = run.end() if run else at
            self._runs[signs] = (at, ends)
        return ends

    def next(self, words: bytes, at: int) -> int:
        """Where these words stand next, or -1; each byte is looked at once for each words."""
        since, found = self._next.get(words, (0, -2))
        if found == -2 or not since <= at or 0 <= found < at:  # noqa: PLR2004 - not yet looked for
            found = self.data.find(words, at)
            self._next[words] = (at, found)
        return found

    def read_until(self, sort: bytes) -> int:
        """Up to where structures of this sort were read."""
        return self._read.get(sort, 0)

    def was_read(self, sort: bytes, end: int) -> None:
        """A structure of this sort was read up to there, with all that is nested in it."""
        self._read[sort] = end

    def closing(self, start: int) -> int:
        """Where the bracket that opens at `start` is closed, texts passed over; a long way on where it is not.

        One walk closes all brackets within it. Raises `TooDense`.
        """
        if start not in self._closings:
            size = min(len(self.data), start + _FAR)
            if (shallow := _SHALLOW_BRACKETS.match(self.data, start, size)) is not None:
                self.look(shallow.end() - start)
                return shallow.end()
            opened: list[int] = []
            last = size
            for at in self._brackets(start, size):
                if self.data[at] in b"[{":
                    opened.append(at)
                    continue
                self._closings[opened.pop()] = at
                if not opened:
                    last = at
                    break
            self._closings.update(dict.fromkeys(opened, size))
            self.look(last - start)
        return self._closings[start]

    def _brackets(self, at: int, size: int) -> Iterator[int]:
        while (token := _TOKEN.search(self.data, at, size)) is not None:
            at = token.start()
            if token.group() == b'"':
                text = _STRING.match(self.data, at)
                at = text.end() if text else at + 1
            else:
                yield at
                at += 1


def long_lines(data: bytes) -> Iterator[tuple[int, int]]:
    """Where lines begin and end that are longer than `LONGEST_LINE`; steps over the others in strides of that length."""
    at, size = 0, len(data)
    while size - at > LONGEST_LINE:
        newline = data.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if newline < 0:
            ends = data.find(b"\n", at + LONGEST_LINE)
            ends = ends if ends >= 0 else size
            yield at, ends
            newline = ends
        at = newline + 1
