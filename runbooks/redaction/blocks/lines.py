"""The lines of a stream, or of a text, with what is private in their blocks replaced; what no reader can tell apart is withheld.

A line that begins no block costs nothing but its share of one search. What a line is part of is remembered, never the line, so a block
may be as long as it likes. Only at the very beginning, which may lie within a block, a few lines wait for what says what they were.
"""

import re
from collections.abc import Callable
from functools import cache

from runbooks.redaction.begins import BEGINS, STAMP
from runbooks.redaction.blocks import tables
from runbooks.redaction.blocks.documents import KEY_ENDS, X12, Dicom, Hl7, PrivateKey, without_keys
from runbooks.redaction.blocks.json_lines import JsonLines, is_orphan
from runbooks.redaction.blocks.reading import FOREIGN, RECORD, Read, Reader, Then
from runbooks.redaction.blocks.xml import Xml, ends_what_was_not_seen
from runbooks.redaction.blocks.yaml_lines import YamlLines
from runbooks.redaction.compiled import Compiled
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.wording import counted

Mark = Callable[[PrivateKind, bytes], bytes]
"""What stands in the place of a value."""
Lost = Callable[[], None]
"""Hears of each line that is withheld."""

_HELD = 64
"""Lines at the beginning of a stream that wait for what says whether they are the end of a block."""
_HELD_BYTES = 64 << 10
_PAUSES = 8
"""Pauses after which they no longer wait; a program writes a block at once, and what it takes on its way is less."""
_STAMP = re.compile(STAMP)
_CLOSES_JSON = re.compile(rb"\s*+[\]}]++,?\s*+$")
_CLOSES_TABLE = re.compile(rb"[ ]*+\(\d{1,12} rows?\)[ ]*+$")
_YAML_VALUE = re.compile(rb"\s*+value:\s")
_ROW = re.compile(
    b"|".join(
        rb"CELL(?:S(?! )CELL){3,}+$".replace(b"CELL", rb"(?:\"(?:[^\"]|\"\")*+(?:\"|$)|[^S\"]*+)").replace(
            b"S", separator
        )
        for separator in (rb",", rb";", rb"\t")
    )
)
_TELLS = re.compile(
    rb"(?:^|[,;\t])\"?(?:(?:[A-Z]|[\xc3-\xdf][\x80-\xbf])[\w'\x80-\xff-]*[a-z\x80-\xff]|\d{1,4}[-/]\d\d?[-/]\d{1,4})\"?(?:[,;\t]|$)"
)
_YAML_ITEM = re.compile(rb"[ ]++(?:- .*+|[\w.-]{1,80}+:(?: .*+)?)$")
_INDENTED = re.compile(rb"[ ]")
_KEY_LINE = re.compile(rb"(?P<indent>[ ]++)[\w.-]{1,80}+:(?: |$)|[\w.-]{1,80}+:$")

_OF_JSON = "{lines} withheld: part of a JSON text whose beginning was not read"
_OF_XML = "{lines} withheld: part of an XML text whose beginning was not read"
_OF_YAML = "{lines} withheld: part of a YAML text whose beginning was not read"
_OF_KEY = "{lines} withheld: part of a private key"


@cache
def begins() -> Compiled:
    """The one search: where it finds nothing there is no block."""
    return Compiled(BEGINS)


