"""What the column of a database holds, by its name or the expression around it, and what a value alone tells.

Used by `runbooks.redaction.sql`. The names are those of `redaction.blocks.fields`, whatever a field is written in.
"""

import re
from functools import lru_cache

from runbooks.redaction.blocks import fields
from runbooks.redaction.marks import PrivateKind

_IDENTIFIER = re.compile(rb"[A-Za-z_][\w-]*+")
_PERSONS = re.compile(
    rb"(?i:patient|person|people|guarantor|subscriber|next_?of_?kin|demographic|contacts?\b|practitioner)"
)
_LONGEST = 80


@lru_cache(maxsize=4096)
def _named(column: bytes) -> bytes:
    """Return the name in an expression such as `lower(last_name::text)` or `p.name`: the first that tells, or the last."""
    words: list[bytes] = _IDENTIFIER.findall(column[-_LONGEST:])
    return next((word for word in words if fields.kind_of(word) is not None), words[-1] if words else b"")


def kind_of(column: bytes) -> PrivateKind | None:
    """Return what the values of this column alone tell."""
    return fields.kind_of(_named(column))


def columns(names: list[bytes]) -> list[PrivateKind | None]:
    """Return what each holds; an `address` with nothing of a person beside it is a host's."""
    words = [_named(name) for name in names]
    kinds = fields.columns(words)
    hosts = all(kind in (None, PrivateKind.ADDRESS) for kind in kinds)
    return [
        None if hosts and fields.plain(word) == b"address" else kind for word, kind in zip(words, kinds, strict=True)
    ]


_TECHNICAL = re.compile(
    rb"(?i:(?:\w{1,60}_)?(?:uuid|version|migration|pod|node|namespace|container|deployment|job|queue|run|state|status|kind|type|code|slug|host|hostname|port"
    rb"|table|index|sequence|position|locale|permission|role))"
)
_SURROGATE = re.compile(rb"(?i:id|\w{1,60}_id)|\w{1,60}Id")


def is_technical(column: bytes, value: bytes) -> bool:
    """Whether a column of none of the known names holds what is nobody's: a row's number, a pod, a state."""
    name = column.strip(b" \t\"'\\")
    return _TECHNICAL.fullmatch(name) is not None or (value.isdigit() and _SURROGATE.fullmatch(name) is not None)


def of_people(table: bytes) -> bool:
    """The table's name says that its rows are people."""
    return _PERSONS.search(table) is not None


_NONE = re.compile(
    rb"(?i:|null|none|nil|undefined|true|false|t|f|default|\d{1,3}|\?|\$\d{1,3}|%\(?\w{0,40}\)?s|[:@]\w{1,40}|[a-z_]{2,40}\([^)]{0,40}\)|current_\w{1,20}"
    rb"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\[[a-z -]{3,24} \d{1,6}\])"
)


def says_nothing(value: bytes) -> bool:
    """Nothing, a placeholder, a small number, a function, a UUID, a mark."""
    return _NONE.fullmatch(value) is not None


_DATE = re.compile(rb"\d{4}-\d\d?-\d\d?.{0,24}|\d\d?/\d\d?/\d{2,4}")


def kind_by_value(value: bytes) -> PrivateKind:
    """Of a value whose column is not known."""
    if b"@" in value:
        return PrivateKind.EMAIL
    if _DATE.fullmatch(value):
        return PrivateKind.DATE
    return PrivateKind.RECORD if any(byte in b"0123456789" for byte in value) else PrivateKind.NAME
