"""An exception that nobody foresaw, in words that may be kept and logged.

Its own words often quote what was read (pydantic's do, and `KeyError`, `int("…")`, a client's answer of the server), and what was read
may name a patient without any cue that redaction could see. So they are left out, and what a developer needs is said: which kind, where.
"""

import sys
import traceback
from collections.abc import Iterator

from runbooks.redaction.redactor import default_redactor

LONGEST = 300
"""Characters of what is told of one exception."""
_OURS = ("bot", "commands", "runbooks")
_OF_CODE = (
    TypeError, AttributeError, NameError, AssertionError, NotImplementedError, ZeroDivisionError, RecursionError, ImportError,
)  # fmt: skip
"""Python's own whose words are about the code, and not about what it works on."""
_FRAMES = 40


def told(error: BaseException) -> str:
    """One line: kind, words where they quote nothing, place."""
    place = _place(error)
    return f"{_line(error)}{f' ({place})' if place else ''}"


def trace(error: BaseException) -> str:
    """A traceback with the same words, its causes before it."""
    return "\n".join(_trace(error, set()))


def _trace(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        yield from _trace(cause, seen)
        yield "which caused:"
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-_FRAMES)
    if frames:
        yield "Traceback (most recent call last):"
        yield from (line.rstrip("\n") for line in frames.format())
    yield _line(error)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        if id(each) not in seen:
            yield "with:"
            yield from _trace(each, seen)


def _line(error: BaseException) -> str:
    name = type(error).__name__
    try:
        said = " ".join(default_redactor().text(_words(error)).split())
    except Exception:  # noqa: BLE001 - fails closed: an exception that can't say what it is, or can't be checked
        said = ""
    shown = said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
    return f"{name}: {shown}" if shown else name


def _words(error: BaseException) -> str:
    if type(error).__module__.partition(".")[0] in _OURS or type(error) in _OF_CODE:
        return str(error)
    return error.strerror or "" if isinstance(error, OSError) and isinstance(error.strerror, str) else ""


def _place(error: BaseException) -> str:
    """The last line that is not a library's."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [each for each in frames if not _is_library(each[0].f_code.co_filename)]
    if not frames:
        return ""
    frame, line = (own or frames)[-1]
    code = frame.f_code
    return f"{'/'.join(code.co_filename.split('/')[-3:])}:{line} in {code.co_name}"


def _is_library(path: str) -> bool:
    return "site-packages" in path or path.startswith((sys.base_prefix, "<"))
