"""Words for values: counts, lists, durations, sizes, short ids, quotations. Whatever the value is, the sentence around it stays one.

A value may be empty, one, very many, very long or contain markup; each function says what it makes of that.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

_SHORT = 4
_QUOTED = 40
_INITIALS = frozenset({"cdn", "db", "pid"})
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONGEST = 1e12
"""Seconds that somebody may mean; a value beyond was written by hand, or is no number."""
_TWO_DAYS = 2 * _DAY
"""Seconds up to which hours are told, so that nothing is "1 days" old."""


def headed(name: str) -> str:
    """Return a name as a heading or on a button: `DB kill`, `PID`, `Dry run`."""
    return capital(" ".join(word.upper() if word in _INITIALS else word for word in name.split()))


def capital(text: str) -> str:
    """Return a text as a sentence begins; all after its first letter stays as it is: `The API` of `the API`."""
    return f"{text[:1].upper()}{text[1:]}"


def counted(count: int, what: str, many: str = "") -> str:
    """Return `1 run`, `3 runs`, `1,204 lines`; `many` is the plural where it is not made with an s."""
    return f"{count:,} {by_count(count, what, many or f'{what}s')}"


def by_count(count: int, one: str, many: str) -> str:
    """Return the word that agrees with a count: `is` or `are`."""
    return one if count == 1 else many


def part_of(count: int, of: int, what: str) -> str:
    """Return `2 of 5 pods`; `1 pod` where there is only one."""
    return counted(of, what) if of == 1 else f"{count:,} of {counted(of, what)}"


def listed(names: Iterable[str], last: str = "and", *, most: int | None = None) -> str:
    """Return `backend`, `backend and frontend`, `Maya, Tomas or Ines`, `a, b and 3 more`; `none` where there is no name."""
    known = [name for name in names if name.strip()]
    if most is not None and len(known) > most:
        known = [*known[:most], f"{len(known) - most:,} more"]
    *before, end = known or ["none"]
    return f"{', '.join(before)} {last} {end}" if before else end


def duration(seconds: float) -> str:
    """Return `8 s`, `1 min 12 s`, `2 h 5 min`, `12 days`; what no clock shows is `an unknown time`."""
    if not -_LONGEST < seconds < _LONGEST:
        return "an unknown time"
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, left = divmod(whole, _MINUTE)
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    if whole < _TWO_DAYS:
        hours, left = divmod(whole // _MINUTE, _MINUTE)
        return f"{hours} h {left} min" if left else f"{hours} h"
    return f"{whole // _DAY:,} days"


def age(seconds: float) -> str:
    """Return a duration in its largest unit only, cut off: `8 s`, `1 min`, `47 h`, `12 days`."""
    if not -_LONGEST < seconds < _LONGEST:
        return "an unknown time"
    whole = max(0, int(seconds))
    for size, unit, most in ((1, "s", _MINUTE), (_MINUTE, "min", _HOUR), (_HOUR, "h", _TWO_DAYS)):
        if whole < most:
            return f"{whole // size} {unit}"
    return f"{whole // _DAY:,} days"


def age_since(at: datetime, now: datetime | None = None) -> str:
    """Return how long ago a point in time was, in its largest unit only; what is still to come is `0 s` old."""
    return age(((now or datetime.now(UTC)) - at).total_seconds())


def size(count: float) -> str:
    """Return a number of bytes with a binary unit: `512 B`, `1.5 KiB`, `12 MiB`."""
    value = max(0.0, count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:  # noqa: PLR2004 - what the units are made of
            return f"{round(value, 1):g} {unit}"
        value /= 1024
    return "an unknown size"


def measured(value: float, unit: str = "") -> str:
    """Return a measured number with its unit, in three digits that matter: `0.021 %`, `112 ms`, `1,240 req/s`."""
    number = f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.3g}"  # noqa: PLR2004 - where `g` writes 1.24e+03
    return f"{number} {unit}".strip()


def in_sentence(text: str) -> str:
    """Return a text of ours as it stands inside of a sentence: `error rate`, and `API p95` as it is."""
    return text if text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def short_id(run: str) -> str:
    """Return the part of a run's id that people read and type: `7KQ2` of `production.deploy.7kq2…`; another text as it is."""
    parts = run.split(".")
    return parts[2][:_SHORT].upper() if len(parts) > 2 else run  # noqa: PLR2004 - environment, command, number


def short_digest(digest: str, digits: int = 12) -> str:
    """Return the first digits of an image's or a plan's digest, without the name of the algorithm; empty for an empty one."""
    return digest.rpartition(":")[2][:digits]


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; `…` at its end shows that something is missing."""
    return text if len(text) <= most else f"{text[: max(0, most - 1)].rstrip().rstrip('…')}…"


def cited(text: str, most: int = _QUOTED) -> str:
    """Return somebody else's words between backticks: on one line, at most so long, with no backtick of their own.

    Of what is empty or invisible nothing could be seen between them: it is called `an empty text`.
    """
    plain = "".join(sign if sign.isprintable() else " " for sign in text).replace("`", "'")
    plain = shortened(" ".join(plain.split()), most)
    return f"`{plain}`" if plain else "an empty text"
