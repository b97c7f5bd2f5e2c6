r"""A text in disguise, read as a person or a program would read it: colours taken off, signs without width left out, escapes undone.

Used by `runbooks.redaction.redactor`. `MRN \x1b[1m1234567\x1b[0m` is a coloured number and no other number; `password\u003dhunter2` is what
a JSON writer makes of an equals sign. The patterns look for the plain text, so they are given it: a `Reading` is that text, and knows
for each of its bytes where it stands in the text as it came, which is what leaves, with the hits replaced and its colours kept.

What a sign means is looked up once. A text without any of this is read as it is, and costs nothing more than the one search for both.
"""

import html
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from functools import cache, lru_cache
from typing import NamedTuple

from runbooks.redaction.compiled import Compiled
from runbooks.redaction.marks import FORGED, MARKS

_ESCAPE = rb"(?:\x1b|\xe2\x90\x9b|\\+(?:u001[bB]|u\{1[bB]\}|x1[bB]|033|e)|%(?:25)*1[bB]|&#(?:27|[xX]1[bB]);)"
_ENDS_COMMAND = rb"(?:\x07|" + _ESCAPE + rb"(?:\\+|%5[cC]))"
_SEQUENCE = (
    _ESCAPE
    + rb"(?:\[[0-9;:?<=>]{0,64}[ -/]{0,4}[@-Z\\^-~]|[()*+][A-Za-z0-9]|[=>78cDEHM])|\xc2\x9b[0-9;:?<=>]{0,64}[ -/]{0,4}[@-~]"
)
_COMMAND = _ESCAPE + rb"\][0-9]{0,4};(?P<said>[^\x07\x1b\r\n]{0,1000})" + _ENDS_COMMAND
r"""ECMA-48: a control sequence, a character set; and xterm's operating system commands (titles, links), which say something themselves.
Also as JSON writes the escape (`\u001b`), as terminals show it, and with the one sign that stands for both that and its bracket."""
_CONTROL = rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[^\n]\x08"
"""Overstriking (`M`, backspace, `M`) is how manual pages print bold."""

_WIDTHLESS = (
    rb"\xc2\xad|\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\x9e[\xb4\xb5]|\xe1\xa0[\x8b-\x8f]"
    rb"|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xe3\x85\xa4|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef\xbe\xa0|\xf3\xa0[\x80-\x87][\x80-\xbf]"
)
"""Unicode's Default_Ignorable_Code_Point, and the marks that are drawn over the sign before them (U+0300 to U+036F)."""
_OTHER_SIGNS = (
    rb"\xc2\xa0|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\x90-\x9f\xa8\xa9\xaf]|\xe2\x81\x9f|\xe2\x88\x92|\xe3\x80\x80"  # blanks, dashes, quotation marks
    rb"|\xef\xb9[\x90-\xab]|\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]|\xf0\x9d[\x90-\x9f][\x80-\xbf]"  # full width, small, mathematical
    rb"|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xdf[\x80-\x89]|\xe0[\xa5\xa7\xa9\xab\xad\xaf\xb1\xb3\xb5\xb7][\xa6-\xaf]"  # digits of other scripts
    rb"|\xe0[\xb9\xbb][\x90-\x99]|\xe0\xbc[\xa0-\xa9]|\xe1\x81[\x80-\x89]|\xe1\x9f[\xa0-\xa9]"
)
_ESCAPED = (
    rb"\\+(?:[uU][dD][89abAB][0-9a-fA-F]{2}\\+[uU][dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|U000[0-9a-fA-F]{5})"
    rb"|(?:\\+x[89a-fA-F][0-9a-fA-F]){2,4}|\\+x[0-7][0-9a-fA-F]"
    rb"|(?:\\+[23][0-7]{2}){2,4}|\\+[01][0-7]{2}"
    rb"|(?:%(?:25)*[89a-fA-F][0-9a-fA-F]){2,4}|%(?:25)*[2-7][0-9a-fA-F]|%(?:25)+0[9aAdD]"
    rb"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,24});"
)
r"""One sign each: `\u0040`, `\x40`, `\100` (as C and git write bytes), `%40`, twice escaped `%2540`, `&#64;`."""

