r"""What databases and ORMs write of a row: keys, failing rows, refused values, column lists with their values, conditions, and what was bound.

Used by `runbooks.redaction.rules` (the patterns) and `redaction.parts` (the readers). A column list says which value is what; where
there is none (`Failing row contains (17, …)`, `$1 = '…'`) every value goes that could be somebody's.
"""

import re
from collections.abc import Iterator

from runbooks.redaction.columns import columns, is_technical, kind_by_value, kind_of, of_people, says_nothing
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import PrivatePart, Reader, none, part
from runbooks.redaction.text import ScannedText

FAR = 64 << 10
LIST = 4 << 10
_STATEMENT_BEFORE = 2000

_ITEM = re.compile(
    rb"[ \t\r\n]*+(?P<item>[EeNn]?'(?P<quoted>(?:[^'\\]|''|\\[^'])*+)'(?:::[\w ]{1,40}(?:\[\])?)?|\"(?P<double>[^\"\\\r\n]*+)\"|\\\"(?P<escaped>[^\"\\\r\n]*+)\\\""
    rb"|(?P<bare>(?:[^,()'\"\r\n\]}]|\([^()\r\n]{0,200}\))*+))[ \t\r\n]*+"
)
_OPENS = re.compile(rb"[ \t\r\n]*+\(")
BETWEEN_ROWS = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+\(")
_VALUES = re.compile(rb"(?i:[\s\w]{0,60}?\bvalues?)[ \t\r\n]*+\(")
_FROM_STDIN = re.compile(rb"(?i:[ \t\r\n]*+from[ \t]++stdin[^\r\n]{0,200})\r?\n")
_TABLE = re.compile(rb"[\w.\"`\\]{1,128}\s{0,9}\Z")


def items(data: bytes, at: int, last: int) -> tuple[list[tuple[int, int]], int]:
    """Where the values of a list begin and end, quotation marks left out, from behind its opening bracket; and where it closes."""
    found: list[tuple[int, int]] = []
    while at < last:
        item = _ITEM.match(data, at, last)
        if item is None:
            break
        group = next((name for name in ("quoted", "double", "escaped") if item[name] is not None), "bare")
        start, end = item.span(group)
        found.append((start, end - (len(item[group]) - len(item[group].rstrip())) if group == "bare" else end))
        at = item.end()
        if data[at : at + 1] != b",":
            break
        at += 1
    return found, at


_FUNCTION = re.compile(rb"\s{0,9}(?P<name>\w{1,60})\(\s{0,9}[EeNn]?'(?P<quoted>(?:[^'\r\n]|'')*+)'")
_GIVE_NO_VALUE = frozenset((b"nextval", b"currval", b"setval", b"to_char", b"date_trunc", b"current_setting"))


def _within_function(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the value begins and ends in `lower('Lopez')`."""
    found = _FUNCTION.match(data, start, end)
    return (start, end) if found is None or found["name"].lower() in _GIVE_NO_VALUE else found.span("quoted")


def of_row(data: bytes, kinds: list[PrivateKind | None] | None, row: list[tuple[int, int]]) -> Iterator[PrivatePart]:
    """`kinds` of its columns; None where they are not known, and every value may be somebody's."""
    for number, span in enumerate(row):
        start, end = _within_function(data, *span)
        if says_nothing(data[start:end].strip()):
            continue
        kind = kind_by_value(data[start:end]) if kinds is None else kinds[number] if number < len(kinds) else None
        if kind is not None and end > start:
            yield part(kind, start, end)


def _insert(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """`INSERT INTO … (columns) VALUES (…), (…)`, `COPY … (columns) FROM stdin` with its lines, and an INSERT without columns."""
    data, last = text.data, min(len(text.data), end + FAR)
    kinds: list[PrivateKind | None] | None = None
    at = end
    if data[start:end] == b"(":
        names, at = items(data, end, min(last, end + LIST))
        kinds = columns([data[first:behind] for first, behind in names])
        at += 1
        if not any(kinds):
            return
        if (copied := _FROM_STDIN.match(data, at)) is not None:
            yield from _copied(text, kinds, copied.end())
            return
        opens = _VALUES.match(data, at, last)
    else:
        table = _TABLE.search(data, max(0, start - 140), start)
        opens = _OPENS.match(data, at, last)
        if table is None or not of_people(table.group()):
            return
    while opens is not None:
        row, at = items(data, opens.end(), last)
        text.look(at - opens.start())
        yield from of_row(data, kinds, row)
        opens = BETWEEN_ROWS.match(data, at + 1, last)


def _copied(text: ScannedText, kinds: list[PrivateKind | None], at: int) -> Iterator[PrivatePart]:
    data, last = text.data, min(len(text.data), at + FAR)
    while at < last:
        ends = text.line_end(at)
        if data[at:ends].rstrip() == b"\\." or b"\t" not in data[at:ends]:
            return
        text.look(ends - at)
        row = []
        for value in data[at:ends].rstrip(b"\r").split(b"\t"):
            row.append((at, at + len(value)))
            at += len(value) + 1
        yield from (each for each in of_row(data, kinds, row) if data[each.start : each.end] != b"\\N")
        at = ends + 1


_KEY_VALUES = re.compile(rb"\)=\(")
_KEY_ENDS = re.compile(rb"\)(?=\s(?:already|is |conflicts|was )|\.|[\"'\\\r\n]|\s?\xc2[\xa0\xab\xbb]|\Z)")


def _key(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """`Key (mrn)=(4471203) already exists.`, with several columns, and with expressions for columns."""
    data = text.data
    between = _KEY_VALUES.search(data, end, min(len(data), end + LIST))
    if between is None:
        text.look(LIST)
        return
    closing = _KEY_ENDS.search(data, between.end(), min(len(data), between.end() + LIST))
    first = between.end()
    last = closing.start() if closing else min(text.line_end(first), first + LIST)
    text.look(last - end)
    names = data[end : between.start()].split(b", ")
    kinds = columns(names)
    row = []
    for value in data[first:last].split(b", "):
        row.append((first, first + len(value)))
        first += len(value) + 2
    if len(row) != len(kinds):  # a value has a comma in it
        kinds = [next(filter(None, kinds), None)] * len(row)
        names = [next((name for name in names if not is_technical(name, b"a")), names[0])] * len(row)
    for name, kind, (start, behind) in zip(names, kinds, row, strict=True):
        value = data[start:behind]
        if value and not says_nothing(value.strip()) and (kind is not None or not is_technical(name, value)):
            yield part(kind or kind_by_value(value), start, behind)


def _row(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """`Failing row contains (17, Maria, …)`: no column is named, so every value goes that could be somebody's."""
    data = text.data
    last = min(text.line_end(end), end + FAR)
    text.look(last - end)
    closing = _KEY_ENDS.search(data, end, last)
    last = closing.start() if closing else last
    for value in data[end:last].split(b", "):
        if not says_nothing(value) and value.strip():
            yield part(kind_by_value(value), end, end + len(value))
        end += len(value) + 2


_CLOSES = re.compile(rb"(?P<mark>\\{0,3})\"")


def _quoted(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """What PostgreSQL could not read: `invalid input syntax for type bigint: "…"`. It does not escape a quotation mark in it, so the value
    ends at the line's last; in JSON at the next of those that are escaped as the first.
    """
    data = text.data
    last = min(text.line_end(end), end + LIST)
    text.look(last - end)
    mark = data[start : end - 1]
    ends = [each.start() for each in _CLOSES.finditer(data, end, last) if each["mark"] == mark]
    closing = (ends[0] if mark else ends[-1]) if ends else last
    value = data[end:closing]
    if value.strip() and not says_nothing(value.strip()):
        yield part(kind_by_value(value), end, closing)


def _beyond(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """`value "…" is out of range for type integer`."""
    closing = _CLOSES.search(text.data, end)
    if closing is not None and not says_nothing(text.data[end : closing.start()].strip()):
        yield part(kind_by_value(text.data[end : closing.start()]), end, closing.start())


def _closed(text: ScannedText, at: int, ends: re.Pattern[bytes], sign: bytes = b"") -> tuple[int, bool]:
    """Where the value ends that begins there, and whether what closes it was seen: else it ends at this sign, or with the line."""
    data = text.data
    last = min(text.line_end(at), at + LIST)
    text.look(last - at)
    mark = MARK.match(data, at, last)
    if (closing := ends.search(data, mark.end() if mark else at, last)) is not None:
        return closing.start(), True
    behind = data.find(sign, at, last) if sign else -1
    return (behind if behind >= 0 else last), False


_ENTRY_ENDS = re.compile(rb"'(?=\s[^\s'\"]{2,8}\s[^\s'\"]{2,16}\s[`'\"])")
_OF_AN_INDEX = re.compile(rb"\A(?i:uq|uk|ux|ix|idx|unique)_|_(?i:uq|uk|ux|ix|idx|unique|key)\Z")
_KEY_NAME = re.compile(rb"'\s[^'\"`\r\n]{2,30}[`'\"](?P<name>[\w.$-]{1,140})")


def _entry(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """MySQL's `Duplicate entry '…' for key 'patients.mrn'`: a row's number and a pod stay by the key's name."""
    data = text.data
    behind, closing = _closed(text, end, _ENTRY_ENDS, b"'")
    key = _KEY_NAME.match(data, behind) if closing else None
    table, _, name = key["name"].rpartition(b".") if key else (b"", b"", b"")
    value = data[end:behind]
    alone = _OF_AN_INDEX.sub(b"", name)  # `uq_name_state` has a name in it too
    own = (b"_" not in alone and is_technical(alone, value)) or (
        name == b"PRIMARY" and value.isdigit() and not of_people(table)
    )
    if value.strip() and not says_nothing(value.strip()) and not own:
        yield PrivatePart(kind_of(name) or kind_by_value(value), end, behind, key.end() if key else behind)
    elif key:
        yield from none(key.end())


_REFUSED_ENDS = re.compile(
    rb"'(?=\sfor\scolumn|\sfor\sfunction|\sto\s(?:a\s)?data\stype|\soverflowed|\.|[\s;,)]{0,3}(?:[\"\\\r\n]|\Z))"
)


def _refused(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """What MySQL and SQL Server could not read: `Incorrect date value: '…' for column`, `converting the varchar value '…' to data type int`."""
    behind, _ = _closed(text, end, _REFUSED_ENDS, b"'")
    value = text.data[end:behind].strip()
    if value and not says_nothing(value):
        yield part(kind_by_value(value), end, behind)


_FIELD = re.compile(rb"'(?P<name>[^']*)'")
_REJECTED_ENDS = re.compile(rb"\](?=[;,.]|\s|[\"'\\]|\Z)")


def _rejected(text: ScannedText, hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """Spring: `on field 'lastName': rejected value [Lopez]; codes […]`."""
    behind, _ = _closed(text, end, _REJECTED_ENDS)
    field = _FIELD.search(hit.group())
    name = field["name"].rpartition(b".")[2] if field else b""
    value = text.data[end:behind]
    if value.strip() and not says_nothing(value.strip()) and not is_technical(name, value):
        yield part(kind_of(name) or kind_by_value(value), end, behind)


_SENT_NAME = re.compile(rb"[@:](?P<name>\w{1,128})='")
_TYPED_ENDS = re.compile(rb"'(?=\s[(\[](?:Size|Nullable|DbType|Type|Precision|Direction)\b)")
_SENT_ENDS = re.compile(rb"'(?=\s\(|,\s[@:]|\]|\r|\n|\Z)")
_GIVEN_NUMBER = re.compile(rb"\A_+|_\d{1,4}\Z")


def parameter(name: bytes, value: bytes) -> PrivateKind | None:
    """What a named parameter holds; EF Core writes a variable's name as `__lastName_0`."""
    name = _GIVEN_NUMBER.sub(b"", name)
    if not value.strip() or says_nothing(value.strip()) or is_technical(name, value):
        return None
    return kind_of(name) or kind_by_value(value)


def _sent(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """EF Core with its sensitive data: `[Parameters=[@p0='Lopez' (Size = 4000), …]`. It escapes no quotation mark."""
    data = text.data
    last = min(text.line_end(end), end + FAR)
    text.look(last - end)
    closing = data.find(b"], CommandType", end, last)
    last = closing + 1 if closing >= 0 else last
    at = end
    while (name := _SENT_NAME.search(data, at, last)) is not None:
        ends = _SENT_ENDS.search(data, name.end(), last)
        at = ends.start() if ends else last
        if (kind := parameter(name["name"], data[name.end() : at])) is not None:
            yield part(kind, name.end(), at)


def _typed(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """A named parameter with its type behind it (NHibernate, Entity Framework 6), or `@p0=N'…'` as only SQL Server has it."""
    data = text.data
    last = min(text.line_end(end), end + LIST)
    value = _QUOTED.match(data, end, last)
    behind = value.end() if value else end
    text.look(behind - end)
    if data[start : start + 1] == b"'" and _TYPED_ENDS.match(data, behind) is None:
        yield from none(hit.start() + 1)  # a name may be a cue by itself
        return
    name = re.split(rb"\s?[:=]", hit.group().lstrip(b"-@: "))[0]
    if (kind := parameter(name, data[end:behind])) is not None:
        yield part(kind, end, behind)
    else:
        yield from none(hit.start() + 1)


_DOCUMENT_ITEM = re.compile(
    rb"(?P<name>[\w.$]{1,128}):\s(?:\\{0,3}\"(?P<text>[^\"\\\r\n]*+)|(?P<bare>[^\s,{}\"\\]{1,128}+))"
)


def _dup(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """MongoDB: `dup key: { mrn: "4471203" }`."""
    data = text.data
    last = min(text.line_end(end), end + LIST)
    closing = data.find(b"}", end, last)
    last = closing if closing >= 0 else last
    text.look(last - end)
    for item in _DOCUMENT_ITEM.finditer(data, end, last):
        group = "bare" if item["text"] is None else "text"
        value = item[group]
        name = item["name"].rpartition(b".")[2]
        if value and not says_nothing(value) and not value.startswith(b"ObjectId(") and not is_technical(name, value):
            yield part(kind_of(name) or kind_by_value(value), *item.span(group))


_QUOTED = re.compile(rb"(?:[^'\r\n]|'')*+")


def _bind(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """`parameters: $1 = '…'`."""
    value = _QUOTED.match(text.data, end)
    if value is not None and not says_nothing(value.group()) and value.end() > end:
        yield part(kind_by_value(value.group()), end, value.end())


_BOUND = re.compile(rb"[^\]\r\n]*+")


def _bound(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """Hibernate: `binding parameter (1:VARCHAR) <- [Maria]`."""
    value = _BOUND.match(text.data, end)
    if value is not None and not says_nothing(value.group()):
        yield part(kind_by_value(value.group()), end, value.end())


_STATEMENT = re.compile(rb"(?i:\b(?:select\s|insert\s+into|update\s|delete\s+from|merge\s+into))")
_NUMBERED = re.compile(rb"_\d{1,4}(?=\W*\Z)")
_STRING = re.compile(
    rb"(?:(?P<key>\\?['\"]\w{1,60}\\?['\"]):\s?)?(?:'(?P<single>(?:[^'\\\r\n]|\\.)*+)'|\\\"(?P<escaped>[^\"\\\r\n]*+)\\\"|\"(?P<double>(?:[^\"\\\r\n]|\\.)*+)\""
    rb"|(?P<number>(?<![\w.-])\d{4,20}(?![\w.-]))|date(?:time)?\((?P<date>\d{4}, ?\d\d?, ?\d\d?)[^)\r\n]{0,40}\))"
)


def _bound_list(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """What an ORM bound, in a list or by name, behind its statement; any other list of parameters is none of a row's.

    SQLAlchemy writes `[parameters: (…)]` or `[generated in 0.1s] (…)` on a line of its own, which a log shows without the statement before
    it, and numbers its names (`last_name_1`, `param_1`).
    """
    data = text.data
    alone = data[hit.start() - 1 : hit.start() + 11] == b"[parameters:" or data[hit.start() : hit.start() + 1] == b"["
    text.look(_STATEMENT_BEFORE)
    if not alone and _STATEMENT.search(data, max(0, start - _STATEMENT_BEFORE), start) is None:
        return
    last = min(text.line_end(end), end + LIST)
    text.look(last - end)
    closes = {b"[": b"]", b"(": b")", b"{": b"}"}[data[start : start + 1]]
    for value in _STRING.finditer(data, end, last):
        if data.rfind(closes, end, value.start()) > 0 and data[value.start() - 1 : value.start()] not in b", ([{":
            return
        group = value.lastgroup or ""
        if group in ("", "key") or says_nothing(value[group]):
            continue
        name = _NUMBERED.sub(b"", value["key"]) if value["key"] else b""
        kind = kind_of(name) if name else None
        if not name or (kind is None and alone and not is_technical(name.strip(b"\\\"'"), value[group])):
            kind = kind_by_value(value[group])
        if group == "date":
            kind = PrivateKind.DATE
        if kind is not None and value[group]:
            yield part(kind, *value.span(group))


_PAIR = re.compile(rb"\[\\{0,3}\"(?P<column>\w{2,60})\\{0,3}\",\s?\\{0,3}\"\Z")
_PAIRED = re.compile(rb"[^\"\\\r\n]*+")


def _pair(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """Rails: `[["first_name", "Maria"], …]`."""
    pair = _PAIR.search(text.data, max(0, end - 80), end)
    value = _PAIRED.match(text.data, end)
    kind = kind_of(pair["column"]) if pair else None
    if kind is not None and value is not None and not says_nothing(value.group()):
        yield part(kind, end, value.end())


_COLUMN = re.compile(rb"\w++")
_VALUE = re.compile(rb"[EeNn]?'(?P<quoted>(?:[^'\\\r\n]|''|\\[^\r\n])*+)'?|(?P<number>\d[\d-]{2,20})")
_AND = re.compile(rb"(?i:(?:::\w{1,20})?\s{1,4}and\s{1,4})(?=[EeNn]?')")
_WILD = b"%_^$.*"
_NO_PLACE = re.compile(rb"[\d.:/]+|/.*")


def _condition(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> Iterator[PrivatePart]:
    """`last_name ILIKE '%…%'`, `mrn IN (…)`, `dob < '…'`, `(last_name)::text = '…'`, `SET city = '…'`."""
    data = text.data
    column = _COLUMN.match(data, hit.start(), start)
    kind = kind_of(column.group()) if column else None
    if kind is None:
        return
    if data[start : start + 1] == b"(":
        row, last = items(data, start + 1, min(len(data), start + LIST))
        text.look(last - start)
        yield from of_row(data, [kind] * len(row), row)
        return
    value = _VALUE.match(data, start)
    while value is not None:
        first, last = value.span(value.lastgroup or "quoted")
        said = data[first:last]
        first += len(said) - len(said.lstrip(_WILD))
        last = max(first, last - (len(said) - len(said.rstrip(_WILD))))
        said = data[first:last]
        if said and not says_nothing(said) and not (kind is PrivateKind.ADDRESS and _NO_PLACE.fullmatch(said)):
            yield part(kind, first, last)
        more = _AND.match(data, value.end())
        value = _VALUE.match(data, more.end()) if more else None


READERS: dict[str, Reader] = {
    "sql_insert": _insert,
    "sql_key": _key,
    "sql_value": _quoted,
    "sql_beyond": _beyond,
    "sql_row": _row,
    "sql_entry": _entry,
    "sql_refused": _refused,
    "sql_rejected": _rejected,
    "sql_sent": _sent,
    "sql_typed": _typed,
    "sql_dup": _dup,
    "sql_bind": _bind,
    "sql_bound": _bound,
    "sql_list": _bound_list,
    "sql_pair": _pair,
    "sql_condition": _condition,
}
