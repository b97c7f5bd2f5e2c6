"""How runs look just now, for people who watch: a cache that may be lost at any moment, since nothing rests on it.

After a restart it fills again: from the replay of what is recorded, and from what the runs say next. A second replica draws its own
runs; of the others it shows what the engine has.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

from bot.boundary.outbound import Messenger, Posted
from bot.runs.model import HoldAsked
from commands.kit.card import Card, StepLine, Text


class Display:
    """One per process."""

    def __init__(self, messenger: Messenger | None) -> None:
        self._messenger = messenger
        self._watchers: dict[str, set[asyncio.Queue[tuple[str, Card] | None]]] = defaultdict(set)
        self._posted: dict[tuple[str, str], Posted] = {}
        self._redraw: dict[str, Callable[[], None]] = {}
        self._told: list[Callable[[], None]] = []
        self.steps: dict[str, tuple[StepLine, ...]] = {}
        """Request → its run's steps as they stand now; the engine has those that ended."""
        self.holds: dict[str, HoldAsked] = {}
        """Request → who holds its run now; the request's own state has it too."""
        self.interrupted: dict[str, Text] = {}
        """Request → the notice that its run was interrupted, which stays on the head message."""
        self.stopping: set[str] = set()
        """Requests whose run was asked to stop: their head message says that, and not how long it takes."""

    def tell(self, run: str, slot: str, card: Card) -> None:
        """Give a run's new message to those who watch it in a terminal."""
        self._changed()
        for queue in self._watchers.get(run, ()):
            queue.put_nowait((slot, card))

    def draw(self, run: str, slot: str, card: Card) -> None:
        """Show a run's message in terminals and in Slack: the newest wins, any may be dropped."""
        self.tell(run, slot, card)
        posted = self._posted.get((run, slot))
        if posted is not None and self._messenger is not None:
            self._messenger.progress(posted, run, slot, card)

    def posted(self, run: str, slot: str, where: Posted) -> None:
        """Note that the message was posted."""
        self._posted[run, slot] = where
        self._changed()

    async def link(self, run: str) -> str | None:
        """Return the address of the run's thread; None where there is none, or no longer one that is open."""
        posted = self._posted.get((run, "head"))
        return await self._messenger.link(posted) if posted is not None and self._messenger is not None else None

    def on_change(self, told: Callable[[], None]) -> None:
        """Call this whenever a run looks different; it must return at once."""
        self._told.append(told)

    def _changed(self) -> None:
        for told in self._told:
            told()

    async def watch(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        """Yield slot and card as they come, until the request has ended."""
        queue: asyncio.Queue[tuple[str, Card] | None] = asyncio.Queue()
        self._watchers[run].add(queue)
        try:
            while (news := await queue.get()) is not None:
                yield news
        finally:
            self._watchers[run].discard(queue)
            if not self._watchers[run]:
                del self._watchers[run]

    def run_begins(self, run: str, redraw: Callable[[], None]) -> None:
        """Note that its run is in this process, and that `redraw` draws its progress message."""
        self._redraw[run] = redraw

    def held(self, run: str, hold: HoldAsked | None) -> None:
        """Note who holds the run, or that nobody does any more."""
        if hold is not None:
            self.holds[run] = hold
        else:
            self.holds.pop(run, None)
        if (redraw := self._redraw.get(run)) is not None:
            redraw()

    def run_leaves(self, run: str) -> None:
        """Note that the run is no longer in this process."""
        self._redraw.pop(run, None)

    def run_ended(self, run: str) -> None:
        """Forget who held or stopped the run."""
        self.holds.pop(run, None)
        self.interrupted.pop(run, None)
        self.stopping.discard(run)

    def end(self, run: str) -> None:
        """End the watches of a request that has ended."""
        self._changed()
        for queue in self._watchers.get(run, ()):
            queue.put_nowait(None)
        self.steps.pop(run, None)

    def forget(self, run: str) -> None:
        """Forget a thread that is closed, so nothing is drawn there any more."""
        self._posted = {key: where for key, where in self._posted.items() if key[0] != run}
