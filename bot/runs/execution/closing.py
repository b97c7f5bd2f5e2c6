"""What a run's end writes into the fleet's record, tried until the cluster takes it: the workflow `closing`.

A run tries for a while by itself. Where the cluster takes nothing then, this workflow goes on, and nobody waits for it: people are told
how the run ended, and a rollback takes the place as it would take any other. All of it is written only while the run still has the
place: whoever took it since decides what is true.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from bot.audit import EventName
from bot.process import crash_points
from bot.runs.engine import DurableResult
from bot.runs.heads import KeptHeads
from bot.runs.model import Answered, Ending, Request, Show, escalation_id, thread_id
from bot.runs.notes import AuditNotes
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.card import Card, Paragraph, State, Strong, sentence, words
from commands.kit.context import Context
from runbooks.fleet.fleet import Lease
from runbooks.fleet.records import unknown_holder
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import Pauses, retried
from runbooks.kit.steps import PlainPulse, Results
from runbooks.redaction.redactor import default_redactor
from runbooks.release.recording import Recorded
from runbooks.wording import short_id

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries."""
_SOON = 5.0
"""The same at most, where others wait for it as soon as the cluster answers."""
_SKEW = timedelta(minutes=1)
"""By how much another bot's clock may be ahead."""
_LOOK = 0.1
"""Seconds between two looks at a request that is about to end."""
WRITTEN = "written"
"""The event in which `closing` says that the end of a run without the record is written, or never will be."""


class Written(DurableResult):
    """The end of a run is in the fleet's record."""

    recorded: bool
    """What the run itself could not do is done too, such as recording its release."""
    moved_on: str = ""
    """Why the end of a run without the record was not written there, as a sentence."""


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
        recorded = await _done_late(context, ending) and ending.lease is None  # the home region is still to be decided
        left = [await step.put_back(context.step(PlainPulse(run)).within(step.region)) for step in ending.put_back]
        undecided = None if recorded else ending.undecided
        await fleet.end(
            where,
            run,
            undecided=undecided,
            decided=ending.decided or recorded,
            decided_of=ending.decided_of,
            freeze=ending.freeze,
        )
        await self._heads.keep(fleet, where)
        return WrittenEnd(recorded=recorded, left=tuple(filter(None, left)))

    async def take_lease(self, lease: Lease, request: Request, store: RunStore) -> str:
        """Take the lease for a run that went on without the record, so that its end can be written.

        Return why not, as a sentence, where the record has moved on since the run began: then nothing is changed. What an older run of
        this bot still has or has left is what the run went back from. Raises RunbookError where the cluster does not answer, or an older
        run has yet to stop.
        """
        context = self._context(request.requester, request.environment, run_id=request.id)
        fleet, where = context.fleet, context.where
        record, releases = await asyncio.gather(fleet.read(where), fleet.known_releases(where))
        if (unknown := unknown_holder(record)) is not None:
            return unknown.message
        holder, left = record.run, record.undecided
        if holder is not None and holder.run == lease.run:
            return ""
        others = (each for each in releases.releases if each.run and each.run != lease.run)
        newest = next((each for each in others if _is_later(each.at, request)), None)
        if newest is not None:
            return f"{newest.version} has been recorded there since (run {short_id(newest.run)})."
        if left is not None and left.run != lease.run and _is_later(left.since, request):
            ended = await store.ended_request(left.run)
            if ended is None or ended.at >= request.at:
                return f"{left.title} (run {short_id(left.run)}) has left it undecided since."
        if holder is not None:
            replaced = await store.open_request(holder.run)
            if replaced is not None and replaced.at < request.at:
                raise TemporaryError("The run that it replaced has yet to stop.", code=ReasonCode.CHANGED_MEANWHILE)
            ended = await store.ended_request(holder.run)
            if ended is None or ended.at >= request.at:
                return f"{holder.title} (run {short_id(holder.run)}) has the lease there now."
        if not await fleet.take_over(where, lease, of=holder):
            raise TemporaryError("The record changed just now.", code=ReasonCode.CHANGED_MEANWHILE)
        return ""


class Closings:
    """The workflow `closing`."""

    def __init__(self, store: RunStore, ends: EndWriter, notes: AuditNotes) -> None:
        self._store = store
        self._ends = ends
        self._notes = notes

    async def workflow(self, raw: Any) -> None:
        """Input: what is to be written. Ends when it is, or when somebody else has the lease."""
        ending = Ending.model_validate(raw)
        engine = self._store.engine
        written = await engine.recorded_step("write the end", Written, lambda: self._written(ending))
        await tell_waiting(self._store, ending.request)
        if ending.lease is not None:
            await engine.publish(WRITTEN, True)  # noqa: FBT003 - JSON
            await self._say_so(ending, written)
        if written.recorded:
            text = f"{ending.done_late} (run {short_id(ending.request.id)})."
            message = Answered(text=text).model_dump(mode="json")
            await engine.send_if_known(escalation_id(ending.request.id), message)

    async def _say_so(self, ending: Ending, written: Written) -> None:
        """Tell the thread what became of the record, and close it; a failure keeps its thread until somebody has decided.

        The run's own ending comes first: what reaches a thread after it was closed is never shown.
        """
        request = ending.request
        if not request.threaded:
            return
        await self._store.engine.step("wait for the run's ending", partial(self._told, request))
        title = f"The record of {request.environment} is up to date again"
        body = f"What this run did is recorded. {ending.left_open}".strip()
        if written.moved_on:
            title = f"The record of {request.environment} was left as it is"
            body = f"{written.moved_on} What this run did is not recorded; compare it with `status --env {request.environment}`."
        card = Card(
            state=State.ENDED if written.moved_on else State.DONE,
            title=words(Strong(text=title)),
            summary=f"{title}. {body}",
            body=(Paragraph(text=sentence(body)),),
        )
        await self._store.engine.send(thread_id(request.id), Show(slot="record", card=card).model_dump(mode="json"))
        if ending.late:
            await self._store.close_thread(request.id)

    async def _told(self, request: Request) -> None:
        while await self._store.standing(request.id) == "open":  # noqa: ASYNC110 - the engine wakes nobody
            await asyncio.sleep(_LOOK)

    async def _once(self, ending: Ending) -> Written:
        if ending.lease is None:
            return Written(recorded=(await self._ends.write(ending)).recorded)
        # what the record says is anybody's words, and is kept
        moved_on = default_redactor().text(await self._ends.take_lease(ending.lease, ending.request, self._store))
        if not moved_on:
            await self._ends.write(ending)
        await self._notes.write(
            ending.request,
            EventName.RECORD_LEFT if moved_on else EventName.RECORD_WRITTEN,
            actor="bot",
            reason=moved_on or ending.left_open,
            later=True,
        )
        return Written(recorded=False, moved_on=moved_on)

    async def _written(self, ending: Ending) -> Written:
        written = await retried(
            lambda: self._once(ending),
            may_help=lambda _: (
                True
            ),  # one that is permanent today may not be so tomorrow: a role, a certificate, a record
            noticed=lambda error: _log.warning(
                "the end of run %s is not written yet: %s", ending.request.id, error.code
            ),
            pauses=Pauses(_FIRST_PAUSE, _LONGEST_PAUSE if ending.lease is None else _SOON, 2.0),
        )
        crash_points.reached("end-written")
        return written


def _is_later(stamp: str, request: Request) -> bool:
    """Return whether what the record tells was after the request: a time that has not come was written by hand, and keeps nothing from being recorded."""
    at = read_time(stamp)
    return at is not None and request.at <= at <= datetime.now(UTC) + _SKEW


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
