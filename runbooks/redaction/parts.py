"""What of a hit is private: reads which alternative it was, asks the exact checks, and says which bytes go.

Used by `runbooks.redaction.redactor`. A hit may turn out to be none (a port, a word, a pod's name): reading then goes on
behind what was understood of it, never behind more, so that a cue inside is still seen.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from runbooks.redaction.checks import (
    is_basic_credential,
    is_birth_date,
    is_placeholder,
    is_random,
    looks_like_a_person,
    looks_like_a_word,
    valid_ssn,
)
from runbooks.redaction.identifiers import READERS as _OF_PEOPLE
from runbooks.redaction.pieces import NAME
from runbooks.redaction.rules import MARK, Kind, patterns, read
from runbooks.redaction.sql import READERS as _OF_SQL
from runbooks.redaction.text import ALPHANUMERIC, BASE64, URL_SAFE, Text


class Part(NamedTuple):
    """`data[start:end]` is private; an empty part means that the hit is none, and reading goes on at `resume`."""

    kind: Kind
    start: int
    end: int
    resume: int
    withheld: bool = False
    """Nobody looked at it: a sentence stands in its place."""


def private_parts(text: Text, start: int, end: int) -> tuple[Part, ...]:
    """What of the hit between `start` and `end` is private, in reading order; one part at least. Raises `TooDense`.

    Where the two engines disagree all of it is.
    """
    data = text.data
    if data[start - 1 : start] == b"[" and (mark := MARK.match(data, start - 1)):
        return (_none(mark.end()),)  # `[password 1]`: its own words are no cue
    hit = read(data, start, end)
    if hit is None or hit.lastgroup is None:
        return (Part(Kind.SECRET, start, end, end),)
    return _random(text, start) if hit.lastgroup == "random" else _of(text, hit)


def _of(text: Text, hit: re.Match[bytes]) -> tuple[Part, ...]:
    """What of one rule's hit is private."""
    data, rule = text.data, hit.lastgroup or ""
    start, end = hit.span(rule)
    if (tail := _TAILS.get(rule)) is not None:
        end = _tail_end(text, tail, end)
    if (kind := _EXACT.get(rule)) is not None:
        return (Part(kind, start, end, end),)
    if (far := _FAR_READERS.get(rule)) is not None:
        return (far(text, start, end),)
    if (reader := _READERS.get(rule)) is not None:
        return (reader(data, hit, start, end),)
    found = (each for each in _FIELD_READERS[rule](text, start, end) if not _marked(data, each.start))
    return tuple(Part(*each, each.end) for each in found) or (_none(max(start, hit.start() + 1)),)


def _marked(data: bytes, start: int) -> bool:
    """What stands there is the mark of an earlier pass."""
    return MARK.match(data, start) is not None or (
        data[start - 1 : start] == b"[" and MARK.match(data, start - 1) is not None
    )


def _none(resume: int) -> Part:
    return Part(Kind.SECRET, resume, resume, resume)


# ---- random tokens ----

_LEFT_OF_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]*+")
_RIGHT_OF_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]*+={0,2}")
_TOKENS = ((ALPHANUMERIC, 20), (BASE64, 40), (URL_SAFE, 40))
"""The signs that a token may have, and its least length."""
_REACH = 256
"""How far back a token is followed, and how far behind it a cue inside of it may have its value."""


def _left(signs: re.Pattern[bytes], data: bytes, start: int, reach: int) -> int:
    """Where the run of these signs begins that ends at `start`."""
    run = signs.match(data[max(0, start - reach) : start][::-1])
    return start - (run.end() if run else 0)


def _random(text: Text, start: int) -> tuple[Part, ...]:
    """A long run of letters and digits may hold a cue (`x_password=…`), be random, or be a name or a digest."""
    data = text.data
    end = next(last for signs, least in _TOKENS if (last := text.run_end(signs, start)) - start >= least)
    if not data[start:end].translate(None, b"0123456789abcdef"):
        return (_none(end),)  # a digest: the most frequent of them by far
    within = patterns().within.search(data, start, min(len(data), end + _REACH))
    if within is not None and within.start() < end:
        hit = read(data, *within.span())
        if hit is not None and hit.lastgroup != "random":
            return _of(text, hit)
    if not is_random(data[start:end]):
        return (_none(end),)
    right = _RIGHT_OF_TOKEN.match(data, end)
    first = _left(_LEFT_OF_TOKEN, data, start, _REACH)
    last = right.end() if right else end
    if data[first:last].startswith((b"sha256-", b"sha384-", b"sha512-")):
        return (_none(last),)  # how npm and browsers write a digest
    return (Part(Kind.TOKEN, first, last, last),)


