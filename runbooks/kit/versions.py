"""Versions as tags have them: which texts are one, how they are ordered, and in which other way one may have been typed."""

import re

from runbooks.kit.patterns import compiled

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
"""What a registry takes as a tag."""
PATTERN = r"v?[0-9]+(\.[0-9]+){0,3}([-+][0-9A-Za-z][0-9A-Za-z.+_-]*)?"
"""Tags that are versions, where the configuration does not say otherwise."""

_VERSION = re.compile(r"((?!sha)[A-Za-z]+[-_.])?v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(-.+)?", re.ASCII)
_DESCRIBED = re.compile(r"-(\d+)-g[0-9a-f]{4,40}", re.ASCII)
"""What `git describe` adds to the last tag: so many commits later."""
_BUILD = re.compile(r"-\d+", re.ASCII)
_FIRST_YEAR = 1990
"""From here on the first number is a year: a calendar version's `-2` is its second build, not a pre-release."""

Order = tuple[int, tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


class VersionPattern:
    """Which tags are versions, by a pattern of google-re2 that is held against the whole tag."""

    def __init__(self, pattern: str = PATTERN) -> None:
        """Raises `PatternRefused`."""
        self._compiled = compiled(f"(?:{pattern})")

    def matches(self, tag: str) -> bool:
        """Return whether the tag is one; what no registry takes as a tag never is."""
        return TAG.fullmatch(tag) is not None and self._compiled.fullmatch(tag.encode()) is not None


def is_older(tag: str, than: str) -> bool:
    """Return whether the tag is an older version than the other; False where the two can't be compared."""
    one, other = _VERSION.fullmatch(tag), _VERSION.fullmatch(than)
    return one is not None and other is not None and one[1] == other[1] and _numbers(one) < _numbers(other)


def version_order(tag: str) -> Order:
    """Sorts versions by number: `-rc1` before its release, `git describe`'s `-3-gabc123` after it, other tags before all."""
    found = _VERSION.fullmatch(tag)
    if found is None or found[1]:
        return (0, (), 0, _pieces(tag))
    return (1, *_numbers(found))


def _numbers(found: re.Match[str]) -> tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]:
    numbers = tuple(int(part or 0) for part in found.groups()[1:5])
    suffix = found[6] or ""
    later = _DESCRIBED.fullmatch(suffix) or (numbers[0] >= _FIRST_YEAR and _BUILD.fullmatch(suffix))
    return numbers, 1 if not suffix else 2 if later else 0, _pieces(suffix)


def _pieces(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"[0-9]+|[^0-9.\-]+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def spellings(version: str) -> tuple[str, ...]:
    """Return the version as it was typed, then with a leading `v`, or without it: `2.3.0`, `v2.3.0`."""
    if version[:1].isdigit():
        return (version, f"v{version}")
    return (version, version[1:]) if re.match(r"v[0-9]", version, re.ASCII) else (version,)
