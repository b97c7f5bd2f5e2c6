"""Live progress: one message that is edited every few seconds, slower when many run, never in the way of what must arrive."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.boundary.outbound import Posted
from bot.surfaces.slack.outbound.edit_budget import EditBudget
from commands.kit.card import Card
from runbooks.kit.errors import TemporaryError
from runbooks.kit.waiting import end

_log = logging.getLogger(__name__)

Update = Callable[[Posted, str, str, Card], Awaitable[None]]


@dataclass(slots=True)
class _Live:
    """A message that is being edited."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: tuple[str, str, Card] | None = None
    shown: Card | None = None
    at: float = -1e9
    task: asyncio.Task[None] | None = None
    closing: int = 0


class LiveProgress:
    """The newest card of each message, shown as often as the budget allows."""

    def __init__(self, budget: EditBudget, seconds: float, update: Update) -> None:
        self._budget = budget
        self._seconds = seconds
        self._update = update
        self._live: dict[Posted, _Live] = {}

    def show(self, posted: Posted, run: str, slot: str, card: Card) -> None:
        """Keep the newest card and start showing it, unless that is under way. Never waits."""
        live = self._live.setdefault(posted, _Live())
        live.waiting = (run, slot, card)
        if live.task is None or live.task.done():
            live.task = asyncio.get_running_loop().create_task(self._serve(posted, live))

    @asynccontextmanager
    async def closed(self, posted: Posted) -> AsyncIterator[None]:
        """Show no progress of the message that is older than what the body does."""
        live = self._live.setdefault(posted, _Live())
        live.waiting = None
        live.closing += 1
        try:
            async with live.lock:
                yield
        finally:
            live.closing -= 1
            live.at = asyncio.get_running_loop().time()
            if live.waiting is None and live.closing == 0 and (live.task is None or live.task.done()):
                self._live.pop(posted, None)

    async def close(self) -> None:
        """Stop all live progress."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        await end(*tasks)
        self._live.clear()

    def _interval(self) -> float:
        running = sum(1 for live in self._live.values() if live.task is not None and not live.task.done())
        return max(self._seconds, self._budget.interval(max(1, running)) if running > 1 else 0.0)

    async def _serve(self, posted: Posted, live: _Live) -> None:
        while live.waiting is not None:
            wait = live.at + self._interval() - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            if not self._budget.spare():
                await asyncio.sleep(min(1.0, self._seconds))
                continue
            async with live.lock:
                if live.waiting is None:
                    break
                run, slot, card = live.waiting
                live.waiting = None
                if card != live.shown and await self._one(posted, run, slot, card):
                    live.shown = card
                elif card != live.shown and live.waiting is None:
                    live.waiting = (run, slot, card)
                live.at = asyncio.get_running_loop().time()
        if live.closing == 0 and live.waiting is None and self._live.get(posted) is live:
            live.task = None
            asyncio.get_running_loop().call_later(self._interval(), self._drop, posted, live)

    def _drop(self, posted: Posted, live: _Live) -> None:
        """Forget a message that nobody has edited for a while."""
        idle = live.waiting is None and live.closing == 0 and (live.task is None or live.task.done())
        if idle and self._live.get(posted) is live:
            del self._live[posted]

    async def _one(self, posted: Posted, run: str, slot: str, card: Card) -> bool:
        """Show one card; return False where Slack asks to wait, so the same is shown later, unless there is a newer one."""
        try:
            await self._update(posted, run, slot, card)
        except TemporaryError:
            return False
        except Exception as error:  # noqa: BLE001 - live progress may be lost, never the run
            _log.warning("a progress edit was dropped: %s", type(error).__name__)
        return True