class Lines:
    """One stream. Not for several threads at once."""

    def __init__(
        self, mark: Mark | None, lost: Lost | None = None, *, cut: bool = True, keys: bool = True, orphans: bool = True
    ) -> None:
        """`cut`: the first line may lie within a block. `keys`: private keys are read here too. `orphans`: a line that only a block
        has is withheld where the block's beginning was not seen. Without a `mark` nothing is read.
        """
        self._mark = mark
        self._lost = lost
        self._reader: Reader | None = None
        self._keys = keys
        self._orphans = orphans
        self._key: PrivateKey | None = None
        """Stands in whatever else is open."""
        self._held: list[bytes] | None = [] if cut and mark is not None else None
        self._held_bytes = 0
        self._pauses = 0
        self._previous = b""
        """The line before: the names of a table's columns stand above the rule that says that they are."""
        self._withheld = ""
        self._units = 0
        self._stamp = b""
        self._steps = 0

    @property
    def steps(self) -> int:
        """Lines and tokens that were looked at."""
        return self._steps + (self._reader.steps if self._reader is not None else 0)

    @property
    def _idle(self) -> bool:
        return self._reader is None and self._key is None and self._held is None

    def feed(self, block: bytes) -> bytes:
        """Whole lines, each with its end: the same object where they have nothing of a block."""
        if self._mark is None:
            return block
        if self._idle and not self._withheld and begins().search(block) is None:
            self._previous = block[block.rfind(b"\n", 0, -1) + 1 : -1]
            return block
        out: list[bytes] = []
        at, size = 0, len(block)
        while at < size:
            if self._idle:
                hit = begins().search(block, at)
                start = size if hit is None else max(at, block.rfind(b"\n", at, hit[0]) + 1)
                if start > at:
                    self._told(out)
                    out.append(block[at:start])
                    self._previous = block[block.rfind(b"\n", at, start - 1) + 1 or at : start - 1]
                    at = start
                    continue
            end = block.find(b"\n", at)
            end = size if end < 0 else end
            self._line(block[at:end], out)
            at = end + 1
        return b"".join(out)

    def end(self) -> bytes:
        """What the stream's end decides: lines that still wait, and the sentence about what was withheld."""
        out: list[bytes] = []
        self._release(out)
        self._told(out)
        self._leave()
        return b"".join(out)

    def pause(self) -> bytes:
        """Nothing more came for a moment: what was withheld is told, unless it goes on. Lines that wait at the beginning wait for some more
        moments, since the rest of their block may come late.
        """
        out: list[bytes] = []
        if self._held:
            self._pauses += 1
            if self._pauses >= _PAUSES:
                self._release(out)
        if self._reader is None and self._key is None:
            self._told(out)
        return b"".join(out)

    def _line(self, line: bytes, out: list[bytes]) -> None:
        self._steps += 1
        if self._held is not None and self._waits(line, out):
            return
        self._read(line, out)

    def _read(self, line: bytes, out: list[bytes]) -> None:
        came, line = line, line.removesuffix(b"\r")
        stamp = _STAMP.match(line)
        at = stamp.end() if stamp is not None else 0
        read = self._of_a_key(line, at)
        if read is None and self._reader is not None:
            read = self._reader.read(line, at)
            if read.then is not Then.MORE:
                self._leave()
            if read.then is Then.FOREIGN:
                read = self._begun(line, at)
        elif read is None:
            read = self._begun(line, at)
        self._previous = line
        if read is not None and read.withheld:
            self._withhold(read.withheld, read.units, line[:at], out)
            return
        self._told(out)
        if read is None or not read.parts:
            out.append(came + b"\n")
            return
        out.append(self._without(line, read) + came[len(line) :] + b"\n")

    def _of_a_key(self, line: bytes, at: int) -> Read | None:
        if self._key is None and self._keys and PrivateKey.opens(line, at):
            self._key = PrivateKey()
        if self._key is None:
            return None
        read = self._key.read(line, at)
        if read.then is not Then.MORE:
            self._key = None
        return None if read.then is Then.FOREIGN else read

    def _begun(self, line: bytes, at: int) -> Read | None:
        """What the line says as the first of a block."""
        if self._orphans and ends_what_was_not_seen(line, at) and not JsonLines.is_standard(line, at):
            return Read(Then.OVER, withheld=_OF_XML)
        reader = self._first_reader(line, at)
        if reader is None:
            if self._orphans and is_orphan(line, at):
                return Read(Then.OVER, withheld=_OF_JSON)
            return tables.field_alone(line, at)
        read = reader.read(line, at)
        if read.then is Then.MORE:
            self._reader = reader
        else:
            self._steps += reader.steps
        return None if read.then is Then.FOREIGN else read

    def _first_reader(self, line: bytes, at: int) -> Reader | None:
        if JsonLines.is_standard(line, at):
            return JsonLines(within=self._orphans)
        if Hl7.opens(line, at):
            return Hl7()
        if X12.opens(line, at):
            return X12()
        if Dicom.opens(line, at):
            return Dicom()
        if tables.EXPANDED.match(line, at):
            return tables.Expanded()
        if (table := self._table(line, at)) is not None:
            return table
        if Xml.opens(line, at):
            return Xml(clinical=self._orphans and line[at : at + 1] in (b" ", b"\t"))
        if JsonLines.opens(line, at):
            return JsonLines(within=self._orphans)
        return YamlLines() if YamlLines.opens(line, at) else None

    def _table(self, line: bytes, at: int) -> Reader | None:
        if tables.RULE.match(line, at):
            if line.startswith(b"+", at):
                return tables.Boxed()
            table = tables.Aligned(self._previous[_stamp_end(self._previous) :])
            if not table.names(line[at:]):
                return tables.Unnamed() if self._orphans and b"-+-" in line[at:] else None
            return table if table.tells else None
        header = tables.header_of(line[at:]) if len(line) - at <= _LONGEST_HEADER else None
        return tables.Csv(*header) if header is not None and not self._is_above_a_rule(line, at) else None

    @staticmethod
    def _is_above_a_rule(line: bytes, at: int) -> bool:
        """Names with blanks around the bar are psql's: CSV has none."""
        return b" | " in line[at:]

    def _leave(self) -> None:
        if self._reader is not None:
            self._steps += self._reader.steps
            self._reader = None

    def _without(self, line: bytes, read: Read) -> bytes:
        out: list[bytes] = []
        at = 0
        parts = read.parts if len(read.parts) == 1 else sorted(read.parts, key=lambda part: part.start)
        for kind, start, end, quote in parts:
            if start < at or MARK.fullmatch(line, start, end) is not None:
                continue
            assert self._mark is not None, "nothing is read without"
            mark = self._mark(kind, line[start:end])
            out += (line[at:start], quote + mark + quote)
            at = end
        out.append(line[at:])
        return b"".join(out)

    # ---- what is withheld ----

    def _withhold(self, what: str, units: int, stamp: bytes, out: list[bytes]) -> None:
        if what != self._withheld:
            self._told(out)
            self._withheld, self._units = what, 0
        self._units += units
        self._stamp = stamp
        if self._lost is not None:
            self._lost()

    def _told(self, out: list[bytes]) -> None:
        if not self._withheld:
            return
        said = self._withheld.format(segments=counted(self._units, "segment"), lines=counted(self._units, "line"))
        out.append(self._stamp + f"[{said}]\n".encode())
        self._withheld, self._units = "", 0

    # ---- the beginning, which may lie within a block ----

    def _waits(self, line: bytes, out: list[bytes]) -> bool:
        """True: the line is dealt with."""
        held = self._held
        assert held is not None, "asked before"
        text = line.removesuffix(b"\r")
        stamp = _STAMP.match(text)
        at = stamp.end() if stamp is not None else 0
        what = _end_of_what(text, at, held)
        if what:
            self._held = None
            for each in (*held, line):
                self._withhold(what, 1, each[: _stamp_end(each)], out)
            self._reader = self._after(what, text, at)
            return True
        if self._begins(text, at) or len(held) >= _HELD:
            self._release(out)
            return False
        held.append(line)
        self._previous = text
        self._held_bytes += len(line)
        if self._held_bytes > _HELD_BYTES:
            self._release(out)
        return True

    @staticmethod
    def _after(what: str, text: bytes, at: int) -> Reader | None:
        """What the end of the one that was not seen leaves open."""
        if what is _OF_XML:
            return Xml(clinical=True, goes_on=True)
        if what is tables.OF_TABLE and not _CLOSES_TABLE.match(text, at):
            return tables.Expanded() if tables.EXPANDED.match(text, at) else tables.Unnamed()
        return _Rest(_OF_YAML, _INDENTED) if what is _OF_YAML else None

    def _begins(self, text: bytes, at: int) -> bool:
        """A record, a table or a block begins here: what was before it is over."""
        return (
            RECORD.match(text, at) is not None
            or tables.RULE.match(text, at) is not None
            or PrivateKey.opens(text, at)
            or self._first_reader(text, at) is not None
        )

    def _release(self, out: list[bytes]) -> None:
        held, self._held = self._held or [], None
        texts = [each[_stamp_end(each) :] for each in held]
        first_row = next((at for at, text in enumerate(texts) if _ROW.match(text) and _TELLS.search(text)), None)
        if first_row is not None:
            self._reader = _Rest(tables.OF_TABLE, _ROW, first_row)
        elif held and all(tables.is_field(text, 0) for text in texts):
            self._reader = tables.Expanded() if any(tables.tells(text, 0) for text in texts) else None
        elif held and all(_YAML_ITEM.match(text) for text in texts):
            self._reader = _Rest(_OF_YAML, _INDENTED)
        for each, text in zip(held, texts, strict=True):
            if self._reader is None and text.startswith((b" ", b"|")) and tables.is_row(text, 0):
                self._reader = (
                    tables.Unnamed()
                )  # as psql and MySQL print one, and the names of its columns may stand above it
            self._read(each, out)


