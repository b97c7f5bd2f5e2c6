"""Restore drills at configured times: the bot requests each by itself, and people approve it like any other.

A request's id is made from its time, so several replicas, or one that starts again, ask once. Of the times that passed while no bot ran
only the last one is asked for, and only where that is not long ago.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.config import Settings
from bot.runs.model import Request, request_id
from bot.runs.submission import Submissions
from commands.kit.context import Actor
from commands.kit.registry import Registry
from commands.kit.typed_again import typed_again
from runbooks.kit.minutes import Minutes

_log = logging.getLogger(__name__)

DRILL = "db drill"
_SCHEDULE = Actor(key="the drill schedule", name="the drill schedule", listed=False, surface="bot")
_LATE = timedelta(hours=12)
_LOOK = 60.0
"""Seconds after which the clock is looked at again, because somebody may set it."""


class ScheduledDrills:
    """One per process."""

    def __init__(
        self, settings: Settings, registry: Registry, submissions: Submissions, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._submissions = submissions
        self._clock = clock

    async def keep(self) -> None:
        """Ask for each environment's drills at their times; return where none has a schedule."""
        async with asyncio.TaskGroup() as group:
            for name, environment in self._settings.environments.items():
                if environment.backups is not None and environment.backups.drill_schedule is not None:
                    group.create_task(self._of(name, Minutes(environment.backups.drill_schedule)))

    async def ask(self, environment: str, due: datetime) -> str:
        """Request the drill of that time, unless that was done; return the request's id."""
        operation = self._registry.operation(DRILL, {"env": environment})
        channel = self._settings.environments[environment].channel
        request = Request(
            id=request_id(environment, DRILL, f"schedule:{due.isoformat()}"),
            command=DRILL,
            arguments=operation.arguments(),
            environment=environment,
            text=typed_again(operation),
            title=operation.title(environment),
            requester=_SCHEDULE,
            channel=channel,
            threaded=self._settings.slack.enabled and channel is not None,
            at=self._clock(),
            reason=f"scheduled for {due:%Y-%m-%d %H:%M} UTC",
        )
        if (twin := await self._submissions.submit(request, bounded=False)) is not None:
            _log.info("a scheduled drill is open still", extra={"run": twin})
        return twin or request.id

    async def _of(self, environment: str, times: Minutes) -> None:
        due = first_due(times, self._clock())
        while True:
            while (left := (due - self._clock()).total_seconds()) > 0:  # noqa: ASYNC110 - nothing tells of a time
                await asyncio.sleep(min(left, _LOOK))
            await self.ask(environment, due)
            due = times.after(max(due, self._clock()))


def first_due(times: Minutes, now: datetime) -> datetime:
    """Return the time that passed last, where that is not long ago, else the next one."""
    last = times.before(now)
    return last if last is not None and now - last <= _LATE else times.after(now)
