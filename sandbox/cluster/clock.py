"""The cluster's time. Live, it is the wall clock; while the cluster is being seeded it can be moved by hand.

So a seeded past (a release of forty days ago, replaced twelve days ago) is made by the controllers themselves,
at once, and tests of long deadlines need not wait. Nothing ticks: with no timer due, nothing runs.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Timer:
    """Something to be done later, unless it is cancelled before."""

    __slots__ = ("action", "when")

    def __init__(self, when: datetime, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Clock:
    """Now, and what is due when."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Timer]] = []
        self._numbers = itertools.count()
        self._by_hand: datetime | None = datetime.now(UTC)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def now(self) -> datetime:
        return self._by_hand or datetime.now(UTC)

    def stamp(self) -> str:
        return stamp(self.now())

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        timer = Timer(self.now() + timedelta(seconds=seconds), action)
        heapq.heappush(self._heap, (timer.when, next(self._numbers), timer))
        self._arm()
        return timer

    def go_live(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on time passes by itself."""
        self._loop, self._by_hand = loop, None
        self._arm()

    def hold(self, at: datetime) -> None:
        """Time stands at `at` until it is advanced, or goes live again."""
        self._by_hand = at
        self._disarm()

    def stop(self) -> None:
        self._disarm()
        self._loop = None
        self._by_hand = datetime.now(UTC)

    def forget_timers(self) -> None:
        self._heap.clear()
        self._disarm()

    def advance(self, to: datetime) -> None:
        """Let everything happen that is due until `to`, by the held clock."""
        while self._heap and self._heap[0][0] <= to:
            when, _, timer = heapq.heappop(self._heap)
            self._by_hand = max(when, self.now())
            self._fire(timer)
        self._by_hand = to

    def _arm(self) -> None:
        if self._loop is None or self._by_hand is not None or not self._heap:
            return
        when = self._heap[0][0]
        if self._handle is not None:
            self._handle.cancel()
        delay = max(0.0, (when - self.now()).total_seconds())
        self._handle = self._loop.call_later(delay, self._run_due)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run_due(self) -> None:
        self._handle = None
        now = self.now()
        try:
            while self._heap and self._heap[0][0] <= now and self._by_hand is None:
                self._fire(heapq.heappop(self._heap)[2])
        finally:
            self._arm()

    @staticmethod
    def _fire(timer: Timer) -> None:
        action, timer.action = timer.action, None
        if action is not None:
            action()


def stamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes its times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    return datetime.fromisoformat(text)
