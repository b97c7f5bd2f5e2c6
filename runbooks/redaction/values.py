"""Where a value that stands behind its cue begins and ends, and whether there is one. Used by the modules of readers."""

import re

from runbooks.redaction.checks import is_placeholder, looks_like_a_word
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import One, none, one

QUOTE = re.compile(rb"(\\{0,3})([\"'])|(%22|&quot;)")
BLANK = re.compile(rb"(?:[ \t]|%20|\\[nt]|\+(?=\S))*(?:\r?\n[ \t]*)?")
STOP = rb"[,;&)\]}|]{1,64}+(?:\s|\Z|[\"']|[\w.\-]{1,40}\s?[=:])|[\"']{1,64}+(?:\s|\Z|[,;)\]}:\\>])|\\{1,64}+[nrt\"']|</|&(?:quot|amp);"
BARE = re.compile(rb"(?:(?!" + STOP + rb")[^\s])+")
_DOUBLED = re.compile(rb"(?P<marks>\"{2,4}|'{2,4})(?P<value>[^\s\"',;)}\]][^\s\"']{0,4096})(?P=marks)")
"""How CSV, SQL and Python write a quotation mark within marks, and a text between three."""
LONGEST = 64 << 10
_BACKSLASH = 0x5C


def quoted(data: bytes, quote: re.Match[bytes]) -> tuple[int, int]:
    """From behind the opening quotation mark up to the one that closes it at the same depth of escaping.

    A mark that opens behind 0, 1, 3 backslashes (JSON, JSON in JSON, once more) is closed behind as many, or as many
    and a whole number of escaped backslashes; behind any other number it is a part of the value.
    """
    sign, first = quote.group(2) or quote.group(), quote.end()
    slashes = len(quote.group(1) or b"")
    if doubled := _DOUBLED.match(data, quote.start()):
        return doubled.span("value")
    at = first
    while (at := data.find(sign, at, first + LONGEST)) >= 0:
        run = at
        while run > first and data[run - 1] == _BACKSLASH:
            run -= 1
        if (at - run) % (2 * slashes + 2) == slashes:
            return first, at - slashes
        at += 1
    newline = data.find(b"\n", first)
    return first, newline if newline >= 0 else len(data)


def checked(data: bytes, kind: PrivateKind, first: int, last: int, *, strict: bool) -> One:
    """`strict`: a plain word counts as a value too; otherwise it is prose (`token: expired`)."""
    value = data[first:last]
    at = first
    while mark := MARK.match(data, at):
        at = mark.end()
    if at > first:
        return none(at)
    if is_placeholder(value) or (not strict and looks_like_a_word(value)):
        return none(last)
    return one(kind, first, last)


def left(signs: re.Pattern[bytes], data: bytes, start: int, reach: int) -> int:
    """Where the run of these signs begins that ends at `start`."""
    run = signs.match(data[max(0, start - reach) : start][::-1])
    return start - (run.end() if run else 0)
