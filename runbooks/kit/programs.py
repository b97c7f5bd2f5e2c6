"""A program that the configuration names: a list of plain words. No shell reads them, and none is the program."""

import re
from typing import Annotated

from pydantic import AfterValidator

_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_-]{1,200}")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "csh", "tcsh", "fish", "busybox", "env", "xargs"})
"""What runs whatever it is told, or another program."""


def plain(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words. Raises ValueError where one contains anything to expand, or where the program is a shell."""
    if not words or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError("a program's arguments can contain letters, digits and @%+=:,./_- only")
    if words[0].rpartition("/")[2] in _SHELLS:
        raise ValueError("a shell runs whatever it is told, so it can't be used here; name the program itself")
    return words


def _plain_if_any(words: tuple[str, ...]) -> tuple[str, ...]:
    return plain(words) if words else words


ProgramWords = Annotated[tuple[str, ...], AfterValidator(plain)]
OptionalProgram = Annotated[tuple[str, ...], AfterValidator(_plain_if_any)]
"""`()`: none."""
