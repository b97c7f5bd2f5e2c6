"""Tables: psql's aligned and expanded form, MySQL's boxes, and CSV behind a row of names. The names say which column holds what."""

import re
from functools import lru_cache

from runbooks.redaction.blocks.fields import columns, kind_of
from runbooks.redaction.blocks.reading import FOREIGN, RECORD, Found, Read, Then
from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.marks import MARK, PrivateKind

RULE = re.compile(rb"[ ]?\+?-{2,}+(?:\+-++)*+\+?[ ]*+$|[ ]?\|?-{2,}+(?:[+|]-++)*+\|?[ ]*+$")
EXPANDED = re.compile(rb"-\[ RECORD \d{1,9} \][-+]*+\s*+$|\*{10,}+ \d{1,9}\. row \*{10,}+$")
_ROWS = re.compile(rb"[ ]*+\(\d{1,12} rows?\)[ ]*+$|\d{1,12} rows? in set")
_FIELD = re.compile(rb"[ ]*+(?P<name>[A-Za-z_][\w ./()-]{0,62}?)?[ ]*+(?P<sep>\||:)(?:[ ]|$)")
_CELL = re.compile(rb"\"?[A-Za-z_][\w./()#-]{0,40}(?: [\w./()#-]{1,40}){0,3}\"?")
_SQL = re.compile(rb"(?i)\b(?:select|from|where|insert|into|values|update|set|and|or|index|constraint)\b")
_MOST_COLUMNS = 500
SEPARATORS = (b",", b";", b"\t", b"|")


def _part(kind: PrivateKind | None, line: bytes, start: int, end: int) -> list[Found]:
    while start < end and line[start] in b" \t\"'":
        start += 1
    while start < end and line[end - 1] in b" \t\"'":
        end -= 1
    value = line[start:end]
    if kind is None or start == end or is_placeholder(value) or MARK.fullmatch(value) is not None:
        return []
    return [Found(kind, start, end)]


_NO_NAME = re.compile(rb"[\d.,:/+-]*+")


class Unnamed:
    """Rows whose columns' names were not seen, until the line that counts them."""

    def __init__(self) -> None:
        self.steps = 0

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if RULE.match(line, at):
            return Read(Then.MORE)
        if _ROWS.match(line, at):
            return Read(Then.OVER)
        if b"|" not in line[at:] or RECORD.match(line, at):
            return FOREIGN
        return Read(Then.MORE, withheld=OF_TABLE)


OF_TABLE = "{lines} withheld: part of a table whose beginning was not read"


def is_row(line: bytes, at: int) -> bool:
    """A cell of it is a number, a date or nothing: no column is called so."""
    cells = line[at:].strip().removeprefix(b"|").removesuffix(b"|").split(b"|", _MOST_COLUMNS)
    return len(cells) > 1 and any(_NO_NAME.fullmatch(cell.strip()) for cell in cells)


class Boxed:
    """MySQL's: a rule, the names, a rule, the rows, a rule."""

    def __init__(self) -> None:
        self.steps = 0
        self._rows: Aligned | Unnamed | None = None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if self._rows is None and not RULE.match(line, at):
            if not line.startswith(b"|", at):
                return FOREIGN
            self._rows = Unnamed() if is_row(line, at) else Aligned(line[at:])
            return self._rows.read(line, at) if isinstance(self._rows, Unnamed) else Read(Then.MORE)
        return self._rows.read(line, at) if self._rows is not None else Read(Then.MORE)


class Aligned:
    """The rows below psql's rule of dashes, until the line that counts them."""

    def __init__(self, header: bytes) -> None:
        self.steps = 0
        self._boxed = header.lstrip().startswith(b"|")
        self._columns = columns(self._cells(header))

    def _cells(self, line: bytes) -> list[bytes]:
        if self._boxed:
            line = line.strip().removeprefix(b"|").removesuffix(b"|")
        return line.split(b"|", _MOST_COLUMNS)

    def names(self, rule: bytes) -> bool:
        """The rule has a dash for each of the names."""
        return rule.count(b"+") + 1 == len(self._columns)

    @property
    def tells(self) -> bool:
        """Some column is private."""
        return any(self._columns)

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        text = line[at:]
        if RULE.match(text):
            return Read(Then.MORE)
        if _ROWS.match(text):
            return Read(Then.OVER)
        if not text.strip() or RECORD.match(line, at) or (len(self._columns) > 1 and b"|" not in text):
            return FOREIGN
        if self._boxed:
            at = line.find(b"|", at) + 1
            last = line.rfind(b"|", at)
            text = line[at : last if last >= 0 else len(line)]
        cells = text.split(b"|", _MOST_COLUMNS)
        if len(cells) != len(self._columns):
            return Read(Then.MORE, withheld="{lines} withheld: a table with unclear columns")
        parts: list[Found] = []
        for cell, kind in zip(cells, self._columns, strict=True):
            self.steps += 1
            parts += _part(kind, line, at, at + len(cell.rstrip(b" +")))
            at += len(cell) + 1
        return Read(Then.MORE, parts)


