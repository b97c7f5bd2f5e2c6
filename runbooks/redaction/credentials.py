"""What of a hit is a secret: passwords and tokens behind a cue, in URLs and on command lines, private keys. Used by `runbooks.redaction.parts`."""

import re

from runbooks.redaction.checks import is_basic_credential, is_placeholder, looks_like_a_word
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import One, PrivatePart, Reader, none, one
from runbooks.redaction.text import ScannedText
from runbooks.redaction.values import BARE, BLANK, LONGEST, QUOTE, STOP, checked, quoted

_VARIABLE = re.compile(rb"\$\{[\w.:-]{1,80}\}|\$\([\w.:-]{1,80}\)|\{\{[^{}\n]{0,80}\}\}")
_PERMISSION = re.compile(rb"(?<![\w.:/=-])secret:write(?![\w:/=@-]|\.\w)")
"""The name of a permission (`bot.policy.permissions`), and nothing beside it."""
_UNSAID = re.compile(rb"\((?:sensitive(?: value)?|known after apply)\)")
"""What Terraform writes in place of a value."""
_BRACED = re.compile(rb"\{(?P<braced>(?:[^{}\r\n\"]|\}\}){1,128})\}(?!\})")
_SIGN = re.compile(rb"[!@#%^&*;~]")
_SIGN_OR_DIGIT = re.compile(rb"[!@#%^&*;~\d]")
_SCHEME = re.compile(rb"(?i:bearer|basic|token|digest|aws4-hmac-sha256|splunk)(?:[ \t]|%20)+")
_NEXT_ENTRY = re.compile(rb"\d{4}(?:[-/ T]|\Z)|\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b")
_NEXT_KEY = re.compile(rb"[\"']?[\w.-]{1,60}[\"']?\s?[:=](?!=)")
_BARE_IN_URL = re.compile(rb"(?:(?!" + STOP + rb"|%(?:26|22|20|0[AaDd]|7[Dd]|2[Cc]|3[Bb]))[^\s\"'<>])+")
_LINE = re.compile(rb"(?:(?!\\[nr])[^\r\n\"'])+")

_TWO_WORDS = re.compile(rb"[a-z]{3,10} key")
_ONLY_A_SECRET = re.compile(rb"[\\\"']{0,4}(?!/[a-z])[^\s\"',;:]{0,64}?[\d!#$%^&*]")
"""`secret key: tls.key` and `private key: /etc/tls/key` are names."""


def _cued(text: ScannedText, hit: re.Match[bytes], start: int, end: int) -> tuple[PrivatePart, ...]:
    """As `assigned`, where a cue of two words has a secret behind it and no name; a permission's name is none."""
    if permission := _PERMISSION.match(text.data, hit.start()):
        return none(permission.end())
    if _TWO_WORDS.match(hit.group().lower()):
        blank = BLANK.match(text.data, end)
        at = blank.end() if blank else end
        if not _ONLY_A_SECRET.match(text.data, at):
            return none(max(at, end))
    return changed(text, assigned(text, hit, start, end)[0], _secret_kind(hit.group().lower()))


_NEW = re.compile(rb"\\{0,3}[\"']?\s{1,4}->\s{1,4}(?=\\{0,3}[\"'])")


def changed(text: ScannedText, found: PrivatePart, kind: PrivateKind) -> tuple[PrivatePart, ...]:
    """What was found, and the new value behind it in a plan of Terraform: `password = "old" -> "new"`."""
    data = text.data
    new = _NEW.match(data, max(found.end, found.resume))
    quote = QUOTE.match(data, new.end()) if new else None
    if quote is None:
        return (found,)
    after = checked(data, kind, *quoted(data, quote), strict=True)[0]
    return tuple(each for each in (found, after) if each.end > each.start) or (after,)


def assigned(text: ScannedText, hit: re.Match[bytes], _start: int, end: int) -> One:
    data = text.data
    cue = hit.group().lower()
    in_url = data[end - 3 : end].lower() in (b"%3d", b"%3a")
    kind = _secret_kind(cue)
    blank = BLANK.match(data, end)
    at = blank.end() if blank else end
    if quote := QUOTE.match(data, at):
        first, last = quoted(data, quote)
        return checked(data, kind, first, last, strict=True)
    if (within := _within_brackets(data, hit.start(), kind, at)) is not None:
        return within
    if cue.endswith((b"->", b"||")):
        return none(max(at, end))  # a pointer's field, an empty field
    over_a_line = b"\n" in data[end:at]
    if over_a_line and _NEXT_ENTRY.match(data, at):
        return none(at)
    if (cue.startswith(b"pwd") and data[at : at + 1] == b"/") or (
        cue.startswith(b"session") and data[at : at + 2] == b"0x"
    ):
        return none(at)  # the shell's directory; ZooKeeper's and etcd's sessions
    if data[at : at + 1] in (b"", b"{", b"[", b"<", b"|", b">", b"&") and not MARK.match(data, at):
        return none(max(at, end))
    if over_a_line and _NEXT_KEY.match(data, at):
        return none(at)
    if cue.startswith((b"authorization", b"cookie", b"set-cookie")):
        scheme = _SCHEME.match(data, at)
        first = scheme.end() if scheme else at
        if scheme and (quote := QUOTE.match(data, first)):
            return checked(data, kind, *quoted(data, quote), strict=True)
        line = _LINE.match(data, first)
        return checked(data, kind, first, line.end() if line else first, strict=False)
    bare = (_BARE_IN_URL if in_url else BARE).match(data, at)
    prose = not in_url and at > end and kind is not PrivateKind.PASSWORD
    return checked(data, kind, at, bare.end() if bare else at, strict=not prose)


