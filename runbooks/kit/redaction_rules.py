r"""What must never leave, as patterns: one alternation that finds it all.

Used by `runbooks.kit.redaction` and `redaction_parts`. google-re2 looks through the whole text with one alternation (linear time, a
few hundred megabytes a second); only on a hit the standard library's `re` reads, with the *same* source text, which
alternative it was (`redaction_parts` then says exactly which bytes go). Everything here is on bytes: offsets need no
translation, and a broken encoding can't make a text pass unread.

Each alternative has one group, named after its `Rule`. Cues are followed by `_GAP`, which also knows the clothes that
a text may wear: JSON (`\"`, `\n`), URL encoding (`%20`), a line break.
"""

import re
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple


class Kind(StrEnum):
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

    __hash__ = str.__hash__  # an Enum's own is a Python function, and a kind is looked up at each hit


MARK = re.compile(rb"\[(?:" + b"|".join(re.escape(kind.value.encode()) for kind in Kind) + rb") \d{1,6}\]")

_GAP = (
    rb"(?:[\s:#=.\"'\\>|,(\[{~-]|%(?:20|3[AaDdEe]|2[2378CcDd]|0[AaDd9]|5[BbCc]|7[Bb])|\+|\\[nrtu]|&(?:quot|#3[49]|gt);)"
)
_SPACE = rb"(?:[ \t]|\r?\n[ \t]*|%20|\+|\\[nt])"
_DASH = rb"(?:-|\xe2\x80[\x90-\x95]|%2[Dd])"
_COLON = rb"(?::|%3[Aa])"
_SLASH = rb"(?:\\?/|%2[Ff])"

# A capitalised word of a name, in any script that UTF-8 writes with more than one byte (not U+2000 to U+2FFF: dashes,
# quotation marks, arrows, boxes).
_LETTERS = rb"(?:[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe3-\xef][\x80-\xbf][\x80-\xbf])"
_WORD = rb"(?:[A-Z]|" + _LETTERS + rb")(?:[A-Za-z'-]|\xe2\x80\x99|" + _LETTERS + rb"){1,40}"
_JOIN = rb"(?:[ \t]{1,2}|\r?\n|%20|\+|\\n|,[ ]?|%2[Cc](?:%20|\+)?)"
NAME = (
    _WORD
    + rb"(?:"
    + _JOIN
    + rb"(?:(?:da|de|del|der|den|di|la|van|von|al|el|bin|ibn)"
    + _JOIN
    + rb"){0,2}(?:"
    + _WORD
    + rb"|[A-Z]\b\.?)){0,3}"
)

_SECRET_WORDS = (
    rb"(?i:pass[_-]?(?:word|wd|phrase|code)|passwd|pwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    rb"|(?:private|signing|encryption|account|shared|storage)[_-]?key|credentials?|authorization|cookie"
    rb"|connection[_-]?string|session[_-]?(?:id|key))(?i:[_-]?(?:key|value|[0-9]{1,3}))?"
)
_ASSIGN = rb"(?:\\{0,3}[\"']|%22|&quot;)?\s{0,3}(?:=>|:=|[:=>]|%3[AaDd])"

_MRN = rb"(?i:mrn|medical[ _-]?record(?:[ _-]?(?:number|num|no|nr|id))?|patient[ _-]?(?:id|identifier|number|num|no)|chart[ _-]?(?:number|no))"
_SSN = rb"(?i:ssn|social[ _-]?security(?:[ _-]?(?:number|num|no|nr))?)"
_FILLER = rb"(?:(?i:number|num|no|nr|id|is|was|of|value)" + _GAP + rb"{1,3})?"
_PHONE_WORDS = rb"(?i:telephone|phone|mobile|cell|fax|\btel)(?:(?i:[ _-]?(?:number|num|no)))?"
_BIRTH = rb"(?i:\bdob|_dob|date[ _-]?of[ _-]?birth|birth[ _-]?(?:date|day)|\bborn(?:[ ]on)?)"
_MONTH = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_DATE = (
    rb"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{8}|\d{1,2}\.?[ ]"
    + _MONTH
    + rb",?[ ]\d{4}|"
    + _MONTH
    + rb"[ ]\d{1,2},?[ ]\d{4}|\d{4}%2[DdFf]\d{1,2}%2[DdFf]\d{1,2})"
)
_PERSON_CUE = (
    rb"(?:(?i:patients?)(?:[ _-]?(?i:named?|is|was))?|\b(?:[Pp]t|PT)\b\.?(?:[ ](?i:named?))?|\b(?:Mr|Mrs|Ms|Miss)\b\.?)"
)
_NAME_FIELD = (
    rb"(?i:(?:first|last|middle|given|family|full|maiden|patient|sur)[ _-]?name|\bsurname|[\"']family|[\"']given)"
)
_SEP = rb"(?:[-. ]|\r?\n|%20|%2[Dd]|\\n)"

