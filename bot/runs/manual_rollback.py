"""How a person goes back by hand, for when the bot can't or may not: the exact `kubectl` lines of each environment, digests included.

Found anew where the cluster answers at once; else as they were last found, with their age. In memory only: nothing rests on it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from bot.runs.services import MakesContext
from commands.kit.context import Actor
from runbooks.deployments.service_state import kubectl_lines
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import ImageChange, versions
from runbooks.kit.targets import Frozen
from runbooks.release.plans import plan_rollback
from runbooks.wording import age

_log = logging.getLogger(__name__)

_AT_ONCE = 3.0
"""Seconds: a refusal waits no longer for it."""


_MINUTE = 60


class ManualRollback(Frozen):
    """The lines that go back to the last known good release."""

    version: str
    lines: tuple[str, ...]
    found: datetime

    def told(self, now: datetime) -> str:
        """What the lines are, in words."""
        seconds = (now - self.found).total_seconds()
        known = f", as known {age(seconds)} ago" if seconds >= _MINUTE else ""
        return f"By hand, to roll back to {self.version}{known}:"


class ManualRollbacks:
    """One per process."""

    def __init__(self, context: MakesContext, clock: Callable[[], datetime]) -> None:
        self._context = context
        self._clock = clock
        self._known: dict[str, ManualRollback] = {}

    async def of(self, environment: str) -> ManualRollback | None:
        """The way back now, or as it was last known; None where there is none to be known."""
        try:
            async with asyncio.timeout(_AT_ONCE):
                await self._find(environment)
        except (TimeoutError, RunbookError):
            pass
        except Exception:  # noqa: BLE001 - a refusal stays a refusal, whatever goes wrong with what is told besides
            _log.exception("the way back of %s could not be looked up", environment)
        return self._known.get(environment)

    async def changed(self, environment: str, changes: Sequence[ImageChange]) -> None:
        """A run has made these changes: what was known before leads elsewhere now. What undoes them is known, until it is looked up."""
        self._known.pop(environment, None)
        undone = [each.model_copy(update={"before": each.after, "after": each.before}) for each in changes]
        if undone := [each for each in undone if each.before != each.after]:
            self._known[environment] = _way(undone, self._clock())
        await self.of(environment)

    async def remember(self, environments: Iterable[str]) -> None:
        """Looks while all is well, so that it is known when nothing answers."""
        for name in environments:
            await self.of(name)

    async def _find(self, environment: str) -> None:
        nobody = Actor(key="bot", name="OmniCare", surface="bot")
        context = self._context(nobody, environment)
        plan = await plan_rollback(context.cluster, context.registry, context.fleet, context.where)
        if plan.changes:
            self._known[environment] = _way(plan.changes, self._clock())


def _way(changes: Sequence[ImageChange], now: datetime) -> ManualRollback:
    version = versions(change.after for change in changes)
    return ManualRollback(version=version, lines=tuple(kubectl_lines(changes)), found=now)
