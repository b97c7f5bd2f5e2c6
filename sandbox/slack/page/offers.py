"""What the page is given as data by the sandbox's composition root: the commands to complete, the things to try."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandHint:
    """A subcommand for the completion. `usage` is all that may be typed, `summary` one line."""

    name: str
    usage: str
    summary: str


@dataclass(frozen=True, slots=True)
class Try:
    """One thing to try, in the welcome. `command` is put into the composer, `become` is the handle to become first."""

    label: str
    command: str
    done: Callable[[], bool]
    become: str = ""
