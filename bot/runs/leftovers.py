"""What a run changed only for a while, and a killed bot left so: put back by whoever finds it, once no run holds the place.

Asked for when the bot starts, and by every request before it plans. It is an act of the bot's own, so it is written to the audit log
first; where the audit log can't be written it is left for later.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.config import Settings
from bot.runs.heads import KeptHeads
from bot.runs.services import MakesContext
from commands.kit.context import Actor
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import RUN, SURGE
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.retry import Pauses, retried
from runbooks.release import max_surge

_log = logging.getLogger(__name__)

_PATIENCE = 600.0
"""Seconds after a start for which a cluster that does not answer is asked again."""
_AWAY = 3.0
"""Seconds that a request waits for a region other than the home region; the next one looks again."""


class Leftovers:
    """Finds them and puts them back; one per process."""

    def __init__(
        self,
        settings: Settings,
        context: MakesContext,
        audit_log: AuditLog,
        heads: KeptHeads,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._context = context
        self._audit_log = audit_log
        self._heads = heads
        self._clock = clock

    async def put_back(self, environment: str) -> None:
        """Put the rollout settings back that a killed run left. Raises `RunbookError`."""
        name = self._settings.bot.executor
        context = self._context(Actor(key=name, name=name, surface="bot"), environment)
        for place in context.places:
            try:
                async with asyncio.timeout(_AWAY if place.name != context.where.home else None):
                    await self._put_back(environment, context.fleet, place)
            except (RunbookError, TimeoutError):
                if place.name == context.where.home:
                    raise
                _log.warning("what a run left in %s could not be put back: no answer", place.name)

    async def _put_back(self, environment: str, fleet: Fleet, place: Place) -> None:
        for found in await max_surge.left(place.cluster, fleet, place.environment):
            if await self._noted(environment, found):
                await max_surge.put_back(
                    place.cluster, found.namespace, found.name, run=found.annotations.get(RUN), seen=found
                )

    async def put_back_everywhere(self) -> None:
        """Put the settings back in every environment when the bot starts; one whose cluster does not answer is tried again for a while."""
        await asyncio.gather(*(self._patiently(name) for name in self._settings.environments))

    async def _patiently(self, environment: str) -> None:
        try:
            await retried(lambda: self.put_back(environment), seconds=_PATIENCE, pauses=Pauses(first=1.0))
        except TemporaryError:
            return  # the next request looks again
        except RunbookError as error:
            _log.warning("what a run left in %s could not be put back: %s", environment, error.code)

    async def _noted(self, environment: str, found: DeploymentView) -> bool:
        if self._heads.wrong:
            return False
        run = found.annotations.get(RUN)
        what = {"deployment": found.name, "max_surge": found.annotations[SURGE], "left_by": run}
        event = Event(
            id=f"{environment}/{found.name}/{found.uid}/{found.generation}/{EventName.STRATEGY_RESTORED}",
            name=EventName.STRATEGY_RESTORED,
            at=self._clock(),
            actor=self._settings.bot.executor,
            surface="bot",
            environment=environment,
            run=run,
            details=what,
        )
        try:
            await self._audit_log.append(event)
        except AuditLogUnavailable:
            return False
        return True
