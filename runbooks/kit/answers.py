"""Reads what servers answer and programs print: JSON, a pause that was asked for, points in time.

Whatever a server sends ends as a value of a known type or as the caller's own `RunbookError`: too long, nested too deep, no JSON, a
number that no clock knows. What a program prints ends as one JSON document or as `NotUnderstood`.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from runbooks.kit.errors import RunbookError

if TYPE_CHECKING:
    import aiohttp

LARGEST = 4 * 1024 * 1024
"""Bytes of an answer, where the caller does not say otherwise."""
LONGEST_WAIT = 300.0
"""Seconds: a server may ask for more, and is asked again earlier."""

_CHUNK = 64 * 1024
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?", re.ASCII)
_LONGEST_TIME = 64
_YEARS = range(1970, 9999)
"""Kubernetes writes the year 1 for a time that is not set; the calendar's last year falls off it in another zone."""
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+", re.ASCII)
"""Go writes nine digits behind the point; Python reads six."""

_STARTS = 200
"""Lines of a program's output at which JSON is looked for."""
_BEGINS = re.compile(r"(?m)^[ \t]*[\[{]")
_VALUE = re.compile(r"\{|\[[ \t]*['\"{\[]")
"""What no log line begins with: `[info] …` and `[1/4] …` do, `{ failed: 3 }` and `['0042_notes']` are an answer in no JSON."""
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

Otherwise = Callable[[], RunbookError]
"""Makes the error for an answer that can't be read."""


class NotUnderstood(ValueError):
    """An output is not one clear answer; the text says what was found instead, and quotes nothing of it."""


async def read_bounded(content: "aiohttp.StreamReader", otherwise: Otherwise, *, largest: int = LARGEST) -> bytes:
    """Return the whole answer; raises `otherwise()` as soon as it is larger than `largest`."""
    found = bytearray()
    async for chunk in content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > largest:
            raise otherwise()
    return bytes(found)


def read_json(data: bytes | str, otherwise: Otherwise) -> Any:
    """Return the JSON value, whose texts can all be written as UTF-8; raises `otherwise()` for everything else."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig", errors="replace")
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\ud" in text or "\\uD" in text:  # half a character could be stored nowhere
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        # only the kind of error: the parser's own keeps the whole answer
        raise otherwise() from ValueError(type(error).__name__)
    return found


def read_object(data: bytes | str, otherwise: Otherwise) -> dict[str, Any]:
    """Return the JSON object; raises `otherwise()` for everything else."""
    found = read_json(data, otherwise)
    if not isinstance(found, dict):
        raise otherwise()
    return found


def read_printed(out: bytes) -> Any:
    """Return the one JSON document that a program printed, whatever lines stand around it; raises `NotUnderstood`.

    Of several documents nobody knows which is the answer: a logger writes JSON too. A document that breaks off is not passed over
    either, because a part of it would be taken for the whole. Half characters stay as they were printed.
    """
    text = _COLOUR.sub("", out.decode("utf-8-sig", errors="replace"))
    if not text.strip():
        raise NotUnderstood("nothing was printed")
    found: list[Any] = []
    at, starts = 0, 0
    while (begin := _BEGINS.search(text, at)) is not None:
        starts += 1
        if starts > _STARTS:
            raise NotUnderstood(f"more than {_STARTS} lines begin like JSON")
        try:
            value, at = _PRINTED.raw_decode(text, begin.end() - 1)
        except json.JSONDecodeError as error:
            at = begin.end()
            if _VALUE.match(text, at - 1) or "\n" in text[at : error.pos] or not text[error.pos :].strip():
                raise NotUnderstood("the JSON breaks off or has a mistake in it") from None
            continue  # a line that only begins like JSON, such as `[info] …`
        except RecursionError:
            raise NotUnderstood("the JSON is nested too deeply") from None
        except ValueError as error:
            raise NotUnderstood(str(error)) from None
        if text[at:].partition("\n")[0].strip():
            _pass_over(text, begin.end() - 1)  # such as `[1/4] …`
            continue
        found.append(value)
    if len(found) != 1:
        raise NotUnderstood(f"{len(found)} JSON documents were printed, not one" if found else "no JSON was printed")
    return found[0]


def _pass_over(text: str, at: int) -> None:
    if _VALUE.match(text, at):
        raise NotUnderstood("behind the JSON the line goes on")


def read_wait(header: str | None, *, longest: float = LONGEST_WAIT) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, given in seconds or as a date; None where it says neither."""
    plain = (header or "").strip()
    if _SECONDS.fullmatch(plain):
        return min(float(plain), longest)
    at = read_http_date(plain)
    return None if at is None else min(max(0.0, (at - datetime.now(UTC)).total_seconds()), longest)


def read_http_date(header: str | None) -> datetime | None:
    """Return the time of a header such as `Date`; None where it is no date."""
    if not header or len(header) > _LONGEST_TIME:
        return None
    try:
        found = parsedate_to_datetime(header)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def read_time(value: object) -> datetime | None:
    """Return the point in time of an RFC 3339 text, in UTC; None where it is not one, has no zone, or has a year that clocks don't show.

    Whoever adds a minute to it, or shows it in another zone, stays within the calendar.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        return None
    try:
        read = datetime.fromisoformat(_FRACTION.sub(r"\1", value))
        found = read.astimezone(UTC) if read.tzinfo is not None else None
    except (ValueError, OverflowError):  # the year 1 of a zone east of Greenwich is before all years
        return None
    return found if found is not None and found.year in _YEARS else None


def read_stamp(value: object) -> str:
    """Return a point in time as records have it (ISO 8601, UTC); empty where it is none. What has no zone is taken for UTC."""
    if not isinstance(value, str):
        return ""
    found = read_time(value) or read_time(f"{value}+00:00")
    return found.isoformat() if found is not None else ""


def _finite(text: str) -> float:
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise ValueError("a number in the JSON is too large")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object in the JSON has one name twice")
    return found


_PRINTED = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_named_once)
