"""The workspace's budget of edits: `chat.update` is allowed some 50 times a minute for all messages together.

Edits that must arrive wait their turn; live progress takes only what is left over. When Slack says later, everybody waits.
"""

import asyncio
from collections import deque


class EditBudget:
    """Tokens that refill evenly, with room for a short burst."""

    def __init__(self, per_minute: float, *, burst: float | None = None) -> None:
        self._rate = per_minute / 60.0
        self._most = burst if burst is not None else max(2.0, per_minute / 5.0)
        self._tokens = self._most
        self._at = 0.0
        self._closed_until = 0.0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._turner: asyncio.Task[None] | None = None

    def interval(self, among: int) -> float:
        """Return the seconds between two edits of one message when so many share the budget; a third is left to what must arrive."""
        return among / (self._rate * 2.0 / 3.0)

    def later(self, seconds: float) -> None:
        """Send nothing for so long, as Slack asked."""
        now = asyncio.get_running_loop().time()
        self._closed_until = max(self._closed_until, now + seconds)
        self._tokens = min(self._tokens, 1.0)

    def spare(self) -> bool:
        """Take a token where one is free, keeping two for what must arrive; return whether it was taken."""
        self._refill()
        now = asyncio.get_running_loop().time()
        if self._queue or now < self._closed_until or self._tokens < min(3.0, self._most):
            return False
        self._tokens -= 1
        return True

    async def turn(self) -> None:
        """Wait for a token, first come first served."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(waiter)
        if self._turner is None or self._turner.done():
            self._turner = asyncio.create_task(self._serve())
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
            raise

    async def _serve(self) -> None:
        while self._queue:
            wait = self._wait()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            waiter = self._queue.popleft()
            if not waiter.done():
                self._tokens -= 1
                waiter.set_result(None)

    def _wait(self) -> float:
        self._refill()
        now = asyncio.get_running_loop().time()
        if now < self._closed_until:
            return self._closed_until - now
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._at:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