class Expanded:
    r"""`name | value` on each line, as psql's `\x` writes a row."""

    def __init__(self) -> None:
        self.steps = 0
        self._kind: PrivateKind | None = None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if EXPANDED.match(line, at):
            return Read(Then.MORE)
        field = _FIELD.match(line, at)
        if field is None or RECORD.match(line, at):
            return FOREIGN
        if field["name"]:  # without: the value above goes on
            self._kind = columns([b"mrn", field["name"]])[1]
        end = len(line.rstrip(b" +")) if line.endswith(b"+") else len(line)
        return Read(Then.MORE, _part(self._kind, line, field.end(), max(end, field.end())))


def is_field(line: bytes, at: int) -> bool:
    """`name | value`, and nothing else."""
    field = _FIELD.match(line, at)
    return field is not None and field["sep"] == b"|" and b"|" not in line[field.end() :]


def tells(line: bytes, at: int) -> bool:
    """Such a line whose name says that the value is private."""
    field = _FIELD.match(line, at)
    return field is not None and bool(field["name"]) and columns([b"mrn", field["name"]])[1] is not None


def field_alone(line: bytes, at: int) -> Read | None:
    """One line of such a row by itself: `first_name | Maria`."""
    field = _FIELD.match(line, at)
    if field is None or not field["name"] or field["sep"] != b"|" or b"|" in line[field.end() :]:
        return None
    kind = kind_of(field["name"])
    return Read(Then.OVER, _part(kind, line, field.end(), len(line))) if kind is not None else None


@lru_cache(maxsize=256)
def header_of(line: bytes) -> tuple[bytes, tuple[PrivateKind | None, ...]] | None:
    """What separates the names of a CSV's columns, and what they hold; None for a line that is no such row."""
    for separator in SEPARATORS:
        if separator not in line:
            continue
        cells = [cell.strip() for cell in line.split(separator, _MOST_COLUMNS)]
        if all(_CELL.fullmatch(cell) for cell in cells) and not _SQL.search(line):
            kinds = columns(cells)
            if sum(kind is not None for kind in kinds) > 1 or (any(kinds) and len(kinds) > 2):  # noqa: PLR2004
                return separator, tuple(kinds)
    return None


class Csv:
    """The rows below the names, until a line that has no separator."""

    def __init__(self, separator: bytes, kinds: tuple[PrivateKind | None, ...]) -> None:
        self.steps = 0
        self._separator = separator
        self._kinds = kinds
        self._named = False
        self._column = 0
        self._quoted = False
        """A text in quotation marks goes on in the next line."""

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if not self._named:
            self._named = True
            return Read(Then.MORE)
        if not self._quoted:
            self._column = 0
            if self._separator not in line[at:] or RECORD.match(line, at) or not line[at:].strip():
                return FOREIGN
        parts: list[Found] = []
        while at <= len(line):
            self.steps += 1
            end = self._cell_end(line, at)
            if self._column >= len(self._kinds):
                return Read(Then.MORE, withheld="{lines} withheld: a table with unclear columns")
            parts += _part(self._kinds[self._column], line, at, end)
            if self._quoted:
                break
            self._column += 1
            at = end + 1
        return Read(Then.MORE, parts)

    def _cell_end(self, line: bytes, at: int) -> int:
        if self._quoted or line.startswith(b'"', at):
            look = at if self._quoted else at + 1
            self._quoted = True
            while (quote := line.find(b'"', look)) >= 0:
                self.steps += 1
                if line.startswith(b'"', quote + 1):
                    look = quote + 2
                    continue
                self._quoted = False
                at = quote
                break
            else:
                return len(line)
        end = line.find(self._separator, at)
        return len(line) if end < 0 else end
