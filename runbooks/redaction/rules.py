r"""What must never leave, as patterns: five alternations that find it all.

Used by `runbooks.redaction.redactor` and `redaction.parts`. google-re2 looks through the whole text with each alternation (linear time, a
few hundred megabytes a second), and says of a hit which of the alternatives it could be; the standard library's `re` then reads, with the
*same* source text, what it is (`redaction.parts` says exactly which bytes go). Everything here is on bytes: offsets need no
translation, and a broken encoding can't make a text pass unread.

Each alternative has one group, named after its `Rule`. Cues are followed by `GAP`, which also knows the clothes that
a text may wear: JSON (`\"`, `\n`), URL encoding (`%20`), a line break.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from runbooks.redaction.begins import BEGINS
from runbooks.redaction.compiled import Compiled, SideBySide, shortest
from runbooks.redaction.disguise import DISGUISE
from runbooks.redaction.people import RULES as _OF_PEOPLE
from runbooks.redaction.pieces import ASSIGN, COLON, DASH, DATE, FILLER, GAP, GAPS, NAME, OPENS, SEP, SLASH, SPACE
from runbooks.redaction.sql_patterns import RULES as _OF_SQL
from runbooks.redaction.vendors import SOURCE as VENDORS
from runbooks.redaction.ways import PAIRED
from runbooks.redaction.ways import RULES as _WAYS

_SECRET_WORDS = (
    rb"(?i:pass[_-]?(?:word|wd|phrase|code)|passwd|pwd|secret|token|access[ _.-]?key(?:[_-]?id)?"
    rb"|(?:api|private|signing|encryption|account|master|hmac)[ _.-]?key|(?:shared|storage)[_.-]?key|credentials?|authorization|cookie"
    rb"|connection[_-]?string|session[_-]?(?:id|key)|code[_-]?verifier|[_-]crumb)(?i:[ _-]?key|[_-]?(?:value|[0-9]{1,3}))?(?i:_(?:base|hash))?"
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
    PAIRED,
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
    ("flag", rb"--(?:[a-z0-9]{1,20}-){0,3}(?P<flag>" + _SECRET_WORDS + rb"|(?i:pass|pw))\s"),
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
    (
        "said",
        rb"(?i:pass(?:word|phrase|wd)|\bpwd)\s{1,3}(?:[ ]{0,40}-{2,8}\s{1,4})?(?:(?i:is|was|to)\s{1,3})?(?P<said>[^\s:=]{4,128})",
    ),
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


def rules() -> dict[str, bytes]:
    """Return each pattern by its name, in the order in which they are tried."""
    return {**dict(_RULES), "random": _RANDOM}


def _groups() -> list[list[str]]:
    """Return which rules are searched together.

    Within one alternation each state of the automaton says how far every pattern is. Patterns that count (a token of twenty signs, a cue
    within forty) multiply each other's states, and a text that was not seen before costs a new state at nearly each byte. Side by side
    they add up: five searches are many times faster on such a text, and one fifth as fast on a text that repeats itself.
    """
    of_people, ways = {name for name, _ in (*_OF_PEOPLE, *_OF_SQL)}, {name for name, _ in _WAYS}
    own = [name for name, _ in _RULES if name != "vendor" and name not in of_people | ways]
    return [own, sorted(of_people), sorted(ways), ["vendor"], ["random"]]


class Group:
    """Rules that are searched together."""

    __slots__ = ("_known", "_which", "numbers", "search")

    def __init__(self, names: list[str]) -> None:
        every = rules()
        sources = [source for name, source in every.items() if name in names]
        self.search = Compiled(b"|".join(map(shortest, sources)))
        self._which = SideBySide(sources) if len(sources) > 1 else None
        self.numbers = [number for number, name in enumerate(every) if name in names]
        self._known: dict[bytes, list[int]] = {}
        """Hits that end where a value begins (`PID|`, `"given":`), and which rules they could be of."""

    def candidates(self, found: bytes) -> list[int]:
        """Return the numbers of the rules of which these bytes could be a whole hit, in the order in which they are tried."""
        if self._which is None:
            return self.numbers
        if found[-1] not in _OPEN_A_VALUE:
            return self._sorted(self._which.matching(found))
        numbers = self._known.get(found)
        if numbers is None:
            numbers = self._sorted(self._which.matching(found))
            if len(self._known) < _MOST_KNOWN:
                self._known[found] = numbers
        return numbers

    def _sorted(self, places: list[int]) -> list[int]:
        return [self.numbers[places[0]]] if len(places) == 1 else sorted(self.numbers[place] for place in places)


_OPEN_A_VALUE = b"|[{(:='\""
_MOST_KNOWN = 4096


class Patterns(NamedTuple):
    """Compiled by google-re2."""

    first: tuple[Compiled, ...]
    """Say that there is nothing: neither a hit, nor a disguise, nor the beginning of a block."""
    groups: tuple[Group, ...]
    """All rules; the last group are random tokens."""


@cache
def patterns() -> Patterns:
    """Compiled once, when the first text comes: it takes some ten milliseconds, and google-re2 its import."""
    groups = tuple(Group(names) for names in _groups())
    others = Compiled(b"|".join((_RANDOM, DISGUISE, BEGINS)))
    return Patterns(first=(*(group.search for group in groups[:-1]), others), groups=groups)


Hit = tuple[int, int, list[int]]
"""Where bytes begin and end that one rule at least has found, and which it could be, in the order in which they are tried."""


class Hits:
    """The hits in one text, the leftmost first. What one group has found ahead is kept until reading has come to it."""

    __slots__ = ("_data", "_ends", "_groups", "_limit", "_starts")

    def __init__(self, data: bytes, groups: Sequence[Group], limit: int | None = None) -> None:
        self._data = data
        self._groups = groups
        self._limit = len(data) if limit is None else limit
        self._starts = [-1] * len(groups)
        self._ends = self._starts.copy()

    def next(self, at: int) -> Hit | None:
        """Return the first hit that begins at `at` or behind it."""
        starts, ends, groups = self._starts, self._ends, self._groups
        while (start := min(starts)) < at:
            first = starts.index(start)
            starts[first], ends[first] = groups[first].search.search(self._data, at, self._limit) or (_NOWHERE, 0)
        if start == _NOWHERE:
            return None
        first = starts.index(start)
        end = ends[first]
        numbers = groups[first].candidates(self._data[start:end])
        if starts.count(start) > 1:
            for number in range(first + 1, len(starts)):
                if starts[number] == start:
                    numbers = sorted({*numbers, *groups[number].candidates(self._data[start : ends[number]])})
                    end = max(end, ends[number])
        return start, end, numbers

    def cue(self) -> int:
        """Return where the next hit begins, at or behind the last one, that is more than a random token."""
        return min(self._starts[:-1])


_NOWHERE = 1 << 62
