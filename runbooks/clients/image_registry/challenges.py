"""Parser for `WWW-Authenticate`: there may be several headers, and several challenges in one header."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

_LONGEST = 8192
"""Maximum number of characters in all headers together."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=][^\s,"]*))', re.ASCII)
_SCHEME = re.compile(rf"({_WORD})(?=[ \t,]|$)", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*")
_UNREADABLE = re.compile(r"[^,]*")


class Challenge(NamedTuple):
    """A challenge: its scheme in lower case, and its fields."""

    scheme: str
    fields: dict[str, str]


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return all challenges in the headers' order, without those that can't be read."""
    found: list[Challenge] = []
    left = _LONGEST
    for header in headers:
        found += _in_one(header[:left])
        left -= len(header)
        if left <= 0:
            break
    return found


def _in_one(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while (at := _end(_BETWEEN, header, at)) < len(header):
        if field := _FIELD.match(header, at):
            if found:
                value = field[3] if field[2] is None else re.sub(r"\\(.)", r"\1", field[2])
                found[-1].fields.setdefault(field[1].lower(), value)
            at = field.end()
        elif scheme := _SCHEME.match(header, at):
            found.append(Challenge(scheme[1].lower(), {}))
            at = scheme.end()
        else:
            at = _end(_UNREADABLE, header, at)
    return found


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def address_of(text: str, *, plain_http: bool) -> str | None:
    """Return an address that a registry named, if the bot may use it: https (http only for plain http registries), a host, no password."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # an invalid port is noticed only here
        fine = parts.scheme in (("http", "https") if plain_http else ("https",)) and bool(parts.hostname)
        return text if fine and "@" not in parts.netloc and text.isprintable() else None
    except ValueError:
        return None


def origin(url: str) -> tuple[str, str]:
    """Return scheme and host with port, for which a login or a token is valid."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