_LONGEST_HEADER = 8 << 10


class _Rest:
    """Lines of a block whose beginning was not seen, as long as they look alike; a text in quotation marks may go over several."""

    def __init__(self, what: str, alike: re.Pattern[bytes], before: int = 0) -> None:
        """`before`: so many lines come first that are the end of a text in quotation marks."""
        self.steps = 0
        self._before = before
        self._what = what
        self._alike = alike
        self._quoted = False

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if self._before:
            self._before -= 1
            return Read(Then.MORE, withheld=self._what)
        if RECORD.match(line, at) or not (self._quoted or self._alike.match(line[at:])):
            return FOREIGN
        self._quoted ^= line.count(b'"') % 2 == 1
        return Read(Then.MORE, withheld=self._what)


def _end_of_what(text: bytes, at: int, held: list[bytes]) -> str:
    """What ends with this line that began before it, and before the lines that are held."""
    if KEY_ENDS.search(text, at) and b"-----BEGIN" not in text:
        return _OF_KEY
    if ends_what_was_not_seen(text, at):
        return _OF_XML
    if is_orphan(text, at) or _CLOSES_JSON.match(text, at):
        return _OF_JSON
    if _YAML_VALUE.match(text, at) or _is_yaml(text, at, held):
        return _OF_YAML
    return tables.OF_TABLE if _is_table(text, at, held) else ""


