"""Acknowledgements go first: what comes after them waits until a burst of deliveries has been read, which is milliseconds.

Two hundred people who press at once are all acknowledged before the first of the answers is made, so none of them reads that the app
was too slow.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.replies import Replies
from runbooks.kit.waiting import failed_inside

_log = logging.getLogger(__name__)

Work = Coroutine[object, None, None]

_GAP = 0.010
"""Seconds in which nothing more came: the burst is over."""
_LONGEST = 0.5
"""Nobody waits longer, however many deliveries come."""


class Calm:
    """Whether a burst of deliveries is coming in, and whose turn it is after it."""

    def __init__(self, *, gap: float = _GAP) -> None:
        self._gap = gap
        self._over = asyncio.Event()
        self._over.set()
        self._began = self._last = 0.0
        self._next = asyncio.Lock()

    def disturbed(self) -> None:
        """Note that one more delivery has come."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if self._over.is_set():
            self._over.clear()
            self._began = self._last
            loop.call_later(self._gap, self._look)

    async def wait(self) -> None:
        """Wait until the burst is over, and for a turn of the loop of one's own.

        A burst may pause for longer than the gap. If all that waits began in that moment, the rest of the burst would wait for all of it.
        """
        async with self._next:
            await self._over.wait()
            await asyncio.sleep(0)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._last >= self._gap or now - self._began >= _LONGEST:
            self._over.set()
        else:
            loop.call_later(self._gap, self._look)


AT_ONCE = 20
"""Acts of one account that are handed over at once, and besides so many answers on their way; a person has one or two."""
TOO_MANY = f"You are waiting for {AT_ONCE} answers. Wait for some of them first; `runs` shows the accepted requests."


class PerAccount:
    """Counts what is under way for each account."""

    def __init__(self) -> None:
        self._now: Counter[str] = Counter()

    def has_room(self, account: str) -> bool:
        """Return whether one more act of the account may begin."""
        return self._now[account] < AT_ONCE

    def began(self, account: str) -> None:
        """Count one more act under way."""
        self._now[account] += 1

    def ended(self, account: str) -> None:
        """Count one act less under way."""
        self._now[account] -= 1
        if not self._now[account]:
            del self._now[account]

    @contextmanager
    def counted(self, account: str) -> Iterator[None]:
        """Count one more act under way while the body runs."""
        self.began(account)
        try:
            yield
        finally:
            self.ended(account)


class Background:
    """What is done after an acknowledgement. It is waited for at the end, and a bug in it is told to the person.

    Whoever floods keeps nobody else waiting, and fills no memory: past a bound their acts are not looked at, which they are told once.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._working: set[asyncio.Task[None]] = set()
        self._open = PerAccount()
        self._told: set[str] = set()
        self._calm = Calm()
        self.handing_over = PerAccount()
        """What changes something, on its way to the dispatcher: counted apart, so that no answer that Slack is slow with is in its way."""

    def start(self, origin: Origin, work: Work) -> None:
        """Start the work when the burst is over, unless this account has too many acts open."""
        if not self._open.has_room(origin.account):
            work.close()
            self.too_many(origin)
            return
        self._begin(origin, work)

    def too_many(self, origin: Origin) -> None:
        """Tell the person, once for as long as this lasts."""
        if origin.account not in self._told:
            self._told.add(origin.account)
            self._begin(origin, self._replies.say(origin, TOO_MANY))

    def _begin(self, origin: Origin, work: Work) -> None:
        self._calm.disturbed()
        self._open.began(origin.account)
        task = asyncio.get_running_loop().create_task(self._watched(origin, work))
        self._working.add(task)
        task.add_done_callback(lambda done: self._ended(done, origin.account))

    def _ended(self, task: "asyncio.Task[None]", account: str) -> None:
        self._working.discard(task)
        self._open.ended(account)
        if self._open.has_room(account):
            self._told.discard(account)

    async def ended(self) -> None:
        """Wait until all work has ended."""
        while self._working:
            await asyncio.wait(self._working)

    def stop(self) -> None:
        """Cancel the work that has not ended."""
        if self._working:
            _log.warning("%d answers were still being made", len(self._working))
        for task in self._working:
            task.cancel()

    async def _watched(self, origin: Origin, work: Work) -> None:
        try:
            await self._calm.wait()
            await work
        except BaseException as error:  # the person is told that there is something in the log
            if not failed_inside(error):
                raise
            reference = secrets.token_hex(4)
            _log.exception("an answer could not be made", extra={"reference": reference})
            await self._replies.failed(origin, reference)
        finally:
            work.close()
