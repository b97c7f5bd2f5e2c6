"""The environment's lease, as a request looks at it, takes it and gives it back. Who holds it may change the environment.

The record of it is the fleet's (`runbooks.fleet`). Everything here runs inside a step: it may be killed and done again at any point.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from bot.config.sections import TimeSettings
from bot.policy.approvals import ApprovalDecision, new_word
from bot.process import crash_points
from bot.runs import cards, outage_notice
from bot.runs.display import Display
from bot.runs.engine import DurableResult
from bot.runs.execution.closing import WRITTEN, EndWriter
from bot.runs.failures import WITHOUT_RECORD, Failure, Failures, instead_of_record
from bot.runs.follow_up import planned
from bot.runs.model import Ending, Request, closing_id
from bot.runs.notes import AuditNotes
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit import orphaned_run
from commands.kit.card import Button, State, Typed, sentence
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

_END_COMES = 30.0
"""Seconds that a rollback waits for what the one before it, which had no record, writes there, and for one that begins to do so."""
_LOOK = 0.2

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
        context, command = self._context(request), self._registry.operation(request.command, request.arguments)
        if command.without_record:
            return LeaseSeen(failure=await self._another_without(request))
        way = command.instead_of_record(context.where)
        async with self._saying_so(request, context, "making the plan", way):
            try:
                return await self._looked(request, context, back=back)
            except RunbookError as error:
                instead = instead_of_record(command, context)
                return LeaseSeen(failure=self._failures.of(request, error, instead=instead))

    async def _looked(self, request: Request, context: Context, *, back: bool) -> LeaseSeen:
        record = await self._patiently(
            lambda: context.fleet.read(context.where), seconds=self._while_back(context) if back else None
        )
        aside = await self._aside(request)
        if aside is not None and back:
            if await self._begun(aside):
                return LeaseSeen(failure=_refused_beside(request, aside))
            # its end is being written just now: what it left as bad is what nobody goes back to
            await self._store.engine.event(closing_id(aside.id), WRITTEN, timeout=_END_COMES)
            record, aside = await self._patiently(lambda: context.fleet.read(context.where)), None
        other = record.run if record.run and record.run.run != request.id else None
        if other is not None and not back and (ended := await self._store.ended_request(other.run)) is not None:
            # it has ended and could not give its lease back: the cluster was away just then
            ending = await self._store.unwritten_end(ended.id) or Ending(request=ended)
            await self._patiently(lambda: self._ends.write(ending))
            other = None
        freeze = record.freeze if record.freeze and record.freeze.holds(self._clock()) else None
        if (
            other is None and aside is None and (freeze is None or back)
        ):  # nobody who is told of a lock waits for a region that is away
            await self._patiently(lambda: self._put_back(request.environment))
        orphaned = other is not None and await orphaned_run.holder(context, record) is not None
        unknown = f", but {orphaned_run.UNKNOWN}" if orphaned else ""
        holder = f"{other.by}: {other.title} (run {short_id(other.run)}){unknown}" if other else None
        if aside is not None:
            holder = f"{aside.requester.name}: {aside.title} (run {short_id(aside.id)})"
        return LeaseSeen(
            reads=self._registry.operation(request.command, request.arguments).only_reads(context),
            freeze=freeze,
            holder=holder,
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
        async with self._saying_so(request, context, "starting", command.instead_of_record(context.where)):
            if command.without_record:
                return await self._take_without_record(request, command, plan, context)
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
        if await self._aside(request) is not None:
            return LeaseTaken(result="held")
        place, passes = self._place(request), command.after_rollback
        taken = await self._patiently(lambda: context.fleet.take(context.where, place, after_rollback=passes))
        return None if taken.taken else LeaseTaken(result="held", freeze=None if taken.holder else taken.freeze)

    async def _take_over(self, request: Request, command: Operation, plan: Plan, context: Context) -> LeaseTaken:
        """Take the lease, whoever has it. A rollback keeps it, so that the other run does not go on while people are asked again."""
        overtaken: str | None = None
        patiently = partial(self._patiently, seconds=self._while_back(context))
        try:
            other = (await patiently(lambda: context.fleet.read(context.where))).run
            if await self._goes_back_too(other, request.id) and not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed")
            if (aside := await self._aside_now(request)) is not None:
                return LeaseTaken(result="held", failure=_refused_beside(request, aside))
            place = self._place(request)
            overtaken = await patiently(lambda: self._taken_over(context, place))
            # At once: from here on the run that was overtaken can change nothing, so the plan that is made next stays true.
            await patiently(lambda: rollback.taken_everywhere(PlainPulse(place.run), context.fleet, context.places))
            if not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed", overtaken=overtaken)
        except RunbookError as error:
            failure = self._failures.of(request, error, instead=instead_of_record(command, context))
            return LeaseTaken(result="held", overtaken=overtaken, failure=failure)
        crash_points.reached("place-taken")
        return LeaseTaken(result="taken", overtaken=overtaken)

    # without the record

    async def _take_without_record(
        self, request: Request, command: Operation, plan: Plan, context: Context
    ) -> LeaseTaken:
        """Mark the Deployments of the regions away from home as this run's; there is no lease to be had.

        The engine's own list takes its place: another such rollback is not begun beside this one, what waits for the lease waits for
        this too, and the run that is under way is asked to stop. It is not waited for, since that mark keeps it from changing anything more.
        """
        if (another := await self._another_without(request)) is not None:
            return LeaseTaken(result="held", failure=another)
        under_way: Request | None = None
        try:
            if not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed")
            under_way = await self._under_way(request)
            others = [place for place in context.places if place.name != context.where.home]
            await rollback.taken_everywhere(PlainPulse(request.id), context.without_record().fleet, others)
            overtaken = under_way.id if under_way is not None else None
            if under_way is not None and not await self._fits(plan, command, context, request):
                return LeaseTaken(result="changed", overtaken=overtaken)
        except RunbookError as error:
            failure = self._failures.of(request, error)
            return LeaseTaken(result="held", overtaken=under_way.id if under_way else None, failure=failure)
        crash_points.reached("place-taken")
        return LeaseTaken(result="taken", overtaken=overtaken)

    async def _another_without(self, request: Request) -> Failure | None:
        """Return the refusal where another rollback without the record has begun.

        One that waits for its approval holds nobody up: whoever asked for it may be asleep, and nobody else can withdraw it.
        """
        other = await self._aside_now(request, after=request)
        return _refused_beside(request, other) if other is not None else None

    async def _aside(self, request: Request) -> Request | None:
        """Return the rollback that changes the environment, or has, though the record does not know of it yet."""
        return await self._aside_now(request) or await self._store.ended_without_record(request.environment)

    async def _aside_now(self, request: Request, *, after: Request | None = None) -> Request | None:
        """Return the rollback that changes the environment though the record does not know of it.

        Of two that are confirmed at the same moment, each says that it begins before it looks for the other. The one that was asked for
        later gives way to one that begins. The earlier one (`after`) waits to see whether the later one does: it may have looked too soon.
        """
        for other in await self._others(request):
            if self._registry.operation(other.command, other.arguments).without_record and await self._begun(other):
                later = after is not None and (other.at, other.id) > (after.at, after.id)
                if not later or await self._runs_after_all(other):
                    return other
        return None

    async def _runs_after_all(self, other: Request) -> bool:
        """Return whether a request that begins just now comes to run; one that takes long to begin is taken to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_COMES):
                while (state := await self._store.state(other.id)) is not None and state.phase == "starting":  # noqa: ASYNC110 - the other's workflow tells nobody
                    await asyncio.sleep(_LOOK)
        return await self._begun(other)

    async def _under_way(self, request: Request) -> Request | None:
        """Return the request whose run changes the environment now, as far as this bot's engine knows."""
        for other in await self._others(request):
            command = self._registry.operation(other.command, other.arguments)
            changes = not command.beside_runs and not command.only_reads(self._context(other))
            # of two without the record, one has given way by now
            if changes and not command.without_record and await self._begun(other):
                return other
        return None

    async def _others(self, request: Request) -> list[Request]:
        return [each for each in await self._store.open_requests(request.environment) if each.id != request.id]

    async def _begun(self, other: Request) -> bool:
        """Return whether it is let change the environment, or just asks for that, and has not ended."""
        state = await self._store.state(other.id)
        return state is not None and state.phase in ("starting", "running")

    def _while_back(self, context: Context) -> float | None:
        """Return how long a rollback waits for the record where other regions could go back without it; None: as long as anything else."""
        return min(self._times.region_patience, self._times.cluster_patience) if context.where.regions else None

    async def give_back(self, request: Request) -> bool:
        """Give back the lease of a request that ended before anything ran; only a rollback, or a failure just then, may still have it.

        Return False where the cluster does not take it: then the workflow `closing` goes on.
        """
        command = self._registry.operation(request.command, request.arguments)
        if command.without_record or await self._store.has_run(request.id):
            return True  # it never has it, or its run gives it back itself
        context = self._context(request)
        # where other regions could go back without the record, people hear at once that this one ended
        seconds = 0.0 if command.instead_of_record(context.where) else 60.0
        try:
            await self._patiently(lambda: context.fleet.leave(context.where, request.id), seconds=seconds)
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
        seconds = self._while_back(context) if command.goes_back else None
        make = partial(planned, self._store, request, command, context)
        return (await self._patiently(make, seconds=seconds)).still_fits(plan)

    async def _goes_back_too(self, holder: Lease | None, request: str) -> bool:
        """Return whether the holder is a rollback itself. It keeps the lease where the approved plan has changed: else nothing would go back meanwhile."""
        if holder is None or holder.run == request:
            return False
        other = await self._store.open_request(holder.run)
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
    async def _saying_so(
        self, request: Request, context: Context, otherwise: str, instead: str = ""
    ) -> AsyncIterator[None]:
        """Let the head message say that the request waits for the cluster, while that does not answer.

        Where something else may be typed `instead`, it offers that from the first failed try on.
        """
        home = context.where.home

        def say(why: str) -> None:
            card = cards.head_card(request, State.WAITING, why or otherwise)
            if why and instead:
                way = f"{home} has the record. If {home} stays away: `{instead}` takes the other regions back."
                button = Button(label=WITHOUT_RECORD, does=Typed(text=instead))
                card = cards.head_card(request, State.WAITING, why, detail=sentence(way), buttons=(button,))
            self._display.draw(request.id, HEAD, card)

        after = 0.0 if instead else self._times.silence_told
        async with outage_notice.told(context.cluster.unanswered, after, say):
            yield

    async def _patiently(self, act: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        """Try again while the cluster does not answer, by default for `times.cluster_patience`."""
        return await retried(act, seconds=self._times.cluster_patience if seconds is None else seconds)


def _refused_beside(request: Request, other: Request) -> Failure:
    """Return the refusal of a rollback beside one that goes on without the record: neither could know what the other leaves."""
    short = short_id(other.id)
    return Failure(
        code=ReasonCode.ALREADY_DECIDED,
        message=f"{other.requester.name} is already rolling {request.environment} back without the record (run {short}).",
        advice=(f"`runs {short}` shows how far it is. `cancel {short}` or `withdraw {short}` ends it.",),
    )
