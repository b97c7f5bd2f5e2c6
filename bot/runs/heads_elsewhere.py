"""The audit log's heads are copied to where who may write its file can't write: a bucket with Object Lock, and a channel in Slack.

Both where they are configured. Neither is waited for, and what fails there stops nothing: the next head stands for all events before it.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bot.audit import AuditHead, AuditLog
from bot.audit.head_copies import bucket, copy
from bot.boundary.outbound import Messenger, SurfaceGone
from bot.config import Settings
from bot.runs.heads import KeptHeads
from commands.kit.card import Card, State, words
from runbooks.clients.aws.bucket import Bucket, ObjectThere
from runbooks.kit.errors import RunbookError
from runbooks.kit.retry import Pauses, retried

_log = logging.getLogger(__name__)

_DAY = 86_400.0


class HeadCopies:
    """One per process."""

    def __init__(
        self,
        settings: Settings,
        audit_log: AuditLog,
        heads: KeptHeads,
        messenger: Messenger | None,
        compare: Callable[[], Awaitable[bool]],
    ) -> None:
        """`compare`: compares the log with its kept heads, and returns whether all who keep some have answered."""
        self._audit_log = audit_log
        self._heads = heads
        self._messenger = messenger
        self._compare = compare
        self._bucket = bucket(settings)
        self._channel = settings.bot.audit_channel
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, head: AuditHead) -> None:
        """Never waits."""
        if self._bucket is not None:
            self._start(self._put(self._bucket, head))
        if self._channel is not None and self._messenger is not None:
            self._start(self._say(self._channel, head))

    async def each_day(self, answered: bool) -> None:
        """Compare once a day, also where nobody asks for anything, so that a cut log shows after a quiet week.

        Who keeps heads and did not answer is asked again until they do. `answered`: all of them did at the start.
        """
        loop = asyncio.get_running_loop()
        while True:
            head = await self._audit_log.head()
            if head.seq and not self._heads.wrong:
                self.keep(head)
            ends, pauses = loop.time() + _DAY, Pauses(first=1.0, longest=60.0)
            while not answered and loop.time() < ends:
                await asyncio.sleep(pauses.after())
                answered = await self._compare()
            await asyncio.sleep(max(0.0, ends - loop.time()))
            answered = await self._compare()

    def stop(self) -> None:
        """What was not copied yet is covered by the head of the next start."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # a context of its own: it may be called from within a workflow's step
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _put(self, where: Bucket, head: AuditHead) -> None:
        try:
            await copy(where, head)
        except ObjectThere:
            return
        except RunbookError as error:
            _log.warning("an audit head was not copied to the bucket: %s", error.message)

    async def _say(self, channel: str, head: AuditHead) -> None:
        assert self._messenger is not None
        line = f"Audit head: event {head.seq} of {head.book} has the hash {head.hash}."
        card = Card(title=words(line), summary=line, state=State.DONE)
        post = self._messenger.post
        try:
            await retried(
                lambda: post(f"audit.head.{head.seq}", "audit", card, channel=channel, thread=None, search=False),
                pauses=Pauses(first=1.0, longest=60.0),
            )
        except (RunbookError, SurfaceGone):
            _log.warning("an audit head can't be told in the channel %s", channel)
