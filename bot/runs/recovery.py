"""What goes on after a restart, and who sees to it: everything that an earlier process left unfinished, in one place.

At the start: workflows of an older version are taken over, open requests are known again, and runs that were cut say so. Later, in the
background: a request that never reached the engine is closed in words, and rollout settings that a killed run left are put back.
(Workflows of this version need nothing from here: the engine itself goes on with them.)
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.config.sections import TimeSettings
from bot.process.supervision import Supervisor
from bot.runs.leftovers import Leftovers
from bot.runs.model import InterruptedMessage, Request
from bot.runs.pending import PendingRequests
from bot.runs.store import RunStore
from commands.kit.audit_filter import AuditFilter
from runbooks.kit.reasons import ReasonCode

_log = logging.getLogger(__name__)


class Recovery:
    """One per process."""

    def __init__(
        self,
        *,
        store: RunStore,
        pending: PendingRequests,
        leftovers: Leftovers,
        audit_log: AuditLog,
        times: TimeSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = store.engine
        self._pending = pending
        self._leftovers = leftovers
        self._audit_log = audit_log
        self._times = times
        self._clock = clock
        self._last: datetime | None = None

    async def look_back(self) -> None:
        """Note when the previous process last wrote something, before this one writes; for people to read, nothing is decided by it."""
        with contextlib.suppress(AuditLogUnavailable):
            self._last = next((event.at for event in await self._audit_log.search(AuditFilter(limit=1))), None)

    async def at_start(self) -> None:
        """Take over what earlier processes left; once, after the engine's launch and before anything is asked."""
        for each in await self._engine.take_over():
            _log.info("%s was begun by an older version of the bot and is %s", each.id, each.how)
        now = self._clock()
        for view in await self._engine.list(name="request", active=True):
            state = await self._store.state(view.id)
            if state is None or not state.stopping:
                self._pending.add(Request.model_validate(view.input))
            if self._last is not None and state is not None and state.phase == "running":
                message = InterruptedMessage(at=self._last, on=now).model_dump(mode="json")
                await self._engine.send(view.id, message, key=f"{view.id}/interrupted/{now.isoformat()}")

    def in_background(self, supervisor: Supervisor) -> None:
        """Start what is not urgent."""
        supervisor.start("closing abandoned requests", self._close_abandoned)
        supervisor.start("putting rollout settings back", self._leftovers.put_back_everywhere)

    async def _close_abandoned(self) -> None:
        """Close each request that is in the audit log and never reached the engine, since the process was killed between the two.

        Not at once: Slack may still deliver it again, and then it goes on as if nothing had happened.
        """
        await asyncio.sleep(self._times.abandoned_after)
        since = datetime.now(UTC).replace(microsecond=0)
        for event in await self._audit_log.search(AuditFilter(name=EventName.RUN_REQUESTED, until=since, limit=200)):
            if event.run is None or await self._engine.view(event.run) is not None:
                continue
            # an engine whose database was lost knows nothing of runs that it had: what the audit log tells of them stands
            if any(
                each.name != EventName.RUN_REQUESTED
                for each in await self._audit_log.search(AuditFilter(run=event.run, limit=2))
            ):
                continue
            with contextlib.suppress(AuditLogUnavailable):
                await self._audit_log.append(
                    Event(
                        id=f"{event.run}/{EventName.RUN_ABANDONED}",
                        name=EventName.RUN_ABANDONED,
                        at=datetime.now(UTC),
                        actor=event.actor,
                        surface="bot",
                        environment=event.environment,
                        command=event.command,
                        run=event.run,
                        reason_code=ReasonCode.ABANDONED,
                        reason=ReasonCode.ABANDONED.meaning,
                    )
                )
