"""What of a hit is a secret in the other ways of writing one: short names, calls, command lines, sentences. Used by `runbooks.redaction.parts`."""

import re

from runbooks.redaction.blocks.fields import is_secret, secret_kind
from runbooks.redaction.checks import class_changes, looks_like_a_word
from runbooks.redaction.credentials import assigned, changed
from runbooks.redaction.marks import PrivateKind
from runbooks.redaction.part import One, PrivatePart, Reader, exactly, none, one
from runbooks.redaction.rules import rules
from runbooks.redaction.text import ScannedText
from runbooks.redaction.values import QUOTE, checked, left, quoted
from runbooks.redaction.vendors import VENDOR_NAMES, is_token_of

_NUMBER_ONLY = re.compile(rb"\d{1,5}|[\d.]+%?|\d+(?:ms|s|m|h)")
_LEAST_SECRET = 6
_STRICT = (b"pass", b"_pass", b"pw", b"_pw")
_ONE_TIME = (b"otp", b"_otp")


_LEFT_OF_NAME = re.compile(rb"[A-Za-z0-9]*+")
_HAVE_A_PASSWORD = frozenset(
    b"""account admin bind database db email ftp imap jdbc keystore ldap login mail mariadb mongo mongodb mssql mysql oracle pg postgres postgresql
    proxy rabbitmq redis registry root sa sftp smb smtp sql ssh sudo truststore user usr vpn wifi""".split()
)
_LEAST_NUMBER = 4


def _is_of_a_login(data: bytes, hit: re.Match[bytes], value: bytes) -> bool:
    """`DB_PASS=482913`; `test_pass=1200` is a count."""
    if not (hit.group().startswith(b"_") and value.isdigit() and len(value) >= _LEAST_NUMBER):
        return False
    start = hit.start()
    return data[left(_LEFT_OF_NAME, data, start, _NAME_REACH) : start].lower() in _HAVE_A_PASSWORD


_NAME_REACH = 20


def _short(text: ScannedText, hit: re.Match[bytes], _start: int, end: int) -> tuple[PrivatePart, ...]:
    """`DB_PASS=…`, `pw=…`, `"auth": "…"`: names that are words too, so a word or a count behind them is none, but for passwords and one-time codes."""
    data = text.data
    found = assigned(text, hit, _start, end)[0]
    value = data[found.start : found.end]
    cue = hit.group()[: hit.start("short") - hit.start()].lower()
    if cue in _ONE_TIME and value.isdigit():
        return _once(text, hit, _start, end)
    by_a_sign = b"=" in hit["short"] or hit["short"][:1] in b"\"'\\"
    if cue in _STRICT and _is_of_a_login(data, hit, value):
        return (found._replace(kind=PrivateKind.PASSWORD),)
    if _NUMBER_ONLY.fullmatch(value) or (
        not (cue in _STRICT and by_a_sign) and (looks_like_a_word(value) or len(value) < _LEAST_SECRET)
    ):
        return none(max(end, found.start))
    kind = PrivateKind.PASSWORD if cue in _STRICT else PrivateKind.SECRET
    return changed(text, found._replace(kind=kind), kind)


