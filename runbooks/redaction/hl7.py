"""What of an HL7 v2 segment the standard gives to a person. Used by `runbooks.redaction.parts`.

Field numbers: https://hl7-definition.caristix.com/v2/HL7v2.5.1, chapters 3 and 6.
"""

import re

from runbooks.redaction.marks import DONE, PrivateKind
from runbooks.redaction.part import PrivatePart, Reader
from runbooks.redaction.text import ScannedText

_NAME, _DATE, _PLACE, _PHONE = PrivateKind.NAME, PrivateKind.DATE, PrivateKind.ADDRESS, PrivateKind.PHONE
_TEXT = PrivateKind.NARRATIVE
_OF_A_SITE = b"Z"
"""A segment that only its sender knows begins with it."""
_FIELDS: dict[bytes, dict[int, PrivateKind]] = {
    b"PID": {
        2: PrivateKind.MRN, 3: PrivateKind.MRN, 4: PrivateKind.MRN, 5: _NAME, 6: _NAME, 7: PrivateKind.BIRTH_DATE, 9: _NAME, 11: _PLACE, 12: _PLACE,
        13: _PHONE, 14: _PHONE, 18: PrivateKind.ACCOUNT, 19: PrivateKind.SSN, 20: PrivateKind.LICENCE, 21: PrivateKind.MRN, 23: _PLACE, 29: _DATE,
    },
    b"NK1": {
        2: _NAME, 4: _PLACE, 5: _PHONE, 6: _PHONE, 8: _DATE, 9: _DATE, 12: PrivateKind.RECORD, 13: _NAME, 16: PrivateKind.BIRTH_DATE,
        26: _NAME, 30: _NAME, 31: _PHONE, 32: _PLACE, 33: PrivateKind.MRN, 37: PrivateKind.SSN,
    },
    b"GT1": {2: PrivateKind.ACCOUNT, 3: _NAME, 4: _NAME, 5: _PLACE, 6: _PHONE, 7: _PHONE, 8: PrivateKind.BIRTH_DATE, 12: PrivateKind.SSN, 16: _NAME, 17: _PLACE, 18: _PHONE, 19: PrivateKind.RECORD, 45: _NAME, 46: _PHONE},
    b"IN1": {6: _NAME, 8: PrivateKind.PLAN, 10: PrivateKind.PLAN, 16: _NAME, 18: PrivateKind.BIRTH_DATE, 19: _PLACE, 36: PrivateKind.PLAN, 49: PrivateKind.PLAN},
    b"IN2": {1: PrivateKind.PLAN, 2: PrivateKind.SSN, 6: PrivateKind.PLAN, 8: PrivateKind.PLAN, 25: PrivateKind.PLAN, 61: PrivateKind.PLAN, 63: _PHONE, 64: _PHONE},
    b"MRG": {1: PrivateKind.MRN, 2: PrivateKind.MRN, 3: PrivateKind.ACCOUNT, 4: PrivateKind.MRN, 5: PrivateKind.RECORD, 6: PrivateKind.RECORD, 7: _NAME},
    b"PV1": {
        5: PrivateKind.RECORD, 7: _NAME, 8: _NAME, 9: _NAME, 17: _NAME, 19: PrivateKind.RECORD, 44: _DATE, 45: _DATE, 50: PrivateKind.RECORD, 52: _NAME,
    },
    b"PV2": {8: _DATE, 9: _DATE},
    b"ORC": {
        2: PrivateKind.RECORD, 3: PrivateKind.RECORD, 4: PrivateKind.RECORD, 9: _DATE, 10: _NAME, 11: _NAME, 12: _NAME, 14: _PHONE, 15: _DATE, 19: _NAME,
    },
    b"OBR": {
        2: PrivateKind.RECORD, 3: PrivateKind.RECORD, 6: _DATE, 7: _DATE, 8: _DATE, 10: _NAME, 14: _DATE, 16: _NAME, 17: _PHONE, 22: _DATE,
        28: _NAME, 32: _NAME, 33: _NAME, 34: _NAME, 35: _NAME,
    },
    b"OBX": {5: _TEXT, 14: _DATE, 16: _NAME, 19: _DATE},
    b"ROL": {1: PrivateKind.RECORD, 4: _NAME, 5: _DATE, 6: _DATE, 8: _TEXT, 11: _PLACE, 12: _PHONE},
    b"STF": {
        1: PrivateKind.RECORD, 2: PrivateKind.RECORD, 3: _NAME, 6: PrivateKind.BIRTH_DATE, 10: _PHONE, 11: _PLACE, 12: _DATE, 13: _DATE, 14: _NAME,
        15: PrivateKind.EMAIL, 22: PrivateKind.LICENCE,
    },
    b"PRA": {1: PrivateKind.RECORD, 6: PrivateKind.LICENCE, 8: _DATE},
    b"AL1": {3: _TEXT, 5: _TEXT, 6: _DATE},
    b"PRB": {2: _DATE, 3: _TEXT, 4: PrivateKind.RECORD, 5: PrivateKind.RECORD, 7: _DATE, 8: _DATE, 9: _DATE, 15: _DATE, 16: _DATE, 17: _TEXT, 24: _TEXT},
    b"DG1": {4: _TEXT, 5: _DATE, 16: _NAME, 19: _DATE},
    b"NTE": dict.fromkeys(range(3, 11), _TEXT),
    _OF_A_SITE: dict.fromkeys(range(1, 61), _TEXT),
}  # fmt: skip
_FIELD = rb"(?:[^\r\n\x1c\"|\\%]++|\\(?![rn]|u000[AaDd])|%(?!0[AaDd])|\"\"|\"(?=[\w^|&~]|\\{1,7}\"))*+"
r"""A quotation mark ends it, unless the field goes on behind it: `O\\"Brien`, `\\"\\"` for nothing."""
_NOTHING = re.compile(rb"[\s\"^~&\\]*+|" + DONE.pattern)
_CODE = re.compile(rb"\d{1,4}|[A-Z]")
_SAID_IN_WORDS = re.compile(rb"[^|\r\n]{0,8}\|(?:TX|FT|ST)\|")
"""OBX-2: the observation's value is a text."""
_RESULT = re.compile(
    rb"(?:[<>=]{0,2} ?[+-]?\d{1,6}(?:\.\d{1,6})?(?:[-/:]\d{1,6}(?:\.\d{1,6})?)?(?: ?[a-z%m][A-Za-z0-9/%^]{0,11})?"
    rb"|[A-Z]{0,3}[0-9+.-]{0,4}|[a-z]{1,20}"
    rb"|(?i:(?:not |none )?(?:detected|seen|isolated)|(?:weakly )?(?:positive|negative)|(?:non-?)?reactive|(?:ab)?normal|no growth"
    rb"|normal|trace|none|few|rare|many|moderate|clear|cloudy|yellow|high|low|equivocal|indeterminate|inconclusive|pending))"
)
"""What a laboratory answers, which tells nobody's name: a number, a short code, one of the usual words."""
_ALONE = re.compile(rb"\d{0,3}\|")
"""How the first field of a site's segment is, where its message was not seen: the number of the segment. `ZIP|CITY|STATE` is none."""


