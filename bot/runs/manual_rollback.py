"""How a person goes back by hand, for when the bot can't or may not: the exact `kubectl` lines of each environment, digests included.

Found anew where the cluster answers at once; else as they were last found, with their age. In memory only: nothing rests on it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from bot.runs.services import MakesContext
from commands.kit.context import Actor
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import versions
from runbooks.kit.steps import Undo
from runbooks.kit.targets import Frozen
from runbooks.release.plans import plan_rollback
from runbooks.release.steps import images_of
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
        """Return a heading for the lines."""
        seconds = (now - self.found).total_seconds()
        known = f", as known {age(seconds)} ago" if seconds >= _MINUTE else ""
        return f"By hand, to roll back to {self.version}{known}:"


def _waits(line: str) -> bool:
    return " rollout status " in line


class ManualRollbacks:
    """One per process."""

    def __init__(self, context: MakesContext, clock: Callable[[], datetime]) -> None:
        self._context = context
        self._clock = clock
        self._known: dict[str, ManualRollback] = {}

    async def of(self, environment: str) -> ManualRollback | None:
        """Return the way back now, or as it was last known; None where there is none to be known."""
        try:
            async with asyncio.timeout(_AT_ONCE):
                await self._find(environment)
        except (TimeoutError, RunbookError):
            pass
        except Exception:  # noqa: BLE001 - a refusal stays a refusal, whatever goes wrong with what is told besides
            _log.exception("the way back of %s could not be looked up", environment)
        return self._known.get(environment)

    async def changed(self, environment: str, undo: Sequence[Undo]) -> None:
        """Forget the known lines after a change, since they lead elsewhere now; what undoes its steps is used until new ones are looked up."""
        self._known.pop(environment, None)
        if undo:
            leads_to = ", ".join(dict.fromkeys(each.leads_to for each in undo))
            # every image is set before any rollout is waited for: one that hangs must not keep the others bad
            lines = tuple(sorted((line for each in undo for line in each.lines), key=_waits))
            self._known[environment] = ManualRollback(version=leads_to, lines=lines, found=self._clock())
        await self.of(environment)

    async def remember(self, environments: Iterable[str]) -> None:
        """Look up the lines while all is well, so that they are known when nothing answers."""
        for name in environments:
            await self.of(name)

    async def _find(self, environment: str) -> None:
        nobody = Actor(key="bot", name="OmniCare", surface="bot")
        context = self._context(nobody, environment)
        plan = await plan_rollback(
            context.cluster, context.registry, context.fleet, context.where, places=context.places
        )
        if not plan.empty:
            version = versions(change.after for change in images_of(plan))
            lines = tuple(line for step in plan.steps for line in step.by_hand())
            self._known[environment] = ManualRollback(version=version, lines=lines, found=self._clock())