# ---- secrets that stand behind a cue ----

_QUOTE = re.compile(rb"(\\{0,3})([\"'])|(%22|&quot;)")
_BLANK = re.compile(rb"(?:[ \t]|%20|\\[nt]|\+(?=\S))*(?:\r?\n[ \t]*)?")
_VARIABLE = re.compile(rb"\$\{[\w.:-]{1,80}\}|\$\([\w.:-]{1,80}\)|\{\{[^{}\n]{0,80}\}\}")
_SCHEME = re.compile(rb"(?i:bearer|basic|token|digest|aws4-hmac-sha256|splunk)(?:[ \t]|%20)+")
_NEXT_ENTRY = re.compile(rb"\d{4}(?:[-/ T]|\Z)|\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b")
_NEXT_KEY = re.compile(rb"[\"']?[\w.-]{1,60}[\"']?\s?[:=](?!=)")
_STOP = rb"[,;&)\]}|]{1,64}+(?:\s|\Z|[\"']|[\w.\-]{1,40}\s?[=:])|[\"']{1,64}+(?:\s|\Z|[,;)\]}:\\>])|\\{1,64}+[nrt\"']|</|&(?:quot|amp);"
_BARE = re.compile(rb"(?:(?!" + _STOP + rb")[^\s])+")
_BARE_IN_URL = re.compile(rb"(?:(?!" + _STOP + rb"|%(?:26|22|20|0[AaDd]|7[Dd]|2[Cc]|3[Bb]))[^\s\"'<>])+")
_LINE = re.compile(rb"(?:(?!\\[nr])[^\r\n\"'])+")
_LONGEST = 64 << 10
_BACKSLASH = 0x5C


def _assigned(data: bytes, hit: re.Match[bytes], _start: int, end: int) -> Part:
    cue = hit.group().lower()
    in_url = data[end - 3 : end].lower() in (b"%3d", b"%3a")
    kind = _secret_kind(cue)
    blank = _BLANK.match(data, end)
    at = blank.end() if blank else end
    if quote := _QUOTE.match(data, at):
        first, last = _quoted(data, quote)
        return _checked(data, kind, first, last, strict=True)
    if variable := _VARIABLE.match(data, at):
        return _none(variable.end())
    over_a_line = b"\n" in data[end:at]
    if over_a_line and _NEXT_ENTRY.match(data, at):
        return _none(at)
    if (cue.startswith(b"pwd") and data[at : at + 1] == b"/") or (
        cue.startswith(b"session") and data[at : at + 2] == b"0x"
    ):
        return _none(at)  # the shell's directory; ZooKeeper's and etcd's sessions
    if data[at : at + 1] in (b"", b"{", b"[", b"<", b"|", b">", b"&") and not MARK.match(data, at):
        return _none(max(at, end))
    if over_a_line and _NEXT_KEY.match(data, at):
        return _none(at)
    if cue.startswith((b"authorization", b"cookie", b"set-cookie")):
        scheme = _SCHEME.match(data, at)
        first = scheme.end() if scheme else at
        if scheme and (quote := _QUOTE.match(data, first)):
            return _checked(data, kind, *_quoted(data, quote), strict=True)
        line = _LINE.match(data, first)
        return _checked(data, kind, first, line.end() if line else first, strict=False)
    bare = (_BARE_IN_URL if in_url else _BARE).match(data, at)
    prose = not in_url and at > end and kind is not Kind.PASSWORD
    return _checked(data, kind, at, bare.end() if bare else at, strict=not prose)


_NUMBER_ONLY = re.compile(rb"\d{1,5}|[\d.]+%?|\d+(?:ms|s|m|h)")
_LEAST_SECRET = 6
_STRICT = (b"pass", b"_pass", b"pw", b"_pw")


