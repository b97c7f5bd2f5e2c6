"""What a failure looked like, taken apart by who said it, so that every surface can put it in the order of a card.

`runbooks.diagnosis` fills it in; it travels with the error (`RunbookError.diagnosis`) and is kept with the run, so it is JSON.
"""

from collections.abc import Callable
from typing import Self

from runbooks.kit.targets import Frozen


class UsualCause(Frozen):
    """Something that often is behind such a failure."""

    cause: str
    to_do: str
    """What to do about it, as an order."""


class Diagnosis(Frozen):
    """Empty where nothing was looked at."""

    service: str = ""
    cause: str = ""
    """In words: "the image can't be pulled"; the first thing that is read."""
    said: tuple[str, ...] = ()
    """The cluster's own words, the most telling first."""
    seen: tuple[str, ...] = ()
    """Which pod, and what else was seen of it."""
    log: tuple[str, ...] = ()
    """The last lines that the container said."""
    before_exit: bool = False
    """The log is that of the container's previous life: what it said before it ended."""
    causes: tuple[UsualCause, ...] = ()

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """With nothing in it that must not leave."""
        own = {name: tuple(redact(line) for line in getattr(self, name)) for name in ("said", "seen", "log")}
        return self.model_copy(update={"cause": redact(self.cause), **own})