# In the order in which they are tried where two begin at the same byte.
_RULES: tuple[tuple[str, bytes], ...] = (
    ("private_key", rb"(?P<private_key>-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----)"),
    ("jwt", rb"(?P<jwt>eyJ[A-Za-z0-9_-]{5,}(?:\.|%2[Ee])[A-Za-z0-9_-]{4,}(?:(?:\.|%2[Ee])[A-Za-z0-9_-]*){0,3})"),
    ("aws", rb"\b(?P<aws>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b"),
    ("github", rb"(?P<github>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    (
        "slack",
        rb"(?P<slack>xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[0-9]-[A-Za-z0-9-]{8,}|hooks\.slack\.com(?:"
        + _SLASH
        + rb"[A-Za-z]{1,12})"
        + _SLASH
        + rb"T[A-Z0-9]{2,}"
        + _SLASH
        + rb"[A-Za-z0-9_/%-]{8,})",
    ),
    (
        "token",
        rb"(?P<token>(?:glpat-|npm_|AIza|SG\.|(?:sk|rk|pk)_(?:live|test)_|dop_v1_|hvs\.)[A-Za-z0-9._-]{16,})",
    ),
    (
        "url_password",
        _COLON
        + _SLASH
        + _SLASH
        + rb"[^\s:@/\"'<>%]{0,128}"
        + _COLON
        + rb"(?P<url_password>[^\s@/?#\"<>]{1,256}(?:@[^\s@/?#\"<>]{0,128}){0,3}|[^\s@\"<>]{1,256})(?:@|%40)",
    ),
    ("bearer", rb"(?i:\bbearer)(?:" + _SPACE + rb"{1,3}|%20)(?P<bearer>[A-Za-z0-9._~+/-]{8,}={0,2})"),
    ("basic", rb"(?i:\bbasic)(?:" + _SPACE + rb"{1,3}|%20)(?P<basic>[A-Za-z0-9+/_-]{8,}={0,2})"),
    ("flag", rb"--(?:[a-z0-9]{1,20}-){0,3}(?P<flag>" + _SECRET_WORDS + rb")\s"),
    ("ssn_cue", _SSN + _GAP + rb"{1,8}" + _FILLER + rb"(?P<ssn_cue>\d{3}[- ]?\d{2}[- ]?\d{4})\b"),
    ("mrn", _MRN + _GAP + rb"{1,8}" + _FILLER + rb"(?P<mrn>(?:[A-Za-z]{1,4}-?)?\d(?:-?\d){3,14}[A-Za-z]?)\b"),
    ("patient_path", rb"(?i:\bpatients?)" + _SLASH + rb"(?P<patient_path>[A-Za-z0-9.-]{1,64})"),
    ("birth_date", _BIRTH + _GAP + rb"{1,8}(?:(?i:is|on|was)" + _GAP + rb")?(?P<birth_date>" + _DATE + rb")"),
    ("phone_cue", _PHONE_WORDS + _GAP + rb"{1,8}" + _FILLER + rb"(?P<phone_cue>\+?\(?\d[\d ()./-]{5,20}\d)"),
    ("field_name", _NAME_FIELD + rb"(?P<field_name>" + _ASSIGN + rb")"),
    ("name", _PERSON_CUE + _GAP + rb"{1,6}(?P<name>" + NAME + rb")"),
    ("plain_name", rb"\b(?i:name)" + _ASSIGN + _GAP + rb"{0,3}(?P<plain_name>" + NAME + rb")"),
    ("assigned", _SECRET_WORDS + rb"(?P<assigned>" + _ASSIGN + rb")"),
    ("said", rb"(?i:pass(?:word|phrase|wd)|\bpwd)\s{1,3}(?:(?i:is|was|to)\s{1,3})?(?P<said>[^\s:=]{4,128})"),
    ("ssn", rb"(?P<ssn>\d{3}" + _DASH + rb"\s?\d{2}" + _DASH + rb"\s?\d{4})\b"),
    (
        "phone",
        rb"(?P<phone>(?:(?:\+|%2[Bb])?1"
        + _SEP
        + rb"?)?(?:(?:\(|%28)[2-9]\d{2}(?:\)|%29)"
        + _SEP
        + rb"?|[2-9]\d{2}"
        + _SEP
        + rb")[2-9]\d{2}"
        + _SEP
        + rb"\d{4})\b",
    ),
    ("phone_abroad", rb"(?P<phone_abroad>\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,6})\b"),
    (
        "email",
        rb"(?P<email>[A-Za-z0-9._%+-]+(?:@|%40)(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24})\b",
    ),
)
_RANDOM = rb"(?P<random>[A-Za-z0-9]{20,}|[A-Za-z0-9+/]{40,}|[A-Za-z0-9_-]{40,})"

_SOURCE = b"|".join(pattern for _, pattern in _RULES)
READ = re.compile(_SOURCE + b"|" + _RANDOM)
READ_WITHIN = re.compile(_SOURCE)


class Patterns(NamedTuple):
    """Compiled by google-re2: `any` finds all there is, `within` all but random tokens."""

    any: Any
    within: Any


@cache
def patterns() -> Patterns:
    """Compiled once, when the first text comes: it takes some ten milliseconds, and google-re2 its import."""
    return Patterns(any=compiled(_SOURCE + b"|" + _RANDOM), within=compiled(_SOURCE))


def compiled(source: bytes) -> Any:
    """For google-re2: groups that only `re` reads are left out, since re2 is much faster without any."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 256 << 20
    return re2.compile(re.sub(rb"\(\?P<\w+>", b"(?:", source), options)
