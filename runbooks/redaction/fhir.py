"""What of FHIR on one line is private: structures by their keys, names beside references, searches. Used by `runbooks.redaction.parts`."""

import re
from collections.abc import Iterator
from functools import lru_cache

from runbooks.redaction.marks import DONE, MARK, PrivateKind
from runbooks.redaction.part import PrivatePart, Reader, digits_in, part
from runbooks.redaction.text import SAID, ScannedText

_STRUCTURES = {
    b"address": PrivateKind.ADDRESS,
    b"name": PrivateKind.NAME,
    b"telecom": PrivateKind.PHONE,
    b"identifier": PrivateKind.MRN,
    b"photo": PrivateKind.PICTURE,
    b"period": PrivateKind.DATE,
}
_CODE = rb"(?:https?|urn):[^\s\"\\]*+"
_SHOWN = frozenset((b"use", b"system", b"type", b"rank", b"code", b"display", b"contentType", b"resourceType", b"reference"))  # fmt: skip
_ENTRY = re.compile(
    rb"(?:[^\"]++|\"(?:SHOWN)Q:\s*+[\\]{0,3}\"SAIDQ(?!:)|\"SAIDQ:\s*+(?:[\\]{0,3}\"(?:CODE|MARK)Q(?!:)|\[[\\]{0,3}\"(?:CODE|MARK)Q\]|[^\s\[{\"\\])|\"(?:CODE|MARK)Q(?!:))*+"
    rb"(?:\"(?P<key>SAID)Q(?P<colon>:[\s\[{]*+[\\]{0,3}\"(?P<value>SAID)Q(?!:)|:)?|\")?".replace(
        b"SHOWN", b"|".join(sorted(_SHOWN))
    )
    .replace(b"CODE", _CODE)
    .replace(b"MARK", DONE.pattern)
    .replace(b"SAID", SAID)
    .replace(b"Q", rb"[\\]{0,3}+\"\s{0,3}+")
)
"""The next key with the first text under it, or the next further text, behind all that may be seen anyway."""
_TELLS_NOTHING = re.compile(_CODE + rb"|[^A-Za-z0-9\x80-\xff]*+|" + DONE.pattern)
_TELLS = {
    key: re.compile(rb"\"(?:" + keys + rb")\\{0,3}\"\s{0,3}:")
    for key, keys in ((b"name", rb"family|given|text|prefix"), (b"identifier", rb"value"), (b"period", rb"start|end"))
}
"""One of these has to be in it: a Deployment has a `name` and a metric a `period`, too."""


@lru_cache(maxsize=256)
def _key_of(hit: bytes) -> bytes:
    """Return which structure a hit such as `"name": [` begins."""
    written = hit.lower().rstrip(b"[{ :\t\r\n\x0b\x0c\\\"'")
    return next(key for key in _STRUCTURES if written.endswith(key))


