"""What a run's end writes into the fleet's record, tried until the cluster takes it: the workflow `closing`.

A run tries for a while by itself. Where the cluster takes nothing then, this workflow goes on, and nobody waits for it: people are told
how the run ended, and a rollback takes the place as it would take any other. All of it is written only while the run still has the
place: whoever took it since decides what is true.
"""

import contextlib
import logging
from typing import Any

from bot import crash_points
from bot.runs.engine import Recorded
from bot.runs.heads import KeptHeads
from bot.runs.model import Answered, Ending, Request, escalation_id
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.context import Context
from commands.kit.rolling import record
from runbooks.kit.errors import PermanentError
from runbooks.kit.retry import Pauses, retried
from runbooks.kit.steps import PlainPulse
from runbooks.release import max_surge
from runbooks.wording import short_id

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries."""


class Written(Recorded):
    """The end of a run is in the fleet's record."""

    recorded: bool
    """Its release too, which the run itself could not record."""


class EndWriter:
    """Writes what a run's end leaves into the fleet's record; one per process."""

    def __init__(self, context: MakesContext, heads: KeptHeads) -> None:
        self._context = context
        self._heads = heads

    async def write(self, ending: Ending) -> bool:
        """Writes all of it, as far as it is not written yet; returns whether a release was recorded that the run itself could not record."""
        context = self._context(ending.request.requester, ending.request.environment, run_id=ending.request.id)
        fleet, where, run = context.fleet, context.where, ending.request.id
        recorded = await _recorded(context, ending)
        for change in ending.put_back:
            with contextlib.suppress(PermanentError):  # the Deployment is gone, or the bot may not change it any more
                await max_surge.put_back(context.cluster, change.namespace, change.deployment, run=run)
        undecided = None if recorded else ending.undecided
        await fleet.end(where, run, undecided=undecided, decided=ending.decided or recorded)
        await self._heads.keep(fleet, where)
        return recorded


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
        if written.recorded and ending.release is not None:
            text = f"{ending.release.version} is now recorded as good (run {short_id(ending.request.id)})."
            message = Answered(text=text).model_dump(mode="json")
            await engine.send_if_known(escalation_id(ending.request.id), message)

    async def _written(self, ending: Ending) -> Written:
        recorded = await retried(
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
        return Written(recorded=recorded)


async def _recorded(context: Context, ending: Ending) -> bool:
    if ending.release is None:
        return False
    holder = (await context.fleet.read(context.where)).run
    if holder is None or holder.run != ending.request.id:
        return False
    try:
        await record(PlainPulse(ending.request.id), context, ending.release, ending.left)
    except PermanentError:
        _log.exception("the release of run %s can't be recorded", ending.request.id)
        return False
    return True


async def tell_waiting(store: RunStore, request: Request) -> None:
    """Those who wait for the lease look again; from within a workflow."""

    async def waiting() -> list[str]:
        return [each.id for each in await store.open_requests(request.environment) if each.id != request.id]

    for other in await store.engine.step("who waits", waiting):
        await store.lease_is_free(other)
