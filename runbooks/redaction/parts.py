"""What of a hit is private: reads which alternative it was, asks its reader, and says which bytes go.

Used by `runbooks.redaction.redactor`. A hit may turn out to be none (a port, a word, a pod's name): reading then goes on
behind what was understood of it, never behind more, so that a cue inside is still seen.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from runbooks.redaction import credentials, demographics, fhir, hl7, identifiers, sql, sql_calls, ways_readers
from runbooks.redaction.checks import is_random
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import PrivatePart, Reader, exactly, none
from runbooks.redaction.rules import Hit, Hits, patterns, rules
from runbooks.redaction.text import ALPHANUMERIC, BASE64, URL_SAFE, ScannedText
from runbooks.redaction.values import left


def private_parts(text: ScannedText, hit: Hit) -> Sequence[PrivatePart]:
    """What of the hit is private, in reading order; one part at least. Raises `TooDense`.

    Where the two engines disagree all of it is.
    """
    data = text.data
    start, end, could_be = hit
    if data[start - 1 : start] == b"[" and (mark := MARK.match(data, start - 1)):
        return none(mark.end())  # `[password 1]`: its own words are no cue
    nothing = False
    for numbers in (could_be, _ALL):
        for number in numbers:
            rule = _RULES[number]
            if nothing and rule.reader is _random:
                continue  # it would ask for this cue again
            if (read := rule.pattern.match(data, start)) is not None:
                parts = _of(text, rule, read)
                if parts or not rule.begins_freely:
                    return parts or none(max(read.start(1), start + 1))
                nothing = True
    if nothing:
        return none(start + 1)
    return (PrivatePart(PrivateKind.SECRET, start, end, end),)


def _of(text: ScannedText, rule: "_Rule", hit: re.Match[bytes]) -> Sequence[PrivatePart]:
    """What of one rule's hit is private; nothing where it is none."""
    start, end = hit.span(1)
    if rule.tail is not None:
        end = _tail_end(text, rule.tail, end)
    data = text.data
    parts = tuple(rule.reader(text, hit, start, end))
    if any(each.end > each.start and _is_done(data, each) for each in parts):
        parts = tuple(each for each in parts if not _is_done(data, each))
    if parts and _begins_a_record(data, hit.start(), parts[0].start):
        return none(parts[0].start)
    return parts


_LEVEL = rb"\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL)\b"
_RECORD = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z |(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?[ ]{1,2})?"
    + _LEVEL
)
"""As the kubelet stamps it, or with its level: a date of somebody's visit has neither."""


def _begins_a_record(data: bytes, cue: int, value: int) -> bool:
    """Whether the cue ends a line and the value would be the time or level of the record that follows."""
    return value > cue and data[value - 1 : value] == b"\n" and _RECORD.match(data, value) is not None


_OPENS = 0x5B
_SAYS_SOMETHING = re.compile(rb"[A-Za-z0-9\x80-\xff]")


def _is_done(data: bytes, found: PrivatePart) -> bool:
    """Whether marks of an earlier pass stand there and nothing else does; behind a mark that somebody typed the value goes on."""
    start = found.start
    if start > 0 and data[start] != _OPENS and data[start - 1] == _OPENS:
        start -= 1
    mark = MARK.match(data, start) if data[start] == _OPENS else None
    return mark is not None and _SAYS_SOMETHING.search(MARK.sub(b"", data[mark.end() : found.end])) is None


# ---- random tokens ----

_LEFT_OF_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]*+")
_RIGHT_OF_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]*+={0,2}")
_TOKENS = ((ALPHANUMERIC, 20), (BASE64, 40), (URL_SAFE, 40))
"""The signs that a token may have, and its least length."""
_REACH = 256
"""How far back a token is followed, and how far behind it a cue inside of it may have its value."""


def _random(text: ScannedText, _hit: re.Match[bytes], start: int, _end: int) -> Sequence[PrivatePart]:
    """A long run of letters and digits may hold a cue (`x_password=…`), be random, or be a name or a digest."""
    data = text.data
    end = next(last for signs, least in _TOKENS if (last := text.run_end(signs, start)) - start >= least)
    if not data[start:end].translate(None, b"0123456789abcdef"):
        return none(end)  # a digest: the most frequent of them by far
    if text.cue() < end:
        within = Hits(data, patterns().groups[:-1], min(len(data), end + _REACH)).next(start)
        if within is not None and within[0] < end:
            return private_parts(text, within)
    if not is_random(data[start:end]):
        return none(end)
    right = _RIGHT_OF_TOKEN.match(data, end)
    first = left(_LEFT_OF_TOKEN, data, start, _REACH)
    last = right.end() if right else end
    if data[first:last].startswith((b"sha256-", b"sha384-", b"sha512-")):
        return none(last)  # how npm and browsers write a digest
    return (PrivatePart(PrivateKind.TOKEN, first, last, last),)


# ---- the readers ----

_TAILS = {
    "jwt": URL_SAFE,
    "github": re.compile(rb"[A-Za-z0-9_]*+"),
    "slack": re.compile(rb"[A-Za-z0-9_/%-]*+"),
    "token": re.compile(rb"[A-Za-z0-9._-]*+"),
    "bearer": re.compile(rb"[A-Za-z0-9._~+/-]*+={0,2}"),
    "basic": re.compile(rb"[A-Za-z0-9+/_-]*+={0,2}"),
    "vendor": re.compile(rb"[A-Za-z0-9_.+/=~-]*+"),
    "picture": re.compile(rb"[A-Za-z0-9+/=_%-]*+"),
    "biometric": re.compile(rb"[A-Za-z0-9+/=_:-]*+"),
}
"""What else belongs to a value whose pattern says only how it begins."""
_JWT_PARTS = re.compile(rb"(?:(?:\.|%2[Ee])[A-Za-z0-9_-]*+){0,3}")


def _tail_end(text: ScannedText, tail: re.Pattern[bytes], end: int) -> int:
    end = text.run_end(tail, end)
    if tail is URL_SAFE and (parts := _JWT_PARTS.match(text.data, end)) is not None:
        return parts.end()
    return end


_READERS: dict[str, Reader] = {
    **dict.fromkeys(("token", "vendor"), exactly(PrivateKind.TOKEN)),
    "jwt": exactly(PrivateKind.JWT),
    "aws": exactly(PrivateKind.AWS),
    "github": exactly(PrivateKind.GITHUB),
    "slack": exactly(PrivateKind.SLACK),
    **credentials.READERS,
    **ways_readers.READERS,
    **demographics.READERS,
    **identifiers.READERS,
    **fhir.READERS,
    **hl7.READERS,
    **sql.READERS,
    **sql_calls.READERS,
    "random": _random,
}


class _Rule(NamedTuple):
    """One alternative, with what reads its hits."""

    pattern: re.Pattern[bytes]
    tail: re.Pattern[bytes] | None
    reader: Reader
    begins_freely: bool
    """Its first word may be any, such as the `Key` with which another rule begins: where this one finds nothing, the others are asked."""


_BEGIN_FREELY = ("name_before",)
_RULES = [
    _Rule(re.compile(pattern), _TAILS.get(name), _READERS[name], name in _BEGIN_FREELY)
    for name, pattern in rules().items()
]
_ALL = range(len(_RULES))
