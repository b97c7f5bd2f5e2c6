"""Answers that go on for a while: each has a short name, and whoever may read it may stop it.

They live in this process only. What such an answer has shown says until when it goes on, so one that a crash cut off is not
mistaken for a living one.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

from commands.kit.card import Card
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

MOST = 10
"""At once: each holds a connection for each pod."""
_LETTERS = "23456789abcdefghjkmnpqrstvwxyz"


class LiveState(Frozen):
    """One state of an answer that goes on."""

    card: Card
    """All of it, for a message that is edited."""
    fresh: tuple[str, ...] = ()
    """Only what is new, for a terminal that writes on."""
    records: tuple[dict[str, object], ...] = ()
    said: str = ""
    """A sentence to end with."""


@dataclass(slots=True)
class Going:
    """One that goes on."""

    id: str
    environment: str
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    by: str = ""
    """Who stopped it, in words."""


class Follows:
    """All that go on. One for the life of the process."""

    def __init__(self) -> None:
        self._going: dict[str, Going] = {}

    def begin(self, environment: str) -> Going:
        """Raises `PermanentError` where too many go on."""
        if len(self._going) >= MOST:
            raise PermanentError(
                f"{MOST} logs are already being followed. Stop one of them, or read without --follow.",
                code=ReasonCode.USAGE,
            )
        name = "".join(secrets.choice(_LETTERS) for _ in range(5))
        going = self._going[name] = Going(name, environment)
        return going

    def end(self, going: Going) -> None:
        """It goes on no more."""
        self._going.pop(going.id, None)

    def stop(self, name: str, environment: str, by: str) -> bool:
        """False where nothing of that name goes on there."""
        going = self._going.get(name)
        if going is None or going.environment != environment:
            return False
        going.by = by
        going.stopped.set()
        return True

    def stop_all(self, by: str) -> None:
        """The process ends."""
        for going in self._going.values():
            going.by = by
            going.stopped.set()
