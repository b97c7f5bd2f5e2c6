"""What of a hit tells who a patient is, behind a cue or by an exact check: addresses, numbers, ages, places. Used by `runbooks.redaction.parts`."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from string import ascii_letters

from runbooks.redaction.checks import looks_like_a_person
from runbooks.redaction.marks import PrivateKind
from runbooks.redaction.part import PrivatePart, Reader, digits_in, exactly, part
from runbooks.redaction.text import ScannedText

_HEX = re.compile(rb"(?=[0-9]*[a-f])[0-9a-f]{12,}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-")
_LEAST_DIGITS = 4


def _numbered(kind: PrivateKind) -> Reader:
    """An identifier: some digits, no digest and no UUID, and no mark."""

    def read(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
        data = text.data
        value = data[start:end].rstrip(b"-/")
        digits = digits_in(value)
        # what goes on (`…_7`, `….5`) is a longer name, which the cue does not mean
        if digits >= _LEAST_DIGITS and not _HEX.fullmatch(value) and not _UUID.match(value):
            yield part(kind, start, start + len(value))

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


_NUMBERED = str.maketrans({sign: str(int(sign, 36)) for sign in ascii_letters})
"""An IBAN's letters as numbers: A is 10."""


def iban(value: bytes) -> bool:
    """ISO 13616: modulo 97 is 1."""
    plain = value.replace(b" ", b"").decode()
    return int((plain[4:] + plain[:4]).translate(_NUMBERED)) % 97 == 1


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


def _checked(kind: PrivateKind, holds: Callable[[bytes], bool]) -> Reader:
    def read(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
        data = text.data
        if holds(data[start:end]):
            yield part(kind, start, end)

    return read


def _card(value: bytes) -> bool:
    return luhn(_CARD_DIGITS.sub(b"", value))


_TRACES = re.compile(rb"(?i:(?:trace|span|request|correlation|parent)[_-]?id)[\"']?\s?[:=]\s?[\"']?\Z")


def _bank_card(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """By its check digit, which one in ten trace ids has too."""
    if _card(text.data[start:end]) and not _TRACES.search(text.data, max(0, start - 30), start):
        yield part(PrivateKind.ACCOUNT, start, end)


def _vehicle(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """Behind its cue: capitals and digits, up to a second blank."""
    data = text.data
    value = re.match(rb"[A-Z0-9]{2,17}(?:[ -][A-Z0-9]{1,5})?", data[start:end])
    if value and re.search(rb"\d", value.group()):
        yield part(PrivateKind.VEHICLE, start, start + value.end())


def _ip(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """A person's: none of the ranges that networks use among themselves."""
    data = text.data
    at = start
    for each in data[start:end].split(b","):
        address = each.strip()
        first = data.index(address, at) if address else at
        if _public(address):
            yield part(PrivateKind.IP, first, first + len(address))
        at = first + len(address)


def _public(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    documented = any(address in network for network in _DOCUMENTED if network.version == address.version)
    return documented or not (address.is_private or address.is_loopback or address.is_link_local or address in _SHARED)


_SHARED = ipaddress.ip_network("100.64.0.0/10")
_DOCUMENTED = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
"""Python calls these private; in a text they stand for somebody's."""

_ADDRESS = re.compile(rb"\d{1,6}[ ][^\r\n\"';|<>{}\[\]\\]{3,120}")
_TO_ZIP = re.compile(rb"[^\r\n\"';|<>{}\[\]\\]{3,120}?[ ]\d{5}(?:-\d{4})?\b")
_SENTENCE_ENDS = re.compile(rb"(?<=[a-z]{4})\.(?=\s)")
_STREET_NUMBER = re.compile(rb"\d")


def _address(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> Iterator[PrivatePart]:
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
    yield part(PrivateKind.ADDRESS, start, start + len(said.rstrip(b" .,)")))


def _named(words: int) -> Reader:
    def read(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
        data = text.data
        last = looks_like_a_person(data, start, end, words=words)
        if last > start:
            yield part(PrivateKind.NAME, start, last)

    return read


def _name_before(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """All of it has to be a name: a sentence's own words may stand before one."""
    data = text.data
    name = data[start:end].rstrip(b", (")
    last = looks_like_a_person(data, start, start + len(name), words=2)
    if last == start + len(name):
        yield part(PrivateKind.NAME, start, last)


_OTHER_COORDINATE = re.compile(rb"(?i:\bl(?:at|on|ng|at[a-z]*|on[a-z]*)\b)")


def _coordinate(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    """A latitude or a longitude beside the other one; `lat=` alone is also how long something took."""
    data = text.data
    around = _OTHER_COORDINATE.findall(data, max(0, start - 60), min(len(data), end + 40))
    if {word[:2].lower() for word in around} >= {b"la", b"lo"} or {word.lower() for word in around} >= {b"lat", b"lng"}:
        yield part(PrivateKind.ADDRESS, start, end)


def _city(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> Iterator[PrivatePart]:
    last = looks_like_a_person(text.data, start, end, words=1)
    last -= len(text.data[start:last]) - len(text.data[start:last].rstrip(b"'"))
    if last > start:
        yield part(PrivateKind.ADDRESS, start, last)


READERS: dict[str, Reader] = {
    "clinical_date": exactly(PrivateKind.DATE),
    "city": _city,
    "coordinate": _coordinate,
    "picture": exactly(PrivateKind.PICTURE),
    "street": exactly(PrivateKind.ADDRESS),
    "po_box": exactly(PrivateKind.ADDRESS),
    "place": exactly(PrivateKind.ADDRESS),
    "zip": exactly(PrivateKind.ADDRESS),
    "address": _address,
    "event_date": exactly(PrivateKind.DATE),
    "age": exactly(PrivateKind.AGE),
    "old": exactly(PrivateKind.AGE),
    "plan": _numbered(PrivateKind.PLAN),
    "mbi": exactly(PrivateKind.PLAN),
    "account": _numbered(PrivateKind.ACCOUNT),
    "card": _bank_card,
    "card_cue": _checked(PrivateKind.ACCOUNT, _card),
    "iban_cue": _checked(PrivateKind.ACCOUNT, iban),
    "iban": _checked(PrivateKind.ACCOUNT, iban),
    "licence": _numbered(PrivateKind.LICENCE),
    "plate": _vehicle,
    "vin": _checked(PrivateKind.VEHICLE, vin),
    "device": _numbered(PrivateKind.DEVICE),
    "record": _numbered(PrivateKind.RECORD),
    "biometric": exactly(PrivateKind.BIOMETRIC),
    "person_ip": _ip,
    "access_ip": _ip,
    "profile": exactly(PrivateKind.URL),
    "own_url": exactly(PrivateKind.URL),
    "relative": _named(2),
    "name_before": _name_before,
}
