"""What of a hit is a name, a telephone, an e-mail address, a birth date, a social security or record number. Used by `runbooks.redaction.parts`."""

import re

from runbooks.redaction.checks import is_birth_date, looks_like_a_person, valid_ssn
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import One, Reader, digits_in, exactly, none, one
from runbooks.redaction.pieces import NAME
from runbooks.redaction.text import ScannedText
from runbooks.redaction.values import BLANK, QUOTE, checked, left, quoted

_DIGIT = re.compile(rb"\d")
_NUMBER_RUN = re.compile(rb"[\d.\-]+")


_GOES_ON = re.compile(rb"\w|[-.]\w")


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    """Not a piece of a longer name or number, such as a pod's or an address."""
    before = data[start - 1 : start] if start else b""
    return not (before.isalnum() or before in (b"-", b"_", b".") or _GOES_ON.match(data, end))


def _number(kind: PrivateKind, data: bytes, start: int, end: int, *, valid: bool) -> One:
    if valid and _stands_alone(data, start, end):
        return one(kind, start, end)
    run = _NUMBER_RUN.match(data, start)
    return none(run.end() if run else start + 1)


def _ssn(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    return _number(PrivateKind.SSN, data, start, end, valid=valid_ssn(data[start:end]))


def _phone(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    return _number(PrivateKind.PHONE, data, start, end, valid=not _of_a_row(data, start, end))


_BEFORE_IN_ROW = re.compile(rb"(?:HTTP/[\d.]{1,3}\\?\" (?:\d{1,12} ){0,3}|\d/)\Z")


def _of_a_row(data: bytes, start: int, end: int) -> bool:
    """Whether it is three numbers of an access log: `236/236 200 4586`, `"GET / HTTP/1.1" 200 236 4586`."""
    if data[start:end].translate(None, b"0123456789 "):
        return False
    return _BEFORE_IN_ROW.search(data, max(0, start - _ROW_REACH), start) is not None


_ROW_REACH = 60


def _phone_abroad(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    digits = digits_in(data[start:end])
    if 8 <= digits <= 15 and _stands_alone(data, start, end):  # noqa: PLR2004 - E.164
        return one(PrivateKind.PHONE, start, end)
    return none(start + 1)


def _phone_cue(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    digits = digits_in(data[start:end])
    if not 7 <= digits <= 15:  # noqa: PLR2004
        return none(start)
    before = data[start - 1 : start]
    # what stands between a cue and its number may open a bracket, too, so it took the number's own
    own = before == b"+" or (before == b"(" and data.count(b")", start, end) > data.count(b"(", start, end))
    return one(PrivateKind.PHONE, start - 1 if own and start > hit.start() else start, end)


def _patient_path(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """A record's number has a digit; `Patient/$everything`, `/patients/search` have none."""
    data = text.data
    value = data[start:end].rstrip(b".")
    if value.isalpha() or not _DIGIT.search(value):
        return none(start)
    return one(PrivateKind.MRN, start, start + len(value))


_USER = re.compile(rb"[A-Za-z0-9._%+-]*+")
_LONGEST_USER = 128
_NO_HOST = re.compile(rb"\d+\.\d.*+|[\w-]++\.(?:service|socket|target|timer|mount|slice|scope|device|path)")


def _email(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """The pattern begins with the last sign before the @: what has none would be sought from each sign of a long run."""
    data = text.data
    start = left(_USER, data, start, _LONGEST_USER)
    user, _, host = data[start:end].replace(b"%40", b"@").rpartition(b"@")
    if user == b"git" or data[start - 3 : start] == b"://" or _NO_HOST.fullmatch(host):
        return none(end)  # a repository, a connection string without a password, package@1.2.tgz, getty@tty1.service
    return one(PrivateKind.EMAIL, start, end)


def _birth_date(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    return one(PrivateKind.BIRTH_DATE, start, end) if is_birth_date(data[start:end]) else none(start)


_ONE_NAME = re.compile(NAME)
_ANY_WORD = re.compile(rb"(?:[A-Za-z.'-]|%20|[\x80-\xff])+")
_SURNAME = re.compile(
    rb"(?:(?i:da|das|de|del|della|den|der|di|do|dos|du|la|las|le|los|van|von|vom|zu|zum|zur|ten|ter|al|el|bin|bint|ibn)(?:[ ]|%20|\+)){1,3}(?:"
    + NAME
    + rb"|"
    + _ANY_WORD.pattern
    + rb")"
)
"""Behind its small words, which are no name by themselves: `van der Berg`."""
_LIST_OPENS = re.compile(rb"\s*\[\s*")


_COMPONENTS = re.compile(rb"(?:\^[A-Za-z.'\x80-\xff-]{0,40}){1,5}")
"""HL7 and DICOM write `LOPEZ^MARIA^A`."""


def _with_components(data: bytes, end: int) -> int:
    more = _COMPONENTS.match(data, end)
    return more.end() if more else end


_VALUE_TYPE = re.compile(rb"[A-Z]{2}: ")
"""DICOM headers say a value's type between its name and the value: `PatientName   PN: 'LOPEZ^MARIA'`."""


def _name(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    if _VALUE_TYPE.match(data, start):
        return none(start)
    end = looks_like_a_person(data, start, end, words=1)
    return one(PrivateKind.NAME, start, _with_components(data, end)) if end > start else none(start)


def _plain_name(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`name=` stands before pods and volumes too: only two words that could be a person's count."""
    data = text.data
    end = looks_like_a_person(data, start, end, words=2)
    return one(PrivateKind.NAME, start, end) if end > start else none(start)


_SQL_TEXT = re.compile(rb"(?P<letter>[EeNnUu]&?)?'(?P<text>(?:[^'\\\r\n]|''|\\[^\r\n]){1,400}+)'")
r"""As SQL writes it: a letter before it (`N'…'`), a quotation mark in it twice or behind a backslash (`'O''Brien'`, `E'O\'Brien'`)."""
_CALLED = re.compile(rb"[A-Za-z_]{1,30}\((?P<given>(?:[EeNn]?'|\"|\[|(?i:array)\[)[^)\r\n]{1,400})")
"""`last_name = ANY('{…}')`: whatever a function is given, as a whole."""


def _field_name(text: ScannedText, _hit: re.Match[bytes], _start: int, end: int) -> One:
    """`first_name=`, `"family":`: whatever stands there is a name."""
    data = text.data
    blank = BLANK.match(data, end)
    at = blank.end() if blank else end
    if data[at : at + 5].lower().strip(b"\"'\\").startswith(b"ipv"):
        return none(max(at, end))
    if opens := _LIST_OPENS.match(data, at):
        at = at if MARK.match(data, at) else opens.end()
    literal = _SQL_TEXT.match(data, at)
    if literal and (literal["letter"] or b"''" in literal["text"] or b"\\'" in literal["text"]):
        return checked(data, PrivateKind.NAME, *literal.span("text"), strict=True)
    if quote := QUOTE.match(data, at):
        first, last = quoted(data, quote)
        return checked(data, PrivateKind.NAME, first, last, strict=True)
    if called := _CALLED.match(data, at):
        return one(PrivateKind.NAME, *called.span("given"))
    value = _SURNAME.match(data, at) or _ONE_NAME.match(data, at) or _ANY_WORD.match(data, at)
    last = _with_components(data, value.end()) if value else at
    return checked(data, PrivateKind.NAME, at, last, strict=True)


READERS: dict[str, Reader] = {
    "ssn_cue": exactly(PrivateKind.SSN),
    "mrn": exactly(PrivateKind.MRN),
    "patient_path": _patient_path,
    "birth_date": _birth_date,
    "phone_cue": _phone_cue,
    "field_name": _field_name,
    "name": _name,
    "plain_name": _plain_name,
    "ssn": _ssn,
    "phone": _phone,
    "phone_abroad": _phone_abroad,
    "email": _email,
}