def _is_yaml(text: bytes, at: int, held: list[bytes]) -> bool:
    """A key that is indented less than all before it."""
    key = _KEY_LINE.match(text, at)
    if key is None or not held:
        return False
    return all(each.startswith(b" " * (len(key["indent"] or b"") + 1), _stamp_end(each)) for each in held)


def _is_table(text: bytes, at: int, held: list[bytes]) -> bool:
    if not held:
        return False
    if _CLOSES_TABLE.match(text, at) or tables.EXPANDED.match(text, at):
        return b"|" in held[-1]
    return tables.RULE.match(text, at) is not None and tables.is_row(held[-1], _stamp_end(held[-1]))


def _stamp_end(line: bytes) -> int:
    stamp = _STAMP.match(line)
    return stamp.end() if stamp is not None else 0


def whole(text: bytes, mark: Mark, lost: Lost | None = None) -> bytes:
    """A text that is there whole; the same object where nothing of it is private by its structure."""
    if begins().search(text) is None:
        return text
    came, text = text, without_keys(text, mark)
    several = b"\n" in text.rstrip(b"\n")
    # of a key without its end the line patterns make one mark; a line alone was made by somebody, or was read as one of many
    lines = Lines(mark, lost, keys=False, cut=several, orphans=several)
    made = lines.feed(text if text.endswith(b"\n") else text + b"\n") + lines.end()
    if not text.endswith(b"\n"):
        made = made.removesuffix(b"\n")
    return came if made == came else made
