"""Acknowledgements go first: what comes after them waits until a burst of deliveries has been read, which is milliseconds.

Two hundred people who press at once are all acknowledged before the first of the answers is made, so none of them reads that the app
was too slow.
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

from bot.slack.answers import Answers
from bot.slack.reading import Origin

_log = logging.getLogger(__name__)

Work = Coroutine[Any, Any, None]

_GAP = 0.003
"""Seconds without a new delivery: the burst is over."""
_LONGEST = 0.5
"""Nobody waits longer, however many deliveries come."""


class Calm:
    """Whether a burst of deliveries is coming in."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()
        self._began = self._last = 0.0

    def disturbed(self) -> None:
        """A delivery came."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if self._over.is_set():
            self._over.clear()
            self._began = self._last
            loop.call_later(_GAP, self._look)

    async def wait(self) -> None:
        """Until the burst is over."""
        await self._over.wait()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._last >= _GAP or now - self._began >= _LONGEST:
            self._over.set()
        else:
            loop.call_later(_GAP, self._look)


class Afterwards:
    """What is done after an acknowledgement. It is waited for at the end, and a bug in it is told to the person."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._working: set[asyncio.Task[None]] = set()
        self.calm = Calm()

    def start(self, origin: Origin, work: Work) -> None:
        """Begins when the burst is over."""
        task = asyncio.get_running_loop().create_task(self._watched(origin, work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def ended(self) -> None:
        """Until all of it has been done."""
        while self._working:
            await asyncio.wait(self._working)

    def stop(self) -> None:
        """What has not ended never will."""
        if self._working:
            _log.warning("%d answers were still being made", len(self._working))
        for task in self._working:
            task.cancel()

    async def _watched(self, origin: Origin, work: Work) -> None:
        try:
            await self.calm.wait()
            await work
        except Exception:  # noqa: BLE001 - the person is told that there is something in the log
            reference = secrets.token_hex(4)
            _log.exception("an answer could not be made", extra={"reference": reference})
            await self._answers.failed(origin, reference)
        finally:
            work.close()
