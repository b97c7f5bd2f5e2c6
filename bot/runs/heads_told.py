"""The audit log is compared with its kept heads when the bot starts, and people are told at once where it is not what was kept."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from datetime import datetime

from bot.audit import AuditLog
from bot.audit.head_copies import bucket, copied
from bot.boundary.outbound import Messenger, SurfaceGone
from bot.config import Settings
from bot.runs.heads import KeptHeads
from bot.runs.services import MakesContext
from commands.kit.card import Card, Note, State, words
from commands.kit.context import Actor
from runbooks.kit.errors import RunbookError
from runbooks.kit.retry import Pauses, retried

_log = logging.getLogger(__name__)

COMPARE_SECONDS = 3.0
"""What the start waits for kept heads; those that were not read by then are asked for again (`heads_elsewhere`)."""
_WHAT_NOW = (
    "Only rollbacks can be started. Keep a copy of the log as it is, find out who could write to it, and "
    "run `omnicare audit verify` to see what was changed. The saved heads are kept."
)


class Telling:
    """Posts in each environment's channel: not by way of the engine, whose database may be on the same disk."""

    def __init__(self, settings: Settings, messenger: Messenger | None, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._messenger = messenger
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, wrong: str) -> None:
        """Never waits."""
        for name, environment in self._settings.environments.items():
            if environment.channel is not None and self._messenger is not None:
                # a context of its own: it may be called from within a workflow's step
                said = self._say(name, environment.channel, wrong)
                task = asyncio.get_running_loop().create_task(said, context=contextvars.Context())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """What was not said yet is said after the next start, which compares again."""
        for task in self._tasks:
            task.cancel()

    async def _say(self, name: str, channel: str, wrong: str) -> None:
        assert self._messenger is not None
        card = Card(
            title=words(f"{wrong}."), summary=f"{wrong}.", state=State.FAILED, body=(Note(text=words(_WHAT_NOW)),)
        )
        run = f"{name}.audit.{self._clock():%Y%m%d%H%M%S}"
        post = self._messenger.post
        try:
            await retried(
                lambda: post(run, "audit", card, channel=channel, thread=None, search=False),
                pauses=Pauses(first=1.0, longest=60.0),
            )
        except (RunbookError, SurfaceGone):
            _log.warning("%s can't be told about the audit log", channel)


async def compared(
    settings: Settings, context_of: MakesContext, audit_log: AuditLog, heads: KeptHeads, *, seconds: float
) -> bool:
    """Compare the kept heads of each environment and of the bucket. Return whether all of them answered within so many seconds."""

    async def one(name: str) -> bool:
        context = context_of(Actor(key=audit_log.name, name=audit_log.name, surface="bot"), name)
        try:
            async with asyncio.timeout(seconds):
                await heads.compare(context.fleet, context.where)
        except (RunbookError, TimeoutError):
            _log.warning("the audit log's kept heads in %s could not be asked for", name)
            return False
        return True

    async def elsewhere() -> bool:
        where = bucket(settings)
        if where is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                copies = [head for head in await copied(where) if head.book == audit_log.name]
                await heads.look_for(copies, f"the bucket {where.settings.bucket}")
        except (RunbookError, TimeoutError):
            _log.warning("the audit log's heads in the bucket %s could not be asked for", where.settings.bucket)
            return False
        return True

    return all(await asyncio.gather(elsewhere(), *map(one, settings.environments)))