_WITHOUT_WIDTH = _SEQUENCE + rb"|" + _COMMAND + rb"|" + _CONTROL + rb"|" + _WIDTHLESS
DISGUISE = _WITHOUT_WIDTH + rb"|" + _OTHER_SIGNS + rb"|" + _ESCAPED + rb"|" + FORGED
"""One sign, or sequence, that is not what it looks like. A forged mark, too: `MRN: [mrn 1]1234567` is read as `MRN: 1234567`."""

_READ = re.compile(
    rb"(?P<without_width>" + _WITHOUT_WIDTH + rb"|" + MARKS + rb")|(?P<escaped>" + _ESCAPED + rb")|" + _OTHER_SIGNS
)

_OPENS = re.compile(_ESCAPE + rb"|\xc2\x9b")

_COLOUR = re.compile(_ESCAPE + rb"\[(?:[0-9;]*m|[0-2]?K)")
"""What programs print all day takes no letter of theirs with it."""


@cache
def _any() -> Compiled:
    return Compiled(DISGUISE)


class Way(Enum):
    """How a text is read; each way sees what another does not."""

    JOINED = "what has no width joins what stands around it: `12␛[1m34567`"
    APART = "it parts words: `MRN␛[0m1234567`; and what a terminal's title or link says is read too"
    LITERAL = "as `APART`, and a backslash is a backslash, and no sequence takes letters with it: `MRN \\1234567`"


class DisguiseSign(NamedTuple):
    """One sign of a disguise, and what it stands for."""

    start: int
    end: int
    meant: bytes
    """Empty where it has no width."""
    literal: bytes
    """The same where no escape is undone and no sequence obeyed."""
    said: bytes
    """What a terminal's title or link says."""


def signs(text: bytes) -> tuple[DisguiseSign, ...]:
    """All that the text wears, in order; none for nearly every text."""
    return tuple(_sign(text, *span) for span in _any().spans(text))


def _sign(text: bytes, start: int, end: int) -> DisguiseSign:
    match = _READ.match(text, start)
    if match is None:  # the two engines disagree: it has no width
        return DisguiseSign(start, end, b"", b"", b"")
    sign, end = match.group(), match.end()
    if match["escaped"]:
        return DisguiseSign(start, end, _undone(sign), sign, b"")
    if not match["without_width"]:
        return DisguiseSign(start, end, meant := _folded(sign), meant, b"")
    opens = None if _COLOUR.fullmatch(sign) else _OPENS.match(sign)
    return DisguiseSign(start, end, b"", b" " + sign[opens.end() :] if opens else b"", match["said"] or b"")


class Reading:
    """A text as it is read in one way, and where each of its bytes stands in the text as it came."""

    def __init__(self, came: bytes, worn: tuple[DisguiseSign, ...], way: Way) -> None:
        self._came = came
        self._worn = worn
        self._way = way
        pieces: list[bytes] = []
        at = 0
        for sign in worn:
            pieces += (came[at : sign.start], self._plain(sign))
            at = sign.end
        pieces.append(came[at:])
        self.data = b"".join(pieces)
        self._places: tuple[list[int], list[tuple[int, int]]] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `data[start:end]`, which is not empty, stands in the text as it came."""
        if self._places is None:
            self._places = self._placed()
        read, stood = self._places
        piece = bisect_right(read, start) - 1
        first, last = stood[piece]
        same = last - first == 1  # no sign
        if same:
            first += start - read[piece]
            last = first + 1
        if piece + 1 < len(read) and end > read[piece + 1]:
            last = self.span(end - 1, end)[1]
        elif same:
            last = first + end - start
        return first, last

    def _plain(self, sign: DisguiseSign) -> bytes:
        if meant := sign.literal if self._way is Way.LITERAL else sign.meant:
            return meant
        if self._way is Way.JOINED:
            return b""
        return b" " + sign.said + b" " if sign.said else b" "

    def _placed(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Pieces in order: where each begins as it is read; and its first byte in the text as it came, or all of a sign."""
        read: list[int] = []
        stood: list[tuple[int, int]] = []
        at = was = 0
        for sign in self._worn:
            if sign.start > was:
                read.append(at)
                stood.append((was, was + 1))
                at += sign.start - was
            if meant := self._plain(sign):
                read.append(at)
                stood.append((sign.start, sign.end))
                at += len(meant)
            was = sign.end
        if was < len(self._came):
            read.append(at)
            stood.append((was, was + 1))
        return read, stood