def _short(data: bytes, hit: re.Match[bytes], _start: int, end: int) -> Part:
    """`DB_PASS=…`, `pw=…`, `"auth": "…"`: names that are words too, so a word or a count behind them is none, but for passwords."""
    found = _assigned(data, hit, _start, end)
    value = data[found.start : found.end]
    cue = hit.group()[: hit.start("short") - hit.start()].lower()
    assigned = b"=" in hit["short"] or hit["short"][:1] in b"\"'\\"
    if _NUMBER_ONLY.fullmatch(value) or (
        not (cue in _STRICT and assigned) and (looks_like_a_word(value) or len(value) < _LEAST_SECRET)
    ):
        return _none(max(end, found.start))
    return found._replace(kind=Kind.PASSWORD if cue in _STRICT else Kind.SECRET)


def _called(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    quote = _QUOTE.match(data, start)
    return _checked(data, Kind.SECRET, *_quoted(data, quote), strict=True) if quote else _none(end)


_BEFORE = 300


def _on_a_line_of(*programs: bytes) -> Callable[[bytes, re.Match[bytes], int, int], Part]:
    """An option that is a password only of these programs."""

    def read(data: bytes, hit: re.Match[bytes], start: int, end: int) -> Part:
        before = data[max(0, hit.start() - _BEFORE) : start].rpartition(b"\n")[2]
        if not any(program in before for program in programs) or data[start:end].isdigit():
            return _none(start)
        return _checked(data, Kind.PASSWORD, start, end, strict=True)

    return read


def _stated(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    """`IDENTIFIED BY '…'`, `requirepass …`."""
    if quote := _QUOTE.match(data, start):
        return _checked(data, Kind.PASSWORD, *_quoted(data, quote), strict=True)
    return _checked(data, Kind.PASSWORD, start, end, strict=True)


def _query(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    return (
        _none(start)
        if looks_like_a_word(data[start:end]) or _NUMBER_ONLY.fullmatch(data[start:end])
        else Part(Kind.SECRET, start, end, end)
    )


def _secret_kind(cue: bytes) -> Kind:
    if cue.startswith((b"pass", b"pwd")):
        return Kind.PASSWORD
    return Kind.TOKEN if cue.startswith(b"token") else Kind.SECRET


def _quoted(data: bytes, quote: re.Match[bytes]) -> tuple[int, int]:
    """From behind the opening quotation mark up to the one that closes it at the same depth of escaping.

    A mark that opens behind 0, 1, 3 backslashes (JSON, JSON in JSON, once more) is closed behind as many, or as many
    and a whole number of escaped backslashes; behind any other number it is a part of the value.
    """
    sign, first = quote.group(2) or quote.group(), quote.end()
    slashes = len(quote.group(1) or b"")
    at = first
    while (at := data.find(sign, at, first + _LONGEST)) >= 0:
        run = at
        while run > first and data[run - 1] == _BACKSLASH:
            run -= 1
        if (at - run) % (2 * slashes + 2) == slashes:
            return first, at - slashes
        at += 1
    newline = data.find(b"\n", first)
    return first, newline if newline >= 0 else len(data)


def _checked(data: bytes, kind: Kind, first: int, last: int, *, strict: bool) -> Part:
    """`strict`: a plain word counts as a value too; otherwise it is prose (`token: expired`)."""
    value = data[first:last]
    at = first
    while mark := MARK.match(data, at):
        at = mark.end()
    if at > first:
        # what goes on behind a mark is no mark's: somebody may have typed it
        rest = _BARE.match(data, at) if data[at : at + 1].isalnum() else None
        return Part(kind, at, rest.end(), rest.end()) if rest else _none(at)
    if is_placeholder(value) or (not strict and looks_like_a_word(value)):
        return _none(last)
    return Part(kind, first, last, last)


def _flag(data: bytes, hit: re.Match[bytes], _start: int, _end: int) -> Part:
    at = hit.end()
    if data[at : at + 1] == b"-":
        return _none(at)
    if quote := _QUOTE.match(data, at):
        first, last = _quoted(data, quote)
        return _checked(data, _secret_kind(hit["flag"].lower()), first, last, strict=True)
    bare = _BARE.match(data, at)
    return _checked(data, _secret_kind(hit["flag"].lower()), at, bare.end() if bare else at, strict=True)


def _said(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    """`password hunter2`, `password is "x y"`; "password authentication failed for" is no password."""
    if quote := _QUOTE.match(data, start):
        first, last = _quoted(data, quote)
        return _checked(data, Kind.PASSWORD, first, last, strict=True)
    bare = _BARE.match(data, start)
    last = bare.end() if bare else end
    value = data[start:last].rstrip(b".,;:!?)")
    if looks_like_a_word(value) or not re.search(rb"\d|[!$%^&*#@]", value):
        return _none(start)
    return _checked(data, Kind.PASSWORD, start, start + len(value), strict=True)


_PORT = re.compile(rb"\d{1,5}(?:[/?#]|%2[Ff])")
_FURTHER_HOST = re.compile(rb"@[^\s\"'<>?#,]{0,256}(?=@[\w.-]{1,253}(?:[:/\s]|\Z))")
"""The password has an @ and a slash of its own, written as they are: the host begins behind the last @."""


def _url_password(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    value = data[start:end]
    if _PORT.match(value) or is_placeholder(value):
        return _none(start)  # a port and a path, and the @ belongs to something behind them
    if further := _FURTHER_HOST.match(data, end):
        end = further.end()
    return Part(Kind.PASSWORD, start, end, end)


def _bearer(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    return _none(end) if looks_like_a_word(data[start:end]) else Part(Kind.BEARER, start, end, end)


def _basic(text: Text, start: int, end: int) -> Part:
    text.look(end - start)
    data = text.data
    return Part(Kind.BASIC, start, end, end) if is_basic_credential(data[start:end]) else _none(start)


_END_OF_KEY = re.compile(rb"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(rb"(?:[A-Za-z0-9+/=\s:,.\\-]|%[0-9A-Fa-f]{2})*+")


def _private_key(text: Text, start: int, end: int) -> Part:
    data = text.data
    ends = text.next(b"-----END ", end)
    while 0 <= ends < end + _LONGEST:
        if (closing := _END_OF_KEY.match(data, ends)) is not None:
            return Part(Kind.PRIVATE_KEY, start, closing.end(), closing.end())
        text.look(ends - end)
        ends = text.next(b"-----END ", ends + 1)
    body = _KEY_BODY.match(data, end)
    last = body.end() if body else end
    return Part(Kind.PRIVATE_KEY, start, last, last)


# ---- patient data ----

_DIGIT = re.compile(rb"\d")
_NUMBER_RUN = re.compile(rb"[\d.\-]+")


_GOES_ON = re.compile(rb"\w|[-.]\w")


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    """Not a piece of a longer name or number, such as a pod's or an address."""
    before = data[start - 1 : start] if start else b""
    return not (before.isalnum() or before in (b"-", b"_", b".") or _GOES_ON.match(data, end))


def _number(kind: Kind, data: bytes, start: int, end: int, *, valid: bool) -> Part:
    if valid and _stands_alone(data, start, end):
        return Part(kind, start, end, end)
    run = _NUMBER_RUN.match(data, start)
    return _none(run.end() if run else start + 1)


def _ssn(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    return _number(Kind.SSN, data, start, end, valid=valid_ssn(data[start:end]))


def _phone(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    of_so_many = data[start - 1 : start] == b"/" and data[start - 2 : start - 1].isdigit()  # `236/236 200 4586`
    return _number(Kind.PHONE, data, start, end, valid=not of_so_many)


def _phone_abroad(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    digits = sum(byte in b"0123456789" for byte in data[start:end])
    if 8 <= digits <= 15 and _stands_alone(data, start, end):  # noqa: PLR2004 - E.164
        return Part(Kind.PHONE, start, end, end)
    return _none(start + 1)


def _phone_cue(data: bytes, hit: re.Match[bytes], start: int, end: int) -> Part:
    digits = sum(byte in b"0123456789" for byte in data[start:end])
    if not 7 <= digits <= 15:  # noqa: PLR2004
        return _none(start)
    before = data[start - 1 : start]
    # what stands between a cue and its number may open a bracket, too, so it took the number's own
    own = before == b"+" or (before == b"(" and data.count(b")", start, end) > data.count(b"(", start, end))
    return Part(Kind.PHONE, start - 1 if own and start > hit.start() else start, end, end)


def _patient_path(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    """A record's number has a digit; `Patient/$everything`, `/patients/search` have none."""
    value = data[start:end].rstrip(b".")
    if value.isalpha() or not _DIGIT.search(value):
        return _none(start)
    return Part(Kind.MRN, start, start + len(value), start + len(value))


_USER = re.compile(rb"[A-Za-z0-9._%+-]*+")
_LONGEST_USER = 128


def _email(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    """The pattern begins with the last sign before the @: what has none would be sought from each sign of a long run."""
    start = _left(_USER, data, start, _LONGEST_USER)
    user, _, host = data[start:end].replace(b"%40", b"@").rpartition(b"@")
    if user == b"git" or data[start - 3 : start] == b"://" or re.match(rb"\d+\.\d", host):
        return _none(end)  # a repository, a connection string without a password, package@1.2.tgz
    return Part(Kind.EMAIL, start, end, end)


def _birth_date(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    return Part(Kind.BIRTH_DATE, start, end, end) if is_birth_date(data[start:end]) else _none(start)


_ONE_NAME = re.compile(NAME)
_ANY_WORD = re.compile(rb"(?:[A-Za-z.'-]|%20|[\x80-\xff])+")
_LIST_OPENS = re.compile(rb"\s*\[\s*")


_VALUE_TYPE = re.compile(rb"[A-Z]{2}: ")
"""DICOM headers say a value's type between its name and the value: `PatientName   PN: 'LOPEZ^MARIA'`."""


def _name(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    if _VALUE_TYPE.match(data, start):
        return _none(start)
    end = looks_like_a_person(data, start, end, words=1)
    return Part(Kind.NAME, start, end, end) if end > start else _none(start)


def _plain_name(data: bytes, _hit: re.Match[bytes], start: int, end: int) -> Part:
    """`name=` stands before pods and volumes too: only two words that could be a person's count."""
    end = looks_like_a_person(data, start, end, words=2)
    return Part(Kind.NAME, start, end, end) if end > start else _none(start)


def _field_name(data: bytes, _hit: re.Match[bytes], _start: int, end: int) -> Part:
    """`first_name=`, `"family":`: whatever stands there is a name."""
    blank = _BLANK.match(data, end)
    at = blank.end() if blank else end
    if data[at : at + 5].lower().strip(b"\"'\\").startswith(b"ipv"):
        return _none(max(at, end))
    if opens := _LIST_OPENS.match(data, at):
        at = at if MARK.match(data, at) else opens.end()
    if quote := _QUOTE.match(data, at):
        first, last = _quoted(data, quote)
        return _checked(data, Kind.NAME, first, last, strict=True)
    value = _ONE_NAME.match(data, at) or _ANY_WORD.match(data, at)
    return _checked(data, Kind.NAME, at, value.end() if value else at, strict=True)


_EXACT = {
    "jwt": Kind.JWT,
    "aws": Kind.AWS,
    "github": Kind.GITHUB,
    "slack": Kind.SLACK,
    "token": Kind.TOKEN,
    "vendor": Kind.TOKEN,
    "ssn_cue": Kind.SSN,
    "mrn": Kind.MRN,
}
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


def _tail_end(text: Text, tail: re.Pattern[bytes], end: int) -> int:
    end = text.run_end(tail, end)
    if tail is URL_SAFE and (parts := _JWT_PARTS.match(text.data, end)) is not None:
        return parts.end()
    return end


_FIELD_READERS = {**_OF_PEOPLE, **_OF_SQL}
_FAR_READERS = {
    "basic": _basic,
    "private_key": _private_key,
}
_READERS = {
    "url_password": _url_password,
    "bearer": _bearer,
    "flag": _flag,
    "patient_path": _patient_path,
    "birth_date": _birth_date,
    "phone_cue": _phone_cue,
    "field_name": _field_name,
    "name": _name,
    "plain_name": _plain_name,
    "assigned": _assigned,
    "said": _said,
    "short": _short,
    "called": _called,
    "user_password": _on_a_line_of(b"curl", b"wget", b"http "),
    "glued": _on_a_line_of(b"mysql", b"mariadb"),
    "stated": _stated,
    "query": _query,
    "ssn": _ssn,
    "phone": _phone,
    "phone_abroad": _phone_abroad,
    "email": _email,
}
