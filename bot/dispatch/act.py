"""One act of one person on its way to its handler: what the handlers of all kinds need of it, and the audit event that each leaves."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.boundary.inbound import Inbound
from bot.config import Settings
from bot.dispatch.refusals import act_id
from bot.policy.permissions import Permissions
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from bot.runs.submission import Submissions
from commands.kit.command import Command, RunDecision
from commands.kit.context import Actor, Context
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode

_log = logging.getLogger(__name__)

_DOTS = 2
"""In a request's full id: `production.deploy.<id>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the handlers of all kinds work with; one per process, and no state in it."""

    settings: Settings
    permissions: Permissions
    audit_log: AuditLog
    store: RunStore
    submissions: Submissions
    context: MakesContext
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What came in, and who acts."""

    services: Services
    inbound: Inbound
    actor: Actor
    zone: tzinfo | None = None
    """The person's, where the surface knows it."""
    recalled: str = ""
    """What of the request comes from its thread, in words."""

    def context(self, environment: str | None) -> Context:
        """Return what a command is given, with the time in the person's zone."""
        context = self.services.context(self.actor, environment)
        return replace(context, now=context.now.astimezone(self.inbound.zone or self.zone or UTC))

    async def full_id(self, run: str) -> str:
        """Return what a short id stands for, so that the audit log names the run itself. Raises `Denied` where it is none or several."""
        return run.lower() if run.count(".") == _DOTS else (await self.context(None).runs.find(run)).id

    def environment_of(self, run: str) -> str | None:
        """Return where a run is, by its full id: its fleet's record may be in another cluster than the first one's."""
        name = run.partition(".")[0]
        return name if name in self.services.settings.environments else None

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Raise `RunbookError` inside once an answer has taken too long."""
        try:
            async with asyncio.timeout(self.services.settings.times.query_deadline):
                yield
        except TimeoutError:
            raise RunbookError("There was no answer in time. Try again.", code=ReasonCode.TIMED_OUT) from None

    async def note(
        self, request: Command, environment: str | None, name: EventName, *, said: str | None = None
    ) -> None:
        """Write who looked at what, or decided what. Decisions need the audit log; looking, and telling what was done, does not."""
        details: dict[str, object] = {"arguments": request.arguments()}
        event = Event(
            id=f"{act_id(self.inbound)}/{name}",
            name=name,
            at=self.services.clock(),
            actor=self.actor.key,
            surface=self.actor.surface,
            environment=environment,
            command=request.spec.name,
            run=request.run if isinstance(request, RunDecision) else None,
            reason=request.reason,
            details=details | ({"said": said} if said else {}),
        )
        try:
            await self.services.audit_log.append(event)
        except AuditLogUnavailable:
            if name is EventName.COMMAND_ACCEPTED:
                raise
            _log.warning("%s could not be written to the audit log", name, extra={"command": request.spec.name})
