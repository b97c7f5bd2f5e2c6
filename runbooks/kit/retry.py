"""Trying again: one loop for all that may work later, which hears a request to stop and ends at a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse
from runbooks.kit.waiting import unless_stopped

T = TypeVar("T")

Pause = Callable[[float], Awaitable[object]]
"""Waits so many seconds; what it raises ends the trying."""


class Pauses:
    """Pauses that grow from try to try up to a bound; what a server asks for is waited for at least."""

    def __init__(self, first: float = 0.1, longest: float = 2.0, growth: float = 1.5) -> None:
        self._first = self._next = first
        self._longest = longest
        self._growth = growth

    def after(self, error: RunbookError | None = None) -> float:
        """Return how long to wait before the next try."""
        asked = error.retry_after if isinstance(error, TemporaryError) else 0.0
        pause = max(self._next, asked)
        self._next = min(pause * self._growth, self._longest)
        return pause

    def again(self) -> None:
        """Begin with the first pause once more: something has worked."""
        self._next = self._first


def is_temporary(error: RunbookError) -> bool:
    """Whether the same call may work later."""
    return isinstance(error, TemporaryError)


def is_unreachable(error: RunbookError) -> bool:
    """Whether the cluster did not answer."""
    return isinstance(error, TemporaryError) and error.code is ReasonCode.CLUSTER_UNREACHABLE


def hearing(pulse: Pulse) -> Pause:
    """Return a pause that ends with `Stopped` as soon as somebody asks the run to stop."""
    return lambda seconds: unless_stopped(pulse, asyncio.sleep(seconds))


async def retried(
    act: Callable[[], Awaitable[T]],
    *,
    seconds: float | None = None,
    may_help: Callable[[RunbookError], bool] = is_temporary,
    enough: Callable[[RunbookError, int, float], bool] | None = None,
    noticed: Callable[[RunbookError], None] | None = None,
    pauses: Pauses | None = None,
    pause: Pause = asyncio.sleep,
    long: float | None = None,
) -> T:
    """Return what the act returns once it works; raises its error where trying again does not help, or has gone on for long enough.

    `seconds`: so long after the first failure is enough (without it there is no end); the last try is then, not before.
    `enough`: asked instead, with the error, how many tries failed and for how long. `noticed` is told of each failure that is tried
    again. A try that went well for more than `long` seconds before it failed begins a count of its own.
    """
    pauses = pauses or Pauses()
    failing_since, tries = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            return await act()
        except RunbookError as error:
            if not may_help(error):
                raise
            now = time.monotonic()
            if tries == 0 or (long is not None and now - began > long):
                failing_since, tries = began, 0
                pauses.again()
            tries += 1
            spent = now - failing_since
            if enough is not None and enough(error, tries, spent):
                raise
            if seconds is not None and spent >= seconds:
                raise
            if noticed is not None:
                noticed(error)
            wait = pauses.after(error)
            if seconds is not None:
                wait = min(wait, max(0.0, seconds - spent))
        await pause(wait)