def _structure(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> list[PrivatePart]:
    """Each text in a `HumanName`, `Address`, `ContactPoint`, `Identifier` or picture; what only codes it stays."""
    data = text.data
    key = _key_of(hit.group())
    if start < text.read_until(b"") or start < text.read_until(key):
        return []  # with the structure around it
    last = text.closing(start)
    text.look(last - start)
    tells = _TELLS.get(key)
    told = tells is None or tells.search(data, start, last) is not None
    text.was_read(b"" if told else key, last)
    if not told:
        return []
    kind, under = _STRUCTURES[key], b""
    parts: list[PrivatePart] = []
    for each in _ENTRY.finditer(data, start, last):
        said = each["value"] if each["colon"] else each["key"]
        if each["colon"]:
            under = each["key"]
        if said and under not in _SHOWN and not _TELLS_NOTHING.fullmatch(said):
            first, behind = each.span("value" if each["colon"] else "key")
            parts.append(PrivatePart(_finer(kind, said), first, behind, behind))
    return parts


_OF_SECRET = re.compile(rb"\"kind\\{0,3}\"\s{0,3}:\s{0,3}\\{0,3}\"Secret\\{0,3}\"")
_NEAR = 2000


def _sealed(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> list[PrivatePart]:
    """Each value in a Kubernetes Secret's `data` or `stringData` on one line."""
    data = text.data
    text.look(2 * _NEAR)
    if not hit.group().startswith(b'"stringData') and not _OF_SECRET.search(data, max(0, hit.start() - _NEAR), start):
        last = text.closing(start)
        if not _OF_SECRET.search(data, last, min(text.line_end(last), last + _NEAR)):
            return []
    last = text.closing(start)
    text.look(last - start)
    return [
        PrivatePart(PrivateKind.SECRET, *each.span("value"), each.end("value"))
        for each in _ENTRY.finditer(data, start, last)
        if each["value"] and not _TELLS_NOTHING.fullmatch(each["value"])
    ]


def _finer(kind: PrivateKind, text: bytes) -> PrivateKind:
    return PrivateKind.EMAIL if kind is PrivateKind.PHONE and b"@" in text else kind


_DISPLAYED = re.compile(rb"(?:[^\"\\\r\n]|\\[^\"\r\n])*+")
_REFERS_TO = re.compile(
    rb"reference\\{0,3}\"\s{0,9}:\s{0,9}\\{0,3}\"[^\"]{0,100}?(?:Patient|RelatedPerson|Practitioner|Person)\\?/"
)
_STANDS_FOR = re.compile(
    rb"(?:subject|patient|individual|beneficiary|subscriber|performer|practitioner|participant|author|recorder|asserter|actor)\\{0,3}\"\s{0,9}:\s{0,9}\[?\s{0,20}\Z"
)
_AROUND = 300


def _display(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
    """The name beside a reference to a person; what a code is displayed as stays."""
    data = text.data
    value = _DISPLAYED.match(data, end)
    if value is None or value.end() == end:
        return
    before, opens, inside = data[max(0, end - _AROUND) : end].rpartition(b"{")
    behind = data[value.end() : value.end() + _AROUND].partition(b"}")[0]
    if _REFERS_TO.search(inside) or _REFERS_TO.search(behind) or (opens and _STANDS_FOR.search(before[-80:])):
        yield part(PrivateKind.NAME, end, value.end())


_SEARCHES = {
    b"family": PrivateKind.NAME, b"given": PrivateKind.NAME, b"name": PrivateKind.NAME, b"patient": PrivateKind.MRN, b"subject": PrivateKind.MRN, b"birthdate": PrivateKind.BIRTH_DATE,
    b"phone": PrivateKind.PHONE, b"email": PrivateKind.EMAIL, b"telecom": PrivateKind.PHONE, b"identifier": PrivateKind.MRN,
}  # fmt: skip
_SAY_IT_ALONE = frozenset({b"family", b"given", b"birthdate"})
_PREFIX = re.compile(rb"(?:(?i:patient)(?:/|%2[Ff])|(?:eq|ne|gt|lt|ge|le|sa|eb|ap)(?=\d{4}))")
_PATIENTS = re.compile(rb"(?i:patient|person)")


def _search(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """A FHIR search: `?family=…&given=…`, `?patient=88213`; `name=` and the like only where patients are sought."""
    data = text.data
    key, _, value = data[start:end].partition(b"=")
    key = key.partition(b":")[0]
    first = end - len(value)
    if prefix := _PREFIX.match(value):
        first += prefix.end()
    value = data[first:end]
    kind = _SEARCHES.get(key, PrivateKind.ADDRESS)
    if key in (b"patient", b"subject"):
        if not digits_in(value):
            return
    elif key not in _SAY_IT_ALONE and not _PATIENTS.search(data, max(0, start - 120), start):
        return
    marked = value.find(b"[")
    if marked >= 0 and MARK.match(data, first + marked):
        return
    if value and not value.lower().startswith(b"ipv"):
        yield part(kind, first, end)


READERS: dict[str, Reader] = {"display": _display, "search": _search, "structure": _structure, "sealed": _sealed}
