"""The audit events of requests and runs: written before what they tell of begins, and caught up on when the log could not be written."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.runs.heads import KeptHeads
from bot.runs.model import Request
from commands.kit.registry import Registry
from runbooks.kit.reasons import ReasonCode

_STARTS = frozenset({EventName.RUN_REQUESTED, EventName.RUN_STARTED, EventName.STEP_STARTED})
"""Behind each of these something is changed."""


class AuditNotes:
    """One per process."""

    def __init__(
        self, audit_log: AuditLog, heads: KeptHeads, registry: Registry, clock: Callable[[], datetime]
    ) -> None:
        self.heads = heads
        self._audit_log = audit_log
        self._registry = registry
        self._clock = clock
        self._unwritten: deque[Event] = deque(maxlen=1000)
        """What happened while the log could not be written, oldest first."""

    @property
    def trouble(self) -> str:
        """Why nothing starts, for people; without its full stop."""
        return self.heads.wrong or "The audit log can't be written"

    def may_start(self, request: Request) -> bool:
        """Return whether the audit log is what the bot wrote, as far as its kept heads tell; a rollback may start anyway."""
        return not self.heads.wrong or self._registry.operation(request.command, request.arguments).goes_back

    async def requested(self, request: Request) -> bool:
        """Write the request to the log, as each is before the engine has it; return whether it was written."""
        details: dict[str, Any] = {"arguments": request.arguments, "text": request.text}
        if request.follows:
            details["follows"] = request.follows
        return await self.write(
            request,
            EventName.RUN_REQUESTED,
            actor=request.requester.key,
            surface=request.requester.surface,
            reason=request.reason,
            details=details,
        )

    async def write(
        self,
        request: Request,
        name: EventName,
        *,
        about: str = "",
        actor: str | None = None,
        surface: str = "bot",
        reason_code: ReasonCode | None = None,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        later: bool = False,
    ) -> bool:
        """Write an event of a request. Its id is made from its content, so a repetition writes nothing.

        False where the log can't be written: what has begun goes on, nothing new starts. `later`: it tells of what has happened all
        the same, so it is written as soon as the log can be.
        """
        event = Event(
            id="/".join(filter(None, (request.id, name, about))),
            name=name,
            at=self._clock(),
            actor=actor or request.requester.key,
            surface=surface,
            environment=request.environment,
            command=request.command,
            run=request.id,
            reason_code=reason_code,
            reason=reason,
            ticket=request.ticket,
            details=details or {},
        )
        if name in _STARTS and not self.may_start(request):
            return False
        try:
            while self._unwritten:
                first = self._unwritten[0]
                await self._audit_log.append(first)
                if self._unwritten and self._unwritten[0] is first:  # others may have written it meanwhile, too
                    self._unwritten.popleft()
            await self._audit_log.append(event)
        except AuditLogUnavailable:
            if later:
                self._unwritten.append(event)
            return False
        return True
