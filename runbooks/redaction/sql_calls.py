"""What is private in the arguments of procedures and functions, and in rows that stand in a statement without an `INSERT` before them.

Used by `redaction.parts`; the patterns are in `redaction.sql_patterns`.
"""

import re
from collections.abc import Iterator

from runbooks.redaction.columns import columns, kind_of, of_people, says_nothing
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import PrivatePart, Reader, none, part
from runbooks.redaction.sql import BETWEEN_ROWS, FAR, LIST, items, of_row, parameter
from runbooks.redaction.text import ScannedText

_OWN = re.compile(
    rb"[\"`\[]?(?i:pg_|mysql\.|sys\.|(?:\w{1,20}\.)?(?:sp|xp)_|msdb\.|rds|cron\.|partman\.|dbms_|dolt_|refresh_|add_|remove_|run_job|nextval|set_config)"
)
"""Procedures of a database or an extension of it: their arguments are names of tables and settings."""
_NAME = re.compile(rb"\s(?P<name>[\w.\"`\[\]]+)\s*\(?\Z")
_LITERAL = frozenset(b"'\"0123456789")


def _name(data: bytes, start: int, end: int) -> bytes:
    """The procedure's name, which stands before its first argument."""
    found = _NAME.search(data, start, end)
    return found["name"] if found else b""


def _arguments(text: ScannedText, hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """`CALL p('…', 4471203)`, `SELECT find_patient('…')`: every value that could be somebody's; no variable and no column."""
    data = text.data
    row, last = items(data, end, min(len(data), end + LIST))
    text.look(last - end)
    found = False
    if not _OWN.match(_name(data, hit.start(), end)):
        literal = [(start, behind) for start, behind in row if _is_literal(data, start, behind)]
        if any(MARK.match(data, start) for start, _ in literal):
            found = True
            yield from none(end)
        for each in of_row(data, None, literal):
            found = True
            yield each
    if not found:
        yield from none(hit.start() + 1)  # its name may be a cue by itself


def _is_literal(data: bytes, start: int, end: int) -> bool:
    return end > start and (data[start - 1] in b"'\"" or data[start] in _LITERAL or b"('" in data[start:end])


_ARGUMENT = re.compile(
    rb"\s{0,9}(?:@(?P<name>\w{1,60})\s?=\s?)?(?:[Nn]?'(?P<quoted>(?:[^'\r\n]|'')*+)'?|(?P<bare>[^\s,'\r\n][^,'\r\n]{0,100}))\s{0,9}(?P<more>,)?"
)


def _exec(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> Iterator[PrivatePart]:
    """SQL Server: `EXEC dbo.FindPatient N'…', @dob = '…'`; of `sp_executesql` only what it binds, as its statement is read by itself."""
    data = text.data
    name = _name(data, hit.start(), start)
    binds = name.lower().rpartition(b".")[2].strip(b"[]") == b"sp_executesql"
    positional = not binds and (hit.group().startswith(b"EXEC") or of_people(name))
    found = False
    at, last = start, min(text.line_end(start), start + LIST)
    if binds or not _OWN.match(name):
        while (argument := _ARGUMENT.match(data, at, last)) is not None:
            at = argument.end()
            group = "bare" if argument["quoted"] is None else "quoted"
            if group == "quoted" and (argument["name"] or positional):
                kind = parameter(argument["name"] or b"", argument["quoted"])
                if MARK.match(data, argument.start(group)):
                    found = True
                    yield from none(at)
                elif kind is not None:
                    found = True
                    yield part(kind, *argument.span(group))
            if not argument["more"]:
                break
    text.look(at - start)
    if not found:
        yield from none(hit.start() + 1)


_ALIAS = re.compile(rb"[ \t\r\n]*+\)[ \t\r\n]*+(?i:as[ \t\r\n]++)?[\w\"`\[\]]{1,128}[ \t\r\n]*+\(")
_INTO = re.compile(rb"(?i:\b(?:into|from|update|join)\s{1,4})(?P<table>[\w.\"`\[\]]{1,128})")
_BEFORE = 200


def _values(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """`MERGE INTO … USING (VALUES (…), (…)) AS s (columns)`: by the columns, or all of it where a table of people is named before it."""
    data, last = text.data, min(len(text.data), end + FAR)
    rows = []
    row, at = items(data, end, last)
    text.look(at - end)
    rows.append(row)
    while (opens := BETWEEN_ROWS.match(data, at + 1, last)) is not None:
        row, at = items(data, opens.end(), last)
        text.look(at - opens.start())
        rows.append(row)
    kinds: list[PrivateKind | None] | None = None
    if (alias := _ALIAS.match(data, at + 1, last)) is not None:
        names, at = items(data, alias.end(), min(last, alias.end() + LIST))
        text.look(at - alias.start())
        kinds = columns([data[first:behind] for first, behind in names])
        if not any(kinds):
            return
    else:
        text.look(_BEFORE)
        tables = [found["table"] for found in _INTO.finditer(data, max(0, start - _BEFORE), start)]
        if not any(map(of_people, tables)):
            return
    for row in rows:
        yield from of_row(data, kinds, row)


_ALIASED = re.compile(rb"(?i:as)\s{1,4}[\"`\[]?(?P<column>\w+)\Z")
_MOST_BEFORE = 200


def _as(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> Iterator[PrivatePart]:
    """`SELECT 'Maria' AS first_name`: the value stands before its column."""
    data = text.data
    text.look(_MOST_BEFORE)
    opens = data.rfind(b"'", max(0, start - _MOST_BEFORE), start)
    column = _ALIASED.search(hit.group())
    kind = kind_of(column["column"]) if column else None
    value = data[opens + 1 : start]
    if opens >= 0 and kind is not None and value.strip() and b"\n" not in value and not says_nothing(value):
        yield PrivatePart(kind, opens + 1, start, hit.end())


READERS: dict[str, Reader] = {
    "sql_call": _arguments,
    "sql_function": _arguments,
    "sql_exec": _exec,
    "sql_values": _values,
    "sql_as": _as,
}
