"""What of a hit tells who a patient is: HL7 v2 segments and FHIR structures by field, the rest by its exact check.

Used by `runbooks.redaction.parts`. A reader gives the parts of one hit in reading order, or none.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runbooks.redaction.checks import looks_like_a_person
from runbooks.redaction.rules import MARK, Kind
from runbooks.redaction.text import Text


class Found(NamedTuple):
    """`data[start:end]` is private."""

    kind: Kind
    start: int
    end: int


Reader = Callable[[Text, int, int], Iterator[Found]]
"""(text, where the rule's group begins, where it ends) → what is private there."""

# ---- HL7 v2: https://hl7-definition.caristix.com/v2/HL7v2.5.1, field numbers as in the standard's chapters 3 and 6 ----

_NAME, _DATE, _PLACE, _PHONE = Kind.NAME, Kind.DATE, Kind.ADDRESS, Kind.PHONE
_FIELDS: dict[bytes, dict[int, Kind]] = {
    b"PID": {
        2: Kind.MRN, 3: Kind.MRN, 4: Kind.MRN, 5: _NAME, 6: _NAME, 7: Kind.BIRTH_DATE, 9: _NAME, 11: _PLACE, 12: _PLACE,
        13: _PHONE, 14: _PHONE, 18: Kind.ACCOUNT, 19: Kind.SSN, 20: Kind.LICENCE, 21: Kind.MRN, 23: _PLACE, 29: _DATE,
    },
    b"NK1": {
        2: _NAME, 4: _PLACE, 5: _PHONE, 6: _PHONE, 8: _DATE, 9: _DATE, 12: Kind.RECORD, 13: _NAME, 16: Kind.BIRTH_DATE,
        26: _NAME, 30: _NAME, 31: _PHONE, 32: _PLACE, 33: Kind.MRN, 37: Kind.SSN,
    },
    b"GT1": {2: Kind.ACCOUNT, 3: _NAME, 4: _NAME, 5: _PLACE, 6: _PHONE, 7: _PHONE, 8: Kind.BIRTH_DATE, 12: Kind.SSN, 16: _NAME, 17: _PLACE, 18: _PHONE, 19: Kind.RECORD, 45: _NAME, 46: _PHONE},
    b"IN1": {6: _NAME, 8: Kind.PLAN, 10: Kind.PLAN, 16: _NAME, 18: Kind.BIRTH_DATE, 19: _PLACE, 36: Kind.PLAN, 49: Kind.PLAN},
    b"IN2": {1: Kind.PLAN, 2: Kind.SSN, 6: Kind.PLAN, 8: Kind.PLAN, 25: Kind.PLAN, 61: Kind.PLAN, 63: _PHONE, 64: _PHONE},
    b"MRG": {1: Kind.MRN, 2: Kind.MRN, 3: Kind.ACCOUNT, 4: Kind.MRN, 5: Kind.RECORD, 6: Kind.RECORD, 7: _NAME},
    b"PV1": {5: Kind.RECORD, 19: Kind.RECORD, 44: _DATE, 45: _DATE, 50: Kind.RECORD},
    b"PV2": {8: _DATE, 9: _DATE},
    b"ORC": {2: Kind.RECORD, 3: Kind.RECORD, 4: Kind.RECORD, 9: _DATE, 15: _DATE},
    b"OBR": {2: Kind.RECORD, 3: Kind.RECORD, 6: _DATE, 7: _DATE, 8: _DATE, 14: _DATE, 22: _DATE},
    b"OBX": {14: _DATE, 19: _DATE},
}  # fmt: skip
_FIELD = re.compile(rb"(?:(?!\\[rn]|\\u000[AaDd]|%0[AaDd])[^\r\n\x1c\"|]|\"\"|\"(?=[\w^|&~]|\\{1,7}\"))*+")
"""A quotation mark ends it, unless the field goes on behind it: `O\\"Brien`, `\\"\\"` for nothing."""
_PIPE = 0x7C
_DONE = re.compile(rb"\[(?:" + b"|".join(re.escape(kind.value.encode()) for kind in Kind) + rb")(?: \d{1,6})?\]")
"""A mark, with its number or, in the shape of many lines, without."""
_NO_VALUE = re.compile(rb"[\s\"^~&\\]*")


def _hl7(text: Text, start: int, end: int) -> Iterator[Found]:
    """Every field that the standard gives to a person, whole: a component alone (a city, a prefix) tells something too."""
    data, at = text.data, end
    kinds = _FIELDS[data[start : start + 3]]
    for number in range(1, max(kinds) + 1):
        field = _FIELD.match(data, at)
        last = field.end() if field else at
        text.look(last - at)
        behind = last
        if data[last : last + 1] == b'"':
            last = at + len(data[at:last].rstrip(b"\\"))  # they belong to the mark that ends a JSON text
        kind = kinds.get(number)
        if kind is not None and not _NO_VALUE.fullmatch(data, at, last) and not _DONE.fullmatch(data, at, last):
            yield Found(kind, at, last)
        if behind >= len(data) or data[behind] != _PIPE:
            return
        at = behind + 1


# ---- FHIR, as JSON ----

_STRUCTURES = {
    b"address": Kind.ADDRESS,
    b"name": Kind.NAME,
    b"telecom": Kind.PHONE,
    b"identifier": Kind.MRN,
    b"photo": Kind.PICTURE,
    b"period": Kind.DATE,
}
_TEXT = re.compile(
    rb'\\{0,3}"(?P<text>(?:[^"\\\r\n]|\\(?!["\\])[^\r\n]|\\\\[^"\r\n])*?)(?P<close>\\{0,3}")\s{0,3}(?P<colon>:)?'
)
_CODES = re.compile(rb"(?:https?|urn):[^\s]*")
_SHOWN = frozenset(
    {b"use", b"system", b"type", b"rank", b"code", b"display", b"contentType", b"resourceType", b"reference"}
)
_OF_A_PERSON = frozenset({b"family", b"given", b"text", b"prefix"})


def _structure(text: Text, start: int, _end: int) -> Iterator[Found]:
    """Each text in a `HumanName`, `Address`, `ContactPoint`, `Identifier` or picture; what only codes it stays."""
    data = text.data
    key = next(
        key for key in _STRUCTURES if data[max(0, start - 40) : start].lower().rstrip(b" :\t\r\n\\\"'").endswith(key)
    )
    if start < text.read_until(b"") or start < text.read_until(key):
        return  # with the structure around it
    last = text.closing(start)
    text.look(last - start)
    texts = list(_TEXT.finditer(data, start, last))
    keys = {each["text"] for each in texts if each["colon"]}
    told = (
        not (key == b"name" and not keys & _OF_A_PERSON)
        and not (key == b"identifier" and b"value" not in keys)
        and not (key == b"period" and keys.isdisjoint((b"start", b"end")))
    )
    text.was_read(b"" if told else key, last)
    if not told:
        return  # a Deployment's, a metric's
    kind, under = _STRUCTURES[key], b""
    for each in texts:
        if each["colon"]:
            under = each["text"]
        elif (
            under not in _SHOWN
            and each["text"]
            and not _CODES.fullmatch(each["text"])
            and not _DONE.fullmatch(each["text"])
        ):
            yield Found(_finer(kind, each["text"]), *each.span("text"))


def _finer(kind: Kind, text: bytes) -> Kind:
    return Kind.EMAIL if kind is Kind.PHONE and b"@" in text else kind


# ---- behind a cue, or by a check digit ----

_HEX = re.compile(rb"(?=[0-9]*[a-f])[0-9a-f]{12,}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-")
_LEAST_DIGITS = 4


def _numbered(kind: Kind) -> Reader:
    """An identifier: some digits, no digest and no UUID, and no mark."""

    def read(text: Text, start: int, end: int) -> Iterator[Found]:
        data = text.data
        value = data[start:end].rstrip(b"-/")
        digits = sum(byte in b"0123456789" for byte in value)
        # what goes on (`…_7`, `….5`) is a longer name, which the cue does not mean
        if digits >= _LEAST_DIGITS and not _HEX.fullmatch(value) and not _UUID.match(value):
            yield Found(kind, start, start + len(value))

    return read


def _plain(kind: Kind) -> Reader:
    def read(_text: Text, start: int, end: int) -> Iterator[Found]:
        yield Found(kind, start, end)

    return read


_CARD_DIGITS = re.compile(rb"\D")


def luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, byte in enumerate(reversed(digits)):
        value = byte - 0x30
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2  # noqa: PLR2004
        total += value
    return total % 10 == 0


def iban(value: bytes) -> bool:
    """ISO 13616: modulo 97 is 1."""
    plain = value.replace(b" ", b"").decode()
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


_VIN_VALUES = {
    sign: value
    for value, signs in enumerate(("", "AJ", "BKS", "CLT", "DMU", "ENV", "FW", "GPX", "HY", "RZ")[0:10])
    for sign in signs
}
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(value: bytes) -> bool:
    """49 CFR 565.15: the ninth sign is the check digit."""
    text = value.decode()
    numbers = [int(sign) if sign.isdigit() else _VIN_VALUES.get(sign, -1) for sign in text]
    if -1 in numbers or text.isdigit() or text.isalpha():
        return False
    rest = sum(number * weight for number, weight in zip(numbers, _VIN_WEIGHTS, strict=True)) % 11
    return text[8] == ("X" if rest == 10 else str(rest))  # noqa: PLR2004


def _checked(kind: Kind, holds: Callable[[bytes], bool]) -> Reader:
    def read(text: Text, start: int, end: int) -> Iterator[Found]:
        data = text.data
        if holds(data[start:end]):
            yield Found(kind, start, end)

    return read


def _card(value: bytes) -> bool:
    return luhn(_CARD_DIGITS.sub(b"", value))


_TRACES = re.compile(rb"(?i:(?:trace|span|request|correlation|parent)[_-]?id)[\"']?\s?[:=]\s?[\"']?\Z")


def _bank_card(text: Text, start: int, end: int) -> Iterator[Found]:
    """By its check digit, which one in ten trace ids has too."""
    if _card(text.data[start:end]) and not _TRACES.search(text.data, max(0, start - 30), start):
        yield Found(Kind.ACCOUNT, start, end)


def _vehicle(text: Text, start: int, end: int) -> Iterator[Found]:
    """Behind its cue: capitals and digits, up to a second blank."""
    data = text.data
    value = re.match(rb"[A-Z0-9]{2,17}(?:[ -][A-Z0-9]{1,5})?", data[start:end])
    if value and re.search(rb"\d", value.group()):
        yield Found(Kind.VEHICLE, start, start + value.end())


def _ip(text: Text, start: int, end: int) -> Iterator[Found]:
    """A person's: none of the ranges that networks use among themselves."""
    data = text.data
    at = start
    for part in data[start:end].split(b","):
        address = part.strip()
        first = data.index(address, at) if address else at
        if _public(address):
            yield Found(Kind.IP, first, first + len(address))
        at = first + len(address)


def _public(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    shared = ipaddress.ip_network("100.64.0.0/10")
    documented = any(address in network for network in _DOCUMENTED if network.version == address.version)
    return documented or not (address.is_private or address.is_loopback or address.is_link_local or address in shared)


_DOCUMENTED = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
"""Python calls these private; in a text they stand for somebody's."""

_ADDRESS = re.compile(rb"\d{1,6}[ ][^\r\n\"';|<>{}\[\]\\]{3,120}")
_TO_ZIP = re.compile(rb"[^\r\n\"';|<>{}\[\]\\]{3,120}?[ ]\d{5}(?:-\d{4})?\b")
_SENTENCE_ENDS = re.compile(rb"(?<=[a-z]{4})\.(?=\s)")
_STREET_NUMBER = re.compile(rb"\d")


def _address(text: Text, _start: int, end: int) -> Iterator[Found]:
    """Behind its cue, from the house's number to the postal code, else to the end of the sentence, the line or the value."""
    data = text.data
    digit = _STREET_NUMBER.search(data, end)
    value = _ADDRESS.match(data, digit.start()) if digit else None
    if value is None:
        return
    start, said = value.start(), value.group()
    if (whole := _TO_ZIP.match(said)) is not None:
        said = whole.group()
    elif (ends := _SENTENCE_ENDS.search(said)) is not None:
        said = said[: ends.start()]
    yield Found(Kind.ADDRESS, start, start + len(said.rstrip(b" .,)")))


def _named(words: int) -> Reader:
    def read(text: Text, start: int, end: int) -> Iterator[Found]:
        data = text.data
        last = looks_like_a_person(data, start, end, words=words)
        if last > start:
            yield Found(Kind.NAME, start, last)

    return read


def _name_before(text: Text, start: int, end: int) -> Iterator[Found]:
    """All of it has to be a name: a sentence's own words may stand before one."""
    data = text.data
    name = data[start:end].rstrip(b", (")
    last = looks_like_a_person(data, start, start + len(name), words=2)
    if last == start + len(name):
        yield Found(Kind.NAME, start, last)


_DISPLAYED = re.compile(rb"(?:[^\"\\\r\n]|\\[^\"\r\n])*+")
_REFERS_TO = re.compile(
    rb"reference\\{0,3}\"\s{0,9}:\s{0,9}\\{0,3}\"[^\"]{0,100}?(?:Patient|RelatedPerson|Practitioner|Person)\\?/"
)
_STANDS_FOR = re.compile(
    rb"(?:subject|patient|individual|beneficiary|subscriber|performer|practitioner|participant|author|recorder|asserter|actor)\\{0,3}\"\s{0,9}:\s{0,9}\[?\s{0,20}\Z"
)
_AROUND = 300


def _display(text: Text, _start: int, end: int) -> Iterator[Found]:
    """The name beside a reference to a person; what a code is displayed as stays."""
    data = text.data
    value = _DISPLAYED.match(data, end)
    if value is None or value.end() == end:
        return
    before, opens, inside = data[max(0, end - _AROUND) : end].rpartition(b"{")
    behind = data[value.end() : value.end() + _AROUND].partition(b"}")[0]
    if _REFERS_TO.search(inside) or _REFERS_TO.search(behind) or (opens and _STANDS_FOR.search(before[-80:])):
        yield Found(Kind.NAME, end, value.end())


_SEARCHES = {
    b"family": Kind.NAME, b"given": Kind.NAME, b"name": Kind.NAME, b"patient": Kind.MRN, b"subject": Kind.MRN, b"birthdate": Kind.BIRTH_DATE,
    b"phone": Kind.PHONE, b"email": Kind.EMAIL, b"telecom": Kind.PHONE, b"identifier": Kind.MRN,
}  # fmt: skip
_SAY_IT_ALONE = frozenset({b"family", b"given", b"birthdate"})
_PREFIX = re.compile(rb"(?:(?i:patient)(?:/|%2[Ff])|(?:eq|ne|gt|lt|ge|le|sa|eb|ap)(?=\d{4}))")
_PATIENTS = re.compile(rb"(?i:patient|person)")


def _search(text: Text, start: int, end: int) -> Iterator[Found]:
    """A FHIR search: `?family=…&given=…`, `?patient=88213`; `name=` and the like only where patients are sought."""
    data = text.data
    key, _, value = data[start:end].partition(b"=")
    key = key.partition(b":")[0]
    first = end - len(value)
    if prefix := _PREFIX.match(value):
        first += prefix.end()
    value = data[first:end]
    kind = _SEARCHES.get(key, Kind.ADDRESS)
    if key in (b"patient", b"subject"):
        if not any(byte in b"0123456789" for byte in value):
            return
    elif key not in _SAY_IT_ALONE and not _PATIENTS.search(data, max(0, start - 120), start):
        return
    marked = value.find(b"[")
    if marked >= 0 and MARK.match(data, first + marked):
        return
    if value and not value.lower().startswith(b"ipv"):
        yield Found(kind, first, end)


_OTHER_COORDINATE = re.compile(rb"(?i:\bl(?:at|on|ng|at[a-z]*|on[a-z]*)\b)")


def _coordinate(text: Text, start: int, end: int) -> Iterator[Found]:
    """A latitude or a longitude beside the other one; `lat=` alone is also how long something took."""
    data = text.data
    around = _OTHER_COORDINATE.findall(data, max(0, start - 60), min(len(data), end + 40))
    if {word[:2].lower() for word in around} >= {b"la", b"lo"} or {word.lower() for word in around} >= {b"lat", b"lng"}:
        yield Found(Kind.ADDRESS, start, end)


def _city(text: Text, start: int, end: int) -> Iterator[Found]:
    last = looks_like_a_person(text.data, start, end, words=1)
    last -= len(text.data[start:last]) - len(text.data[start:last].rstrip(b"'"))
    if last > start:
        yield Found(Kind.ADDRESS, start, last)


READERS: dict[str, Reader] = {
    "display": _display,
    "clinical_date": _plain(Kind.DATE),
    "search": _search,
    "city": _city,
    "coordinate": _coordinate,
    "hl7": _hl7,
    "structure": _structure,
    "picture": _plain(Kind.PICTURE),
    "street": _plain(Kind.ADDRESS),
    "po_box": _plain(Kind.ADDRESS),
    "place": _plain(Kind.ADDRESS),
    "zip": _plain(Kind.ADDRESS),
    "address": _address,
    "event_date": _plain(Kind.DATE),
    "age": _plain(Kind.AGE),
    "old": _plain(Kind.AGE),
    "plan": _numbered(Kind.PLAN),
    "mbi": _plain(Kind.PLAN),
    "account": _numbered(Kind.ACCOUNT),
    "card": _bank_card,
    "card_cue": _checked(Kind.ACCOUNT, _card),
    "iban_cue": _checked(Kind.ACCOUNT, iban),
    "iban": _checked(Kind.ACCOUNT, iban),
    "licence": _numbered(Kind.LICENCE),
    "plate": _vehicle,
    "vin": _checked(Kind.VEHICLE, vin),
    "device": _numbered(Kind.DEVICE),
    "record": _numbered(Kind.RECORD),
    "biometric": _plain(Kind.BIOMETRIC),
    "person_ip": _ip,
    "access_ip": _ip,
    "profile": _plain(Kind.URL),
    "own_url": _plain(Kind.URL),
    "relative": _named(2),
    "name_before": _name_before,
}
