r"""What must never leave, as patterns: one alternation that finds it all.

Used by `runbooks.redaction.redactor` and `redaction.parts`. google-re2 looks through the whole text with one alternation (linear time, a
few hundred megabytes a second), and says of a hit which of the alternatives it could be; the standard library's `re` then reads, with the
*same* source text, what it is (`redaction.parts` says exactly which bytes go). Everything here is on bytes: offsets need no
translation, and a broken encoding can't make a text pass unread.

Each alternative has one group, named after its `Rule`. Cues are followed by `GAP`, which also knows the clothes that
a text may wear: JSON (`\"`, `\n`), URL encoding (`%20`), a line break.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from runbooks.redaction.begins import BEGINS
from runbooks.redaction.compiled import Compiled, options, without_groups
from runbooks.redaction.disguise import DISGUISE
from runbooks.redaction.people import RULES as _OF_PEOPLE
from runbooks.redaction.pieces import ASSIGN, COLON, DASH, DATE, FILLER, GAP, GAPS, NAME, OPENS, SEP, SLASH, SPACE
from runbooks.redaction.sql_patterns import RULES as _OF_SQL
from runbooks.redaction.vendors import SOURCE as VENDORS
from runbooks.redaction.ways import RULES as _WAYS


class PrivateKind(StrEnum):
    """What a mark says was there; the value is how it is written in the mark."""

    SECRET = "secret"  # noqa: S105 - a name for what is hidden
    PASSWORD = "password"  # noqa: S105
    TOKEN = "token"  # noqa: S105
    JWT = "jwt"
    BEARER = "bearer token"
    BASIC = "basic credential"
    AWS = "aws key"
    GITHUB = "github token"
    SLACK = "slack token"
    PRIVATE_KEY = "private key"
    SSN = "ssn"
    MRN = "mrn"
    PHONE = "phone"
    EMAIL = "e-mail"
    NAME = "name"
    BIRTH_DATE = "birth date"
    DATE = "date"
    AGE = "age"
    ADDRESS = "address"
    RECORD = "record number"
    PLAN = "health plan id"
    ACCOUNT = "account number"
    LICENCE = "licence number"
    VEHICLE = "vehicle id"
    DEVICE = "device id"
    URL = "url"
    IP = "ip address"
    PICTURE = "picture"
    BIOMETRIC = "biometric"
    NARRATIVE = "narrative"
    WITHHELD = "withheld line"
    """No mark says it: a sentence stands in the place of such lines, and they are counted."""

    __hash__ = str.__hash__  # an Enum's own is a Python function, and a kind is looked up at each hit


_KINDS = b"|".join(re.escape(kind.value.encode()) for kind in PrivateKind if kind is not PrivateKind.WITHHELD)
MARK = re.compile(rb"\[(?:" + _KINDS + rb") \d{1,6}\]")
DONE = re.compile(rb"\[(?:" + _KINDS + rb")(?: \d{1,6})?\]")
"""A mark, with its number or, in the shape of many lines, without."""

_SECRET_WORDS = (
    rb"(?i:pass[_-]?(?:word|wd|phrase|code)|passwd|pwd|secret|token|api[_.-]?key|access[_.-]?key(?:[_-]?id)?"
    rb"|(?:private|signing|encryption|account|shared|storage)[_.-]?key|credentials?|authorization|cookie"
    rb"|connection[_-]?string|session[_-]?(?:id|key))(?i:[_-]?(?:key|value|[0-9]{1,3}))?"
)

_MRN = rb"(?i:mrn|medical[ _-]?record(?:[ _-]?(?:number|num|no|nr|id))?|patient[ _-]?(?:id|identifier|number|num|no)|chart[ _-]?(?:number|no))"
_SSN = rb"(?i:ssn|social[ _-]?security(?:[ _-]?(?:number|num|no|nr))?)"
_PHONE_WORDS = rb"(?i:telephone|phone|mobile|cell|fax|\btel)(?:(?i:[ _-]?(?:number|num|no)))?"
_BIRTH = rb"(?i:\bdob|_dob|date[ _-]?of[ _-]?birth|birth[ _-]?(?:date|day)|\bborn(?:[ ]on)?)"
_PERSON_CUE = rb"(?:(?i:patients?)(?:[ _-]?(?i:named?|is|was))?|\b(?:[Pp]t|PT)\b\.?(?:[ ](?i:named?))?|\b(?:Mr|Mrs|Ms|Miss|Dr)\b\.?|\b(?:MR|MRS|MS|MISS|DR)\.)"
_NAME_FIELD = (
    rb"(?i:(?:first|last|middle|given|family|full|maiden|patient|sur)[ _-]?name|\bsurname|[\"']family|[\"']given)"
)

# In the order in which they are tried where two begin at the same byte.
_RULES: tuple[tuple[str, bytes], ...] = (
    *_OF_PEOPLE,
    ("private_key", rb"(?P<private_key>-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----)"),
    ("jwt", rb"(?P<jwt>eyJ[A-Za-z0-9_-]{5,256}(?:\.|%2[Ee])[A-Za-z0-9_-]{4})"),
    ("aws", rb"\b(?P<aws>(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16})\b"),
    ("vendor", VENDORS),
    ("github", rb"(?P<github>gh[pousr]_[A-Za-z0-9]{20}|github_pat_[A-Za-z0-9_]{20})"),
    (
        "slack",
        rb"(?P<slack>xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8}|xapp-[0-9]-[A-Za-z0-9-]{8}|hooks\.slack\.com(?:"
        + SLASH
        + rb"[A-Za-z]{1,12})"
        + SLASH
        + rb"T[A-Z0-9]{2,24}"
        + SLASH
        + rb"[A-Za-z0-9_/%-]{8})",
    ),
    (
        "token",
        rb"(?P<token>(?:glpat-|npm_|AIza|SG\.|(?:sk|rk|pk)_(?:live|test)_|dop_v1_|hvs\.)[A-Za-z0-9._-]{16})",
    ),
    (
        "url_password",
        COLON
        + SLASH
        + SLASH
        + rb"[^\s:@/\"'<>%]{0,128}"
        + COLON
        + rb"(?P<url_password>[^\s@/?#\"<>]{1,256}(?:@[^\s@/?#\"<>]{0,128}){0,3}|[^\s@\"<>]{1,256})(?:@|%40)",
    ),
    ("bearer", rb"(?i:\bbearer)(?:" + SPACE + rb"{1,3}|%20)" + OPENS + rb"(?P<bearer>[A-Za-z0-9._~+/-]{8})"),
    ("basic", rb"(?i:\bbasic)(?:" + SPACE + rb"{1,3}|%20)" + OPENS + rb"(?P<basic>[A-Za-z0-9+/_-]{8})"),
    ("flag", rb"--(?:[a-z0-9]{1,20}-){0,3}(?P<flag>" + _SECRET_WORDS + rb")\s"),
    ("ssn_cue", _SSN + GAPS + rb"{1,8}" + FILLER + rb"(?P<ssn_cue>\d{3}[- ]?\d{2}[- ]?\d{4})\b"),
    ("mrn", _MRN + GAPS + rb"{1,8}" + FILLER + rb"(?P<mrn>(?:[A-Za-z]{1,4}-?)?\d(?:-?\d){3,14}[A-Za-z]?)\b"),
    ("patient_path", rb"(?i:\bpatients?)" + SLASH + rb"(?P<patient_path>[A-Za-z0-9.-]{1,64})"),
    ("birth_date", _BIRTH + GAPS + rb"{1,8}(?:(?i:is|on|was)" + GAP + rb")?(?P<birth_date>" + DATE + rb")"),
    ("phone_cue", _PHONE_WORDS + GAPS + rb"{1,8}" + FILLER + rb"(?P<phone_cue>\+?\(?\d[\d ()./-]{5,20}\d)"),
    ("field_name", _NAME_FIELD + rb"(?P<field_name>" + ASSIGN + rb")"),
    ("name", _PERSON_CUE + GAPS + rb"{1,6}(?P<name>" + NAME + rb")"),
    ("plain_name", rb"\b(?i:name)" + ASSIGN + rb"[ \t]{0,60}" + GAP + rb"{0,3}(?P<plain_name>" + NAME + rb")"),
    (
        "assigned",
        _SECRET_WORDS
        + rb"(?:(?:\s?:)?\s{1,3}(?:string|String|str|char|text)(?:\[\]|[*])?)?(?P<assigned>"
        + ASSIGN
        + rb"|[ ]{0,3}(?:->|\|\|))",
    ),
    ("said", rb"(?i:pass(?:word|phrase|wd)|\bpwd)\s{1,3}(?:(?i:is|was|to)\s{1,3})?(?P<said>[^\s:=]{4,128})"),
    ("ssn", rb"(?P<ssn>\d{3}" + DASH + rb"\s?\d{2}" + DASH + rb"\s?\d{4})\b"),
    (
        "phone",
        rb"(?P<phone>(?:(?:\+|%2[Bb])?1"
        + SEP
        + rb"?)?(?:(?:\(|%28)[2-9]\d{2}(?:\)|%29)"
        + SEP
        + rb"?|[2-9]\d{2}"
        + SEP
        + rb")[2-9]\d{2}"
        + SEP
        + rb"\d{4}(?:[ ]?(?i:x|ext\.?)[ ]?\d{1,6})?)\b",
    ),
    ("phone_abroad", rb"(?P<phone_abroad>\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,6})\b"),
    (
        "email",
        rb"[A-Za-z0-9._%+-](?P<email>(?:@|%40)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})\b",
    ),
    *_WAYS,
    *_OF_SQL,
)
_RANDOM = rb"(?P<random>[A-Za-z0-9]{20}|[A-Za-z0-9+/]{40}|[A-Za-z0-9_-]{40})"

_SOURCE = b"|".join(pattern for _, pattern in _RULES)


def rules() -> dict[str, bytes]:
    """Return each pattern by its name, in the order in which they are tried."""
    return {**dict(_RULES), "random": _RANDOM}


def candidates(found: bytes) -> Sequence[int]:
    """Return the numbers of the rules of which these bytes could be a whole hit, in the order in which they are tried."""
    numbers = _CUES.get(found)
    if numbers is None:
        numbers = sorted(patterns().which.Match(found) or ())
        if found[-1] in _OPEN_A_VALUE and len(_CUES) < _MOST_CUES:
            _CUES[found] = numbers
    return numbers


_CUES: dict[bytes, list[int]] = {}
"""Hits that end where a value begins (`PID|`, `"given":`), and which rules they could be of."""
_OPEN_A_VALUE = b"|[{(:='\""
_MOST_CUES = 4096


class Patterns(NamedTuple):
    """Compiled by google-re2: `any` finds all there is, `within` all but random tokens."""

    first: Compiled
    """Says in one search that there is nothing: neither a hit, nor a disguise, nor the beginning of a block."""
    any: Compiled
    within: Compiled
    which: Any
    """All rules side by side: which of them a whole hit could be."""


@cache
def patterns() -> Patterns:
    """Compiled once, when the first text comes: it takes some ten milliseconds, and google-re2 its import."""
    import re2

    which = re2.Set.FullMatchSet(options())
    for pattern in rules().values():
        which.Add(without_groups(pattern))
    which.Compile()
    return Patterns(
        first=Compiled(_SOURCE + b"|" + _RANDOM + b"|" + DISGUISE + b"|" + BEGINS),
        any=Compiled(_SOURCE + b"|" + _RANDOM),
        within=Compiled(_SOURCE),
        which=which,
    )
