"""The environment's lease, as a request looks at it, takes it and gives it back. Who holds it may change the environment.

The record of it is the fleet's (`runbooks.fleet`). Everything here runs inside a step: it may be killed and done again at any point.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from bot.config.sections import TimeSettings
from bot.policy.approvals import ApprovalDecision, new_word
from bot.process import crash_points
from bot.runs import cards, outage_notice
from bot.runs.display import Display
from bot.runs.engine import DurableResult
from bot.runs.execution.closing import EndWriter
from bot.runs.failures import Failure, Failures
from bot.runs.follow_up import planned
from bot.runs.model import Ending, Request
from bot.runs.notes import AuditNotes
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit import orphaned_run
from commands.kit.card import State
from commands.kit.command import Operation
from commands.kit.context import Context
from commands.kit.registry import Registry
from runbooks.fleet.fleet import Lease, Undecided
from runbooks.fleet.records import Freeze
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.steps import PlainPulse
from runbooks.release import rollback
from runbooks.wording import short_id

T = TypeVar("T")

HEAD = "head"


class LeaseSeen(DurableResult):
    """Whether the environment is free for this request."""

    freeze: Freeze | None = None
    holder: str | None = None
    """Whom it waits for, in words."""
    way_out: str = ""
    """What a person can do where nobody knows that run."""
    word: str = ""
    """For the card that says so."""
    reads: bool = False
    """It changes nothing, so it waits for nobody."""
    failure: Failure | None = None


class LeaseTaken(DurableResult):
    """Whether it was taken, or why it has to be planned again."""

    result: Literal["taken", "held", "changed", "late", "unfit"]
    freeze: Freeze | None = None
    """What refuses it altogether."""
    overtaken: str | None = None
    """The run that it was taken from."""
    failure: Failure | None = None


class Leases:
    """One per process."""

    def __init__(
        self,
        *,
        context: MakesContext,
        store: RunStore,
        registry: Registry,
        ends: EndWriter,
        notes: AuditNotes,
        put_back: Callable[[str], Awaitable[None]],
        display: Display,
        failures: Failures,
        times: TimeSettings,
        clock: Callable[[], datetime],
    ) -> None:
        """`put_back`: puts back the rollout settings that a killed run left in an environment."""
        self._context_of = context
        self._store = store
        self._registry = registry
        self._ends = ends
        self._notes = notes
        self._put_back = put_back
        self._display = display
        self._failures = failures
        self._times = times
        self._clock = clock

    async def look(self, request: Request, *, back: bool = False) -> LeaseSeen:
        """Return what the request has to wait for before its plan. `back`: it is a rollback, which waits for nobody."""
        context = self._context(request)
        async with self._saying_so(request, context, "making the plan"):
            try:
                return await self._looked(request, context, back=back)
            except RunbookError as error:
                return LeaseSeen(failure=self._failures.of(request, error))

    async def _looked(self, request: Request, context: Context, *, back: bool) -> LeaseSeen:
        record = await self._patiently(lambda: context.fleet.read(context.where))
        other = record.run if record.run and record.run.run != request.id else None
        if other is not None and not back and (ended := await self._store.ended_request(other.run)) is not None:
            # it has ended and could not give its lease back: the cluster was away just then
            ending = await self._store.unwritten_end(ended.id) or Ending(request=ended)
            await self._patiently(lambda: self._ends.write(ending))
            other = None
        freeze = record.freeze if record.freeze and record.freeze.holds(self._clock()) else None
        if other is None and (freeze is None or back):  # nobody who is told of a lock waits for a region that is away
            await self._patiently(lambda: self._put_back(request.environment))
        orphaned = other is not None and await orphaned_run.holder(context, record) is not None
        unknown = f", but {orphaned_run.UNKNOWN}" if orphaned else ""
        return LeaseSeen(
            reads=self._registry.operation(request.command, request.arguments).only_reads(context),
            freeze=freeze,
            holder=f"{other.by}: {other.title} (run {short_id(other.run)}){unknown}" if other else None,
            way_out=f"{orphaned_run.way_out(other)}." if other is not None and orphaned else "",
            word=new_word(),
        )

    async def take(
        self, request: Request, command: Operation, plan: Plan, approved: tuple[ApprovalDecision, ...]
    ) -> LeaseTaken:
        """Take the lease for just that plan; it is made once more."""
        now = self._clock()
        latest = max((decision.at for decision in approved), default=now)
        if now - latest > timedelta(seconds=self._times.start_within):
            return LeaseTaken(result="late")
        context = self._context(request)
        async with self._saying_so(request, context, "starting"):
            if command.goes_back:
                return await self._take_over(request, command, plan, context)
            return await self._take(request, command, plan, context)

    async def _take(self, request: Request, command: Operation, plan: Plan, context: Context) -> LeaseTaken:
        try:
            await self._patiently(lambda: self._notes.heads.compare(context.fleet, context.where))
            if not self._notes.may_start(request):
                raise PermanentError(
                    f"{self._notes.trouble}, so nothing was started",
                    code=ReasonCode.BOOK_UNAVAILABLE,
                    advice=("Run `omnicare audit verify` to see what was changed.",),
                )
            if (held := await self._held(request, command, context)) is not None:
                return held
            if not await self._fits(plan, command, context, request):
                await self._patiently(lambda: context.fleet.leave(context.where, request.id))
                return LeaseTaken(result="changed")
        except RunbookError as error:
            return LeaseTaken(result="held", failure=self._failures.of(request, error))
        crash_points.reached("place-taken")
        return LeaseTaken(result="taken")

    async def _held(self, request: Request, command: Operation, context: Context) -> LeaseTaken | None:
        """Take the lease and return None, or return what is in the way. What is done beside runs takes none; a lock holds it up too."""
        if command.only_reads(context):
            return None
        if command.beside_runs:
            freeze = (await self._patiently(lambda: context.fleet.read(context.where))).freeze
            if freeze is None or not freeze.holds(self._clock()):
                return None
            stops = freeze.stops(after_rollback=command.after_rollback)
            return LeaseTaken(result="held", freeze=freeze) if stops else None
        place, passes = self._place(request), command.after_rollback
        taken = await self._patiently(lambda: context.fleet.take(context.where, place, after_rollback=passes))
        return None if taken.taken else LeaseTaken(result="held", freeze=None if taken.holder else taken.freeze)

    async def _take_over(self, request: Request, command: Operation, plan: Plan, context: Context) -> LeaseTaken:
        """Take the lease, whoever has it. A rollback keeps it, so that the other run does not go on while people are asked again."""
        overtaken: str | None = None
        try:
            if await self._goes_back_too(context, request.id) and not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed")
            place = self._place(request)
            overtaken = await self._patiently(lambda: self._taken_over(context, place))
            # At once: from here on the run that was overtaken can change nothing, so the plan that is made next stays true.
            await self._patiently(
                lambda: rollback.taken_everywhere(PlainPulse(place.run), context.fleet, context.places)
            )
            if not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed", overtaken=overtaken)
        except RunbookError as error:
            return LeaseTaken(result="held", overtaken=overtaken, failure=self._failures.of(request, error))
        crash_points.reached("place-taken")
        return LeaseTaken(result="taken", overtaken=overtaken)

    async def give_back(self, request: Request) -> bool:
        """Give back the lease of a request that ended before anything ran; only a rollback, or a failure just then, may still have it.

        Return False where the cluster does not take it: then the workflow `closing` goes on.
        """
        if await self._store.has_run(request.id):
            return True  # its run gives the lease back itself
        context = self._context(request)
        try:
            await self._patiently(lambda: context.fleet.leave(context.where, request.id), seconds=60.0)
        except RunbookError:
            return False
        return True

    async def undecided(self, request: Request) -> str:
        """Return what is still to be decided where a request ends before it ran, as a line; none where another run is about it."""
        context = self._context(request)
        try:
            record = await orphaned_run.as_it_is(context, await context.fleet.read(context.where))
        except RunbookError:
            return ""
        if record.undecided is None or (record.run is not None and record.run.run != request.id):
            return ""
        return f"{request.environment} is undecided: {record.undecided.title}."

    def _place(self, request: Request) -> Lease:
        since = self._clock().isoformat(timespec="seconds")
        return Lease(run=request.id, title=request.title, by=request.requester.name, since=since)

    async def _fits(self, plan: Plan, command: Operation, context: Context, request: Request) -> bool:
        """Return whether the plan may be carried out as things are now."""
        return (await self._patiently(lambda: planned(self._store, request, command, context))).still_fits(plan)

    async def _goes_back_too(self, context: Context, request: str) -> bool:
        """Return whether the holder is a rollback itself. It keeps the lease where the approved plan has changed: else nothing would go back meanwhile."""
        record = await self._patiently(lambda: context.fleet.read(context.where))
        if record.run is None or record.run.run == request:
            return False
        other = await self._store.open_request(record.run.run)
        return other is not None and self._registry.operation(other.command, other.arguments).goes_back

    async def _taken_over(self, context: Context, place: Lease) -> str | None:
        """Take the lease and return the run that had it; look again where it has changed hands meanwhile."""
        while True:
            holder = (await context.fleet.read(context.where)).run
            if holder is None or holder.run == place.run:
                undecided, decided = None, False
            else:
                undecided, decided = await self._left_by(holder, place)
            if await context.fleet.take_over(context.where, place, of=holder, undecided=undecided, decided=decided):
                return holder.run if holder and holder.run != place.run else None

    async def _left_by(self, holder: Lease, place: Lease) -> tuple[Undecided | None, bool]:
        """Return what somebody has to decide once the holder's lease is taken, and whether what was undecided before is decided.

        What it may have changed stays changed, whatever becomes of the one that takes its lease.
        """
        standing, has_run, end = await asyncio.gather(
            self._store.standing(holder.run), self._store.has_run(holder.run), self._store.unwritten_end(holder.run)
        )
        if end is not None:  # it is over, and the cluster has not taken its end
            return end.undecided, end.decided
        if standing is not None:
            state = await self._store.state(holder.run)
            begins = has_run or (state is not None and state.phase == "starting")
            if not begins or (state is not None and state.plan is not None and not state.plan.decides):
                return None, False
        # or nobody knows it: the bot's files were lost, and it may have changed anything
        title = f"{holder.title} was overtaken by run {short_id(place.run)}"
        return Undecided(run=holder.run, title=title[:200], since=place.since), False

    def _context(self, request: Request) -> Context:
        return self._context_of(request.requester, request.environment, run_id=request.id, reason=request.reason)

    @asynccontextmanager
    async def _saying_so(self, request: Request, context: Context, otherwise: str) -> AsyncIterator[None]:
        """Let the head message say that the request waits for the cluster, while that does not answer."""

        def say(sentence: str) -> None:
            self._display.draw(request.id, HEAD, cards.head_card(request, State.WAITING, sentence or otherwise))

        async with outage_notice.told(context.cluster.unanswered, self._times.silence_told, say):
            yield

    async def _patiently(self, act: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        """Try again while the cluster does not answer, by default for `times.cluster_patience`."""
        return await retried(act, seconds=self._times.cluster_patience if seconds is None else seconds)
