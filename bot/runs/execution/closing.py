"""What a run's end writes into the fleet's record, tried until the cluster takes it: the workflow `closing`.

A run tries for a while by itself. Where the cluster takes nothing then, this workflow goes on, and nobody waits for it: people are told
how the run ended, and a rollback takes the place as it would take any other. All of it is written only while the run still has the
place: whoever took it since decides what is true.
"""

import logging
from dataclasses import dataclass
from typing import Any

from bot.process import crash_points
from bot.runs.engine import DurableResult
from bot.runs.heads import KeptHeads
from bot.runs.model import Answered, Ending, Request, escalation_id
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.context import Context
from runbooks.kit.errors import PermanentError
from runbooks.kit.retry import Pauses, retried
from runbooks.kit.steps import PlainPulse, Results
from runbooks.release.recording import Recorded
from runbooks.wording import short_id

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries."""


class Written(DurableResult):
    """The end of a run is in the fleet's record."""

    recorded: bool
    """What the run itself could not do is done too, such as recording its release."""


@dataclass(frozen=True, slots=True)
class WrittenEnd:
    """What became of writing an end."""

    recorded: bool
    """The steps that were late are done."""
    left: tuple[str, ...]
    """What is left of steps that changed something for a while, in sentences."""


class EndWriter:
    """Writes what a run's end leaves into the fleet's record; one per process."""

    def __init__(self, context: MakesContext, heads: KeptHeads) -> None:
        self._context = context
        self._heads = heads

    async def write(self, ending: Ending) -> WrittenEnd:
        """Write the end as far as it is not written yet."""
        request = ending.request
        context = self._context(
            request.requester, request.environment, run_id=request.id, approved_by=ending.approved_by
        )
        fleet, where, run = context.fleet, context.where, request.id
        recorded = await _done_late(context, ending)
        left = [await step.put_back(context.step(PlainPulse(run)).within(step.region)) for step in ending.put_back]
        undecided = None if recorded else ending.undecided
        await fleet.end(
            where, run, undecided=undecided, decided=ending.decided or recorded, decided_of=ending.decided_of
        )
        await self._heads.keep(fleet, where)
        return WrittenEnd(recorded=recorded, left=tuple(filter(None, left)))


class Closings:
    """The workflow `closing`."""

    def __init__(self, store: RunStore, ends: EndWriter) -> None:
        self._store = store
        self._ends = ends

    async def workflow(self, raw: Any) -> None:
        """Input: what is to be written. Ends when it is, or when somebody else has the lease."""
        ending = Ending.model_validate(raw)
        engine = self._store.engine
        written = await engine.recorded_step("write the end", Written, lambda: self._written(ending))
        await tell_waiting(self._store, ending.request)
        if written.recorded:
            text = f"{ending.done_late} (run {short_id(ending.request.id)})."
            message = Answered(text=text).model_dump(mode="json")
            await engine.send_if_known(escalation_id(ending.request.id), message)

    async def _written(self, ending: Ending) -> Written:
        written = await retried(
            lambda: self._ends.write(ending),
            may_help=lambda _: (
                True
            ),  # one that is permanent today may not be so tomorrow: a role, a certificate, a record
            noticed=lambda error: _log.warning(
                "the end of run %s is not written yet: %s", ending.request.id, error.code
            ),
            pauses=Pauses(_FIRST_PAUSE, _LONGEST_PAUSE, 2.0),
        )
        crash_points.reached("end-written")
        return Written(recorded=written.recorded)


async def _done_late(context: Context, ending: Ending) -> bool:
    if not ending.late:
        return False
    holder = (await context.fleet.read(context.where)).run
    if holder is None or holder.run != ending.request.id:
        return False
    given = context.step(PlainPulse(ending.request.id), Results.read(ending.steps, ending.results))
    try:
        done = [await step.apply(given.within(step.region)) for step in ending.late]
    except PermanentError:
        _log.exception("what run %s left to its end can't be done", ending.request.id)
        return False
    return not any(isinstance(result, Recorded) and result.hanging for result in done)


async def tell_waiting(store: RunStore, request: Request) -> None:
    """Let those who wait for the lease look again; from within a workflow."""

    async def waiting() -> list[str]:
        return [each.id for each in await store.open_requests(request.environment) if each.id != request.id]

    for other in await store.engine.step("who waits", waiting):
        await store.lease_is_free(other)
