"""What a run's end writes into the fleet's record, tried until the cluster takes it: the workflow `closing`.

A run tries for a while by itself. Where the cluster takes nothing then, this workflow goes on, and nobody waits for it: people are told
how the run ended, and a rollback takes the place as it would take any other. All of it is written only while the run still has the
place: whoever took it since decides what is true.
"""

import asyncio
import contextlib
import logging
from typing import Any

from bot import crash_points
from bot.runs.house import House
from bot.runs.model import Answered, Ending, FreeMessage, Request, closing_id, vigil_id
from commands.kit.context import Context
from commands.kit.rolling import record
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.steps import PlainPulse
from runbooks.release import max_surge
from runbooks.wording import short_id

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries."""


class Closings:
    """The workflow `closing`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def workflow(self, raw: Any) -> None:
        """Input: what is to be written. Ends when it is, or when somebody else has the place."""
        ending = Ending.model_validate(raw)
        written = await self._house.engine.step("write the end", lambda: self._written(ending))
        await tell_waiting(self._house, ending.request)
        if written["recorded"] and ending.release is not None:
            text = f"{ending.release.version} is now recorded as good (run {short_id(ending.request.id)})."
            message = Answered(text=text).model_dump(mode="json")
            await self._house.engine.send_if_known(vigil_id(ending.request.id), message)

    async def _written(self, ending: Ending) -> Any:
        pause = _FIRST_PAUSE
        while True:
            try:
                recorded = await write(self._house, ending)
            except (
                RunbookError
            ) as error:  # one that is permanent today may not be so tomorrow: a role, a certificate, a record
                _log.warning("the end of run %s is not written yet: %s", ending.request.id, error.code)
                later = error.retry_after if isinstance(error, TemporaryError) else 0.0
                await asyncio.sleep(max(pause, later))
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                crash_points.reached("end-written")
                return {"recorded": recorded}


async def write(house: House, ending: Ending) -> bool:
    """Writes all of it, as far as it is not written yet; returns whether a release was recorded that the run itself could not record."""
    context = house.context(ending.request.requester, ending.request.environment, run_id=ending.request.id)
    fleet, where, run = context.fleet, context.where, ending.request.id
    recorded = await _recorded(context, ending)
    for change in ending.put_back:
        with contextlib.suppress(PermanentError):  # the Deployment is gone, or the bot may not change it any more
            await max_surge.put_back(context.cluster, change.namespace, change.deployment, run=run)
    await fleet.end(where, run, undecided=None if recorded else ending.undecided, decided=ending.decided or recorded)
    await house.heads.keep(fleet, where)
    return recorded


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


async def of(house: House, request: Request) -> Ending:
    """What the run of a request that has ended still has to write; at least it gives the place back."""
    view = await house.engine.view(closing_id(request.id))
    return Ending.model_validate(view.input) if view is not None else Ending(request=request)


async def tell_waiting(house: House, request: Request) -> None:
    """Those who wait for the place look again."""

    async def waiting() -> Any:
        views = await house.engine.list(name="request", prefix=f"{request.environment}.", active=True)
        return [view.id for view in views if view.id != request.id]

    for other in await house.engine.step("who waits", waiting):
        await house.engine.send(other, FreeMessage().model_dump(mode="json"))