def _called(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    quote = QUOTE.match(data, start)
    return checked(data, PrivateKind.SECRET, *quoted(data, quote), strict=True) if quote else none(end)


_BEFORE = 300
_LINE_GOES_ON = re.compile(rb"\\\r?\n")


def _on_a_line_of(*programs: bytes) -> Reader:
    """An option that is a password only of these programs."""

    def read(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> One:
        data = text.data
        said = _LINE_GOES_ON.sub(b" ", data[max(0, hit.start() - _BEFORE) : start])
        before = said.rpartition(b"\n")[2].lower()
        if not any(program in before for program in programs) or data[start:end].isdigit():
            return none(start)
        return checked(data, PrivateKind.PASSWORD, start, end, strict=True)

    return read


def _stated(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`IDENTIFIED BY '…'`, `requirepass …`."""
    data = text.data
    if quote := QUOTE.match(data, start):
        return checked(data, PrivateKind.PASSWORD, *quoted(data, quote), strict=True)
    return checked(data, PrivateKind.PASSWORD, start, end, strict=True)


_NAMED = re.compile(rb"[=:]\s{0,3}\\{0,3}\"?(?P<name>[\w.-]{1,100})")


def _paired(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> tuple[PrivatePart, ...]:
    """`{ name = "DB_PASSWORD", value = "…" }`."""
    name = _NAMED.search(hit.group())
    if name is None or not is_secret(name["name"]):
        return none(start)
    found = assigned(text, hit, start, end)[0]
    kind = secret_kind(name["name"])
    return changed(text, found._replace(kind=kind), kind)


def _query(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    number = _NUMBER_ONLY.fullmatch(data[start:end]) and hit.group()[1:4].lower() != b"otp"
    return none(start) if looks_like_a_word(data[start:end]) or number else one(PrivateKind.SECRET, start, end)


_LEAST_MADE = 8
_LONG_NAME = 32
_SIGNS = b"!#$%^&*@?~"
_VERSION = rb"v?\d+(?:\.\d+)+[\w.+-]*"
_IS_VERSION = re.compile(_VERSION)
_NAMES_A_THING = re.compile(
    rb"[a-z][a-z0-9]*(?:-[a-z0-9]+)+|[a-z]+\d?(?:_[a-z]+\d?)+|"
    + _VERSION
    + rb"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d{4}-\d\d-\d\d[\w:.+-]*"
)


def _looks_made(value: bytes) -> bool:
    """Whether nobody would call a thing this: letters and digits in turn, and neither a pod's name, a version, a UUID nor a time."""
    if len(value) < _LEAST_MADE or (_NAMES_A_THING.fullmatch(value) and len(value) < _LONG_NAME + 5):
        return False
    if value.isdigit() or not any(sign in b"0123456789" for sign in value):
        return False
    return class_changes(value) >= 3 or any(sign in _SIGNS for sign in value)  # noqa: PLR2004 - `user1`, `s3_bucket` have fewer


def _listed(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`vendorToken,q7Rz…,` and `("API_KEY", "q7Rz…")`: a value that could be a name in a list is none."""
    data = text.data
    first, last = _between_marks(data, start, end)
    return one(PrivateKind.SECRET, first, last) if _looks_made(data[first:last]) else none(start)


def _between_marks(data: bytes, start: int, end: int) -> tuple[int, int]:
    first, last = start, end
    while first < last and data[first] in b"\\\"'":
        first += 1
    while last > first and data[last - 1] in b"\\\"'":
        last -= 1
    return first, last


def _noted(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`api_key "q7Rz…";`, as configuration files without a sign of assignment have it."""
    data = text.data
    quote = QUOTE.match(data, start)
    if quote is None:
        return none(end)
    first, last = quoted(data, quote)
    return one(PrivateKind.SECRET, first, last) if _looks_made(data[first:last]) else none(start)


def _told(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`the API key is q7Rz…`."""
    return one(PrivateKind.SECRET, start, end) if _looks_made(text.data[start:end].rstrip(b".,;:!?)")) else none(start)


_LEFT_OF_CUE = re.compile(rb"[^\s\"'`<>\]]*+")
_REACH = 256
_LEAST_SAID = 5


def _before(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> One:
    """`q7Rz… is the password`: the value stands before its cue."""
    data = text.data
    first = left(_LEFT_OF_CUE, data, start, _REACH)
    while first < start and data[first] in b"/#;*(":
        first += 1
    value = data[first:start]
    if (
        len(value) < _LEAST_SAID
        or looks_like_a_word(value)
        or not re.search(rb"\d", value)
        or value.isdigit()
        or _IS_VERSION.fullmatch(value)
    ):
        return none(hit.start() + 1)
    return (PrivatePart(PrivateKind.SECRET, first, start, end),)


_OF_SOMEBODY = re.compile(rb"(?i:pass(?:word|phrase|code)) (?i:for|of) [^\r\n]{0,100}\Z")
_SENTENCE = 120


def _quoted_is(text: ScannedText, _hit: re.Match[bytes], start: int, _end: int) -> One:
    """`the password for user "maria" is "q7Rz…"`."""
    data = text.data
    quote = QUOTE.match(data, start)
    if quote is None or not _OF_SOMEBODY.search(data, max(0, start - _SENTENCE), start):
        return none(start)
    return checked(data, PrivateKind.PASSWORD, *quoted(data, quote), strict=True)


def _arguments(_text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`NetworkCredential("maria", "q7Rz…")`: all of them, as the person's name is private too."""
    return one(PrivateKind.SECRET, start, end)


def _url_token(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`https://q7Rz…@host/`."""
    return one(PrivateKind.TOKEN, start, end) if _looks_made(text.data[start:end]) else none(start)


_ASSIGNED = re.compile(rules()["assigned"])
_VENDOR = re.compile(VENDOR_NAMES, re.IGNORECASE)
_VALUE = re.compile(rb"[A-Za-z0-9=_/+.-]*+")


def _named(text: ScannedText, hit: re.Match[bytes], start: int, _end: int) -> One:
    """`datadog: q7Rz…`: the vendor's name is the only cue, so the value must have exactly the form of that vendor's."""
    data = text.data
    if _ASSIGNED.search(data, hit.start(), start):
        return none(hit.start() + 1)  # it has a better cue, which takes all of the value
    last = text.run_end(_VALUE, start)
    vendor = _VENDOR.match(data, hit.start())
    if vendor is None or not is_token_of(vendor.group().lower(), data[start:last]):
        return none(hit.start() + 1)
    return one(PrivateKind.TOKEN, start, last)


_LEAST_CODE = 4


def _once(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> One:
    """`verification code: 847362`."""
    found = assigned(text, hit, start, end)[0]
    value = text.data[found.start : found.end]
    return (found,) if len(value) >= _LEAST_CODE and re.search(rb"\d", value) else none(max(end, found.start))


READERS: dict[str, Reader] = {
    "short": _short,
    "called": _called,
    "user_password": _on_a_line_of(b"curl", b"wget", b"http "),
    "user_token": _on_a_line_of(b"curl", b"wget", b"http "),
    "glued": _on_a_line_of(b"mysql", b"mariadb"),
    "given": _on_a_line_of(
        b" login", b"psexec", b"mongo", b"sqlcmd", b"ldap", b"plink", b"cqlsh", b"influx", b"isql", b"bcp ", b"ipmitool"
    ),
    "option": _stated,
    "stated": _stated,
    "oracle": _stated,
    "paired": _paired,
    "set": _stated,
    "literal": _stated,
    "piped": _stated,
    "query": _query,
    "listed": _listed,
    "noted": _noted,
    "told": _told,
    "before": _before,
    "quoted_is": _quoted_is,
    "arguments": _arguments,
    "hash": exactly(PrivateKind.PASSWORD),
    "url_token": _url_token,
    "named": _named,
    "once": _once,
}