def readings(came: bytes) -> Iterator[Reading]:
    """The text in each way in which it says something else; nothing where it wears no disguise."""
    worn = signs(came)
    if not worn:
        return
    yield Reading(came, worn, Way.JOINED)
    if any(not sign.meant for sign in worn):
        yield Reading(came, worn, Way.APART)
    if any(sign.meant != sign.literal for sign in worn):
        yield Reading(came, worn, Way.LITERAL)


def wears(text: bytes) -> bool:
    """One search: there is something that is not what it looks like."""
    return _any().search(text) is not None


def plain(text: bytes) -> bytes:
    """The text with all disguise taken off."""
    return Reading(text, signs(text), Way.JOINED).data


_HEX = re.compile(rb"\\+[uU]\{?([0-9a-fA-F]{1,8})\}?")
_BYTES = re.compile(rb"(?:\\+x|%(?:25)*)([0-9a-fA-F]{2})")
_OCTAL = re.compile(rb"\\+([0-3][0-7]{2})")
_SURROGATES = re.compile(rb"\\+[uU]([dD][89abAB]..)\\+[uU]([dD][c-fC-F]..)")


@lru_cache(maxsize=4096)
def _undone(sign: bytes) -> bytes:
    """The sign that is escaped, in UTF-8, as a person takes it; nothing where it has no width."""
    if pair := _SURROGATES.fullmatch(sign):
        return _folded(bytes.fromhex((pair[1] + pair[2]).decode()).decode("utf-16-be").encode())
    if single := _HEX.fullmatch(sign):
        code = int(single[1], 16)
        return _folded(chr(code).encode(errors="surrogatepass")) if code <= sys.maxunicode else sign
    if sign.startswith(b"&"):
        return _folded(html.unescape(sign.decode()).encode(errors="replace"))
    octal = _OCTAL.findall(sign)
    return _folded(
        bytes(int(each, 8) for each in octal) if octal else bytes.fromhex(b"".join(_BYTES.findall(sign)).decode())
    )


@lru_cache(maxsize=4096)
def _folded(sign: bytes) -> bytes:
    """The plain sign that a person takes it for; itself where it is none of another's, nothing where it has no width."""
    try:
        text = sign.decode()
    except UnicodeDecodeError:
        return sign
    if len(text) != 1 or text in "\t\n\r" or " " <= text <= "~":
        return sign
    if _NO_WIDTH.fullmatch(sign):
        return b""
    match unicodedata.category(text):
        case "Zs":
            return b" "
        case "Zl" | "Zp":
            return b"\n"
        case "Cc" | "Cf":
            return b""
        case "Nd":
            return b"%d" % unicodedata.decimal(text)
        case "Pd":
            return b"-"
    if (quotation := _DRAWN_ALIKE.get(text)) is not None:
        return quotation
    same = unicodedata.normalize("NFKC", text)
    return same.encode() if same.isascii() else sign


_NO_WIDTH = re.compile(_WIDTHLESS)
_DRAWN_ALIKE = {"−": b"-"} | dict.fromkeys("‘’‚‛", b"'") | dict.fromkeys("“”„‟", b'"')  # noqa: RUF001
