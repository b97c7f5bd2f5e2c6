"""The exact values of Secrets that the bot has read, in every form in which they could turn up in a text.

Used by `runbooks.redaction.redactor`. A value is sought as it is, base64 (also as a part of something longer, and wrapped),
URL-encoded, JSON-escaped (twice too), as hexadecimal digits, and, where it is short enough, with a line break in it.
"""

import base64
import html
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import quote, quote_plus

_SHORTEST = 6
_LONGEST = 16 << 10
_SHORTEST_FORM = 8
_WRAPPED_UP_TO = 120
"""A value up to this long is also found with a line break anywhere in it; longer ones line by line."""
_PUBLIC = frozenset(
    b"127.0.0.1 0.0.0.0 default development disabled enabled localhost omnicare postgres postgresql production require staging".split()
)


class Ignored(StrEnum):
    """Why a value is not sought."""

    SHORT = "shorter than 6 bytes: it would be found in ordinary words"
    LONG = "longer than 16 KiB: a file, not a secret"
    PUBLIC = "a word that every text about the fleet has"


def why_ignored(value: bytes) -> Ignored | None:
    """None for a value that can be sought."""
    if len(value) < _SHORTEST:
        return Ignored.SHORT
    if len(value) > _LONGEST:
        return Ignored.LONG
    return Ignored.PUBLIC if value.lower() in _PUBLIC else None


def source_of(values: frozenset[bytes]) -> bytes:
    """One alternation for google-re2 over all forms of all values; the longest first, so that none hides a longer one."""
    forms = {form for value in values for form in _forms(value)}
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return b"|".join(_pattern(form) for form in ordered)


def _pattern(form: bytes) -> bytes:
    if len(form) > _WRAPPED_UP_TO:
        return _escaped(form)
    return rb"(?:\\?\r?\n[ \t]*)?".join(_escaped(form[at : at + 1]) for at in range(len(form)))


def _escaped(form: bytes) -> bytes:
    return b"".join(
        re.escape(form[at : at + 1]) if form[at] < 128 else b"\\x%02x" % form[at]  # noqa: PLR2004 - ASCII
        for at in range(len(form))
    )


def _forms(value: bytes) -> Iterator[bytes]:
    yield value
    yield from (each for each in _encoded(value) if len(each) >= _SHORTEST_FORM)
    yield from (each for each in _text_forms(value) if len(each) >= _SHORTEST)
    lines = value.splitlines()
    if len(lines) > 1:
        # a key in several lines: any of its lines gives it away; its frame and short last line do not
        yield from (line for line in lines if len(line) >= 16 and b"-----" not in line)  # noqa: PLR2004


def _encoded(value: bytes) -> Iterator[bytes]:
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for before in range(3):
        # The characters that only the value decides, whatever stands before and behind it in what was encoded.
        first = (before * 8 + 5) // 6
        last = (before + len(value)) * 8 // 6
        inner = base64.b64encode(b"\0" * before + value + b"\0\0")[first:last]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _text_forms(value: bytes) -> Iterator[bytes]:
    for percent in (quote(value, safe=b""), quote(value), quote_plus(value)):
        yield percent.encode()
        yield re.sub(r"%[0-9A-F]{2}", lambda code: code.group().lower(), percent).encode()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield html.escape(text).encode()
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield once.encode()
        yield once.replace("/", "\\/").encode()
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1].encode()
