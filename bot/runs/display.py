"""How runs look just now, for people who watch: a cache that may be lost at any moment, since nothing rests on it.

After a restart it fills again: from the replay of what is recorded, and from what the runs say next. A second replica draws its own
runs; of the others it shows what the engine has.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

from bot.outbound import Messenger, Posted
from bot.runs.model import HoldAsked
from commands.kit.card import Card, StepLine


class Display:
    """One per process."""

    def __init__(self, messenger: Messenger | None) -> None:
        self._messenger = messenger
        self._watchers: dict[str, set[asyncio.Queue[tuple[str, Card] | None]]] = defaultdict(set)
        self._posted: dict[tuple[str, str], Posted] = {}
        self._redraw: dict[str, Callable[[], None]] = {}
        self.steps: dict[str, tuple[StepLine, ...]] = {}
        """Request → its run's steps as they stand now; the engine has those that ended."""
        self.holds: dict[str, HoldAsked] = {}
        """Request → who holds its run now; the request's own state has it too."""
        self.stopping: set[str] = set()
        """Requests whose run was asked to stop: their head message says that, and not how long it takes."""

    def tell(self, run: str, slot: str, card: Card) -> None:
        """A message of the run says something new: to who watches it in a terminal."""
        for queue in self._watchers.get(run, ()):
            queue.put_nowait((slot, card))

    def draw(self, run: str, slot: str, card: Card) -> None:
        """What a message of the run says just now, to terminals and to Slack: newest wins, any of it may be dropped."""
        self.tell(run, slot, card)
        posted = self._posted.get((run, slot))
        if posted is not None and self._messenger is not None:
            self._messenger.progress(posted, run, slot, card)

    def posted(self, run: str, slot: str, where: Posted) -> None:
        """The message stands there."""
        self._posted[run, slot] = where

    async def watch(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        """(slot, card) as they come, until the request has ended."""
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
        """Its run is in this process, and `redraw` draws its progress message anew."""
        self._redraw[run] = redraw

    def held(self, run: str, hold: HoldAsked | None) -> None:
        """Somebody holds the run, or nobody does any more."""
        if hold is not None:
            self.holds[run] = hold
        else:
            self.holds.pop(run, None)
        if (redraw := self._redraw.get(run)) is not None:
            redraw()

    def run_leaves(self, run: str) -> None:
        """It is in this process no more."""
        self._redraw.pop(run, None)

    def run_ended(self, run: str) -> None:
        """Nobody holds it or stops it any more."""
        self.holds.pop(run, None)
        self.stopping.discard(run)

    def end(self, run: str) -> None:
        """The request has ended; nothing more comes."""
        for queue in self._watchers.get(run, ()):
            queue.put_nowait(None)
        self.steps.pop(run, None)

    def forget(self, run: str) -> None:
        """Its thread is closed; nothing is drawn there any more."""
        self._posted = {key: where for key, where in self._posted.items() if key[0] != run}