def _segment(kinds: dict[int, PrivateKind]) -> tuple[tuple[PrivateKind, ...], re.Pattern[bytes]]:
    """Return the kinds of a segment's private fields, and what reads all of them at once: each is one of its groups."""
    fields = [b"(%s)" % _FIELD if number in kinds else _FIELD for number in range(1, max(kinds) + 1)]
    first, *more = fields
    return tuple(kinds[number] for number in sorted(kinds)), re.compile(
        first + b"".join(rb"(?:\|%s)?+" % each for each in more)
    )


_SEGMENTS = {name: _segment(kinds) for name, kinds in _FIELDS.items()}


def _hl7(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> list[PrivatePart]:
    """Every field that the standard gives to a person, whole: a component alone (a city, a prefix) tells something too."""
    data = text.data
    name = data[start : start + 3]
    if name.startswith(_OF_A_SITE):
        if not 0 <= text.next(b"MSH|", 0) < start and not _ALONE.match(data, end):
            return []
        name = _OF_A_SITE
    kinds, pattern = _SEGMENTS[name]
    segment = pattern.match(data, end)
    assert segment is not None, "no field has to be there"
    text.look(segment.end() - end)
    measures = name == b"OBX"
    in_words = measures and _SAID_IN_WORDS.match(data, end) is not None
    parts: list[PrivatePart] = []
    for kind, (first, ends) in zip(kinds, segment.regs[1:], strict=True):
        if first == ends:
            continue
        last = ends
        if last == segment.end() and data[last : last + 1] == b'"':
            last = first + len(data[first:last].rstrip(b"\\"))  # they belong to the mark that ends a JSON text
        if measures and kind is _TEXT and (not in_words or all(map(_RESULT.fullmatch, data[first:last].split(b"~")))):
            continue
        if not _NOTHING.fullmatch(data, first, last) and not (kind is _TEXT and _CODE.fullmatch(data, first, last)):
            parts.append(PrivatePart(kind, first, last, last))
    return parts


READERS: dict[str, Reader] = {"hl7": _hl7}