def _within_brackets(data: bytes, cue: int, kind: PrivateKind, at: int) -> One | None:
    """What stands at `at` in brackets of its own: no value at all, or ODBC's."""
    if unsaid := _VARIABLE.match(data, at) or _UNSAID.match(data, at):
        return none(unsaid.end())
    if kind is PrivateKind.PASSWORD and (braced := _BRACED.match(data, at)) and _is_odbc(data, cue, braced):
        return checked(data, kind, *braced.span("braced"), strict=True)
    return None


def _is_odbc(data: bytes, cue: int, braced: re.Match[bytes]) -> bool:
    """Whether `Pwd={p@ss;word}` is of a connection string; in code and templates a variable stands in the braces."""
    value = braced["braced"]
    if data[cue - 1 : cue] == b";" and b" " not in value:
        return True
    return (_SIGN_OR_DIGIT if data[braced.end() : braced.end() + 1] == b";" else _SIGN).search(value) is not None


def _secret_kind(cue: bytes) -> PrivateKind:
    if cue.startswith((b"pass", b"pw")):
        return PrivateKind.PASSWORD
    return PrivateKind.TOKEN if cue.startswith(b"token") else PrivateKind.SECRET


_SHORT_FLAGS = (b"pass", b"pw")
_COUNT = re.compile(rb"\d{1,5}(?:/\d{1,5})?")


def _flag(text: ScannedText, hit: re.Match[bytes], _start: int, _end: int) -> One:
    data = text.data
    at = hit.end()
    if data[at : at + 1] == b"-":
        return none(at)
    short = hit["flag"].lower() in _SHORT_FLAGS
    if quote := QUOTE.match(data, at):
        first, last = quoted(data, quote)
        return checked(data, _secret_kind(hit["flag"].lower()), first, last, strict=True)
    bare = BARE.match(data, at)
    last = bare.end() if bare else at
    if short and _COUNT.fullmatch(data, at, last):
        return none(at)
    return checked(data, _secret_kind(hit["flag"].lower()), at, last, strict=not short)


def _said(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    """`password hunter2`, `password is "x y"`; "password authentication failed for" is no password."""
    data = text.data
    if quote := QUOTE.match(data, start):
        first, last = quoted(data, quote)
        return checked(data, PrivateKind.PASSWORD, first, last, strict=True)
    bare = BARE.match(data, start)
    last = bare.end() if bare else end
    value = data[start:last].rstrip(b".,;:!?)")
    if looks_like_a_word(value) or not re.search(rb"\d|[!$%^&*#@]", value):
        return none(start)
    return checked(data, PrivateKind.PASSWORD, start, start + len(value), strict=True)


_PORT = re.compile(rb"\d{1,5}(?:[/?#]|%2[Ff])")
_FURTHER_HOST = re.compile(rb"@[^\s\"'<>?#,]{0,256}(?=@[\w.-]{1,253}(?:[:/\s]|\Z))")
"""The password has an @ and a slash of its own, written as they are: the host begins behind the last @."""


def _url_password(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    value = data[start:end]
    if _PORT.match(value) or is_placeholder(value):
        return none(start)  # a port and a path, and the @ belongs to something behind them
    if further := _FURTHER_HOST.match(data, end):
        end = further.end()
    return one(PrivateKind.PASSWORD, start, end)


def _bearer(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    return none(end) if looks_like_a_word(data[start:end]) else one(PrivateKind.BEARER, start, end)


def _basic(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    text.look(end - start)
    data = text.data
    return one(PrivateKind.BASIC, start, end) if is_basic_credential(data[start:end]) else none(start)


_END_OF_KEY = re.compile(rb"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(rb"(?:[A-Za-z0-9+/=\s:,.\\-]|%[0-9A-Fa-f]{2})*+")


def _private_key(text: ScannedText, _hit: re.Match[bytes], start: int, end: int) -> One:
    data = text.data
    ends = text.next(b"-----END ", end)
    while 0 <= ends < end + LONGEST:
        if (closing := _END_OF_KEY.match(data, ends)) is not None:
            return one(PrivateKind.PRIVATE_KEY, start, closing.end())
        text.look(ends - end)
        ends = text.next(b"-----END ", ends + 1)
    body = _KEY_BODY.match(data, end)
    last = body.end() if body else end
    return one(PrivateKind.PRIVATE_KEY, start, last)


READERS: dict[str, Reader] = {
    "basic": _basic,
    "private_key": _private_key,
    "url_password": _url_password,
    "bearer": _bearer,
    "flag": _flag,
    "assigned": _cued,
    "said": _said,
}
