"""The environment's place, as a request looks at it and takes it: steps of the workflow `request`, and so JSON.

Who holds the place may change the environment; the record of it is the fleet's (`runbooks.fleet.fleet`). Each of these may be killed and
done again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from bot import crash_points
from bot.policy.approvals import Decision, new_word
from bot.runs import cards, endings, leftovers, outage_notice
from bot.runs.execution import closing
from bot.runs.house import House
from bot.runs.model import Ending, Request, RequestState, closing_id, run_id
from bot.runs.thread.workflow import HEAD
from commands.kit import orphaned_run
from commands.kit.card import State
from commands.kit.command import Operation
from commands.kit.context import Context
from runbooks.fleet.fleet import RunPlace, Undecided
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.steps import PlainPulse
from runbooks.release import rollouts
from runbooks.wording import short_id

T = TypeVar("T")

NOT_TAKEN: dict[str, Any] = {"freeze": None, "overtaken": None, "result": "held"}


async def look(house: House, request: Request, *, back: bool = False) -> Any:
    """Freeze, holder in words, and the word for the card that says so; or an error. `back`: it goes back, so it waits for nobody."""
    context = _context(house, request)
    async with _saying_so(house, request, context, "making the plan"):
        return await _looked(house, request, context, back=back)


async def _looked(house: House, request: Request, context: Context, *, back: bool) -> Any:
    try:
        record = await _patiently(house, lambda: context.fleet.read(context.where))
        other = record.run if record.run and record.run.run != request.id else None
        if other is not None and not back and (ended := await _ended(house, other.run)) is not None:
            ending = await closing.of(house, ended)
            await _patiently(house, lambda: closing.write(house, ending))
            other = None
        if other is None:
            await _patiently(house, lambda: leftovers.put_back(house, request.environment))
    except RunbookError as error:
        return {"error": endings.told(house, request, error)}
    freeze = record.freeze if record.freeze and record.freeze.holds(house.clock()) else None
    lost = other is not None and await orphaned_run.holder(context, record) is not None
    unknown = f", but {orphaned_run.UNKNOWN}" if lost else ""
    return {
        "freeze": freeze.model_dump(mode="json") if freeze else None,
        "holder": f"{other.by}: {other.title} (run {short_id(other.run)}){unknown}" if other else None,
        "way_out": f"{orphaned_run.way_out(other)}." if other is not None and lost else "",
        "word": new_word(),
    }


async def take(house: House, request: Request, command: Operation, digest: str, approved: tuple[Decision, ...]) -> Any:
    """`result`: taken, or why it has to be planned again (held, changed, late); besides freeze, whom it was taken from, an error."""
    now = house.clock()
    latest = max((decision.at for decision in approved), default=now)
    if now - latest > timedelta(seconds=house.settings.times.start_within):
        return NOT_TAKEN | {"result": "late"}
    context = _context(house, request)
    async with _saying_so(house, request, context, "starting"):
        return await _tried_to_take(house, request, command, digest, context)


async def _tried_to_take(house: House, request: Request, command: Operation, digest: str, context: Context) -> Any:
    answer = dict(NOT_TAKEN)
    since = house.clock().isoformat(timespec="seconds")
    place = RunPlace(run=request.id, title=request.title, by=request.requester.name, since=since)
    back = command.goes_back
    try:
        if back:
            if (
                await _goes_back_too(house, context, request.id)
                and (await _plan(house, command, context, request)) != digest
            ):
                return answer | {"result": "changed"}
            answer |= await _patiently(house, lambda: _taken_over(house, context, place))
            # At once: from here on the run that was overtaken can change nothing, so the plan that is made next stays true.
            await _patiently(
                house, lambda: rollouts.stamp(PlainPulse(place.run), context.cluster, context.fleet, context.where)
            )
        else:
            answer |= await _patiently(house, lambda: _taken(context, place))
        if answer["result"] != "taken":
            return answer
        if await _plan(house, command, context, request) != digest:
            # Who goes back keeps the place: what it was taken from must not go on while people are asked once more.
            if not back:
                await _patiently(house, lambda: context.fleet.leave(context.where, request.id))
            return answer | {"result": "changed"}
    except RunbookError as error:
        return answer | {"error": endings.told(house, request, error)}
    crash_points.reached("place-taken")
    return answer


async def _plan(house: House, command: Operation, context: Context, request: Request) -> str:
    """The digest of the plan as it would be made now."""
    plan = await _patiently(house, lambda: command.plan(context))
    return plan.digest(substance(request))


async def _goes_back_too(house: House, context: Context, request: str) -> bool:
    """Whether the holder goes back already. It is left alone for a yes to a plan that is no longer so: nothing would go back meanwhile."""
    record = await _patiently(house, lambda: context.fleet.read(context.where))
    if record.run is None or record.run.run == request:
        return False
    view = await house.engine.view(record.run.run)
    return view is not None and view.active and house.make(Request.model_validate(view.input)).goes_back


async def give_back(house: House, request: Request) -> bool:
    """A request that ended before anything ran holds nothing. Only one that went back, or failed just then, still could.

    False where the cluster does not take it: then the workflow `closing` goes on.
    """
    if await house.engine.view(run_id(request.id)) is not None:
        return True  # its run gives the place back itself
    context = _context(house, request)
    try:
        await _patiently(house, lambda: context.fleet.leave(context.where, request.id), seconds=60.0)
    except RunbookError:
        return False
    return True


async def undecided(house: House, request: Request) -> Any:
    """What is still to be decided where a request ends before it ran, as a line; none where another run is about it."""
    context = _context(house, request)
    try:
        record = await orphaned_run.as_it_is(context, await context.fleet.read(context.where))
    except RunbookError:
        return []
    if record.undecided is None or (record.run is not None and record.run.run != request.id):
        return []
    return [f"{request.environment} is undecided: {record.undecided.title}."]


def substance(request: Request) -> dict[str, object]:
    """What of the request an approval is bound to, beside the plan."""
    return {"command": request.command, "arguments": request.arguments, "environment": request.environment}


async def _taken(context: Context, place: RunPlace) -> dict[str, Any]:
    taken = await context.fleet.take(context.where, place)
    if taken.taken:
        return {"result": "taken"}
    stands = taken.freeze is not None and not taken.holder
    return {"result": "held", "freeze": taken.freeze.model_dump(mode="json") if taken.freeze and stands else None}


async def _taken_over(house: House, context: Context, place: RunPlace) -> dict[str, Any]:
    """Whoever has the place; again where it has changed hands while it was looked at what that run leaves."""
    while True:
        holder = (await context.fleet.read(context.where)).run
        if holder is None or holder.run == place.run:
            undecided, decided = None, False
        else:
            undecided, decided = await _left_by(house, holder, place)
        if await context.fleet.take_over(context.where, place, of=holder, undecided=undecided, decided=decided):
            return {"result": "taken", "overtaken": holder.run if holder and holder.run != place.run else None}


async def _left_by(house: House, holder: RunPlace, place: RunPlace) -> tuple[Undecided | None, bool]:
    """What somebody has to decide once its place is taken; and whether what was undecided before is so no more.

    What it may have changed stays changed, whatever becomes of the one that takes its place.
    """
    request, run, end = await asyncio.gather(
        *(house.engine.view(each(holder.run)) for each in (str, run_id, closing_id))
    )
    if end is not None:  # it is over, and the cluster has not taken its end
        ending = Ending.model_validate(end.input)
        return ending.undecided, ending.decided
    if request is not None:
        raw = await house.engine.event(holder.run, "state")
        state = RequestState.model_validate(raw) if raw is not None else None
        begins = run is not None or (state is not None and state.phase == "starting")
        if not begins or (state is not None and state.plan is not None and not state.plan.changes):
            return None, False
    # or nobody knows it: the bot's files were lost, and it may have changed anything
    title = f"{holder.title} was overtaken by run {short_id(place.run)}"
    return Undecided(run=holder.run, title=title[:200], since=place.since), False


async def _ended(house: House, other: str) -> Request | None:
    """The holder's request, where it has ended and could not give its place back (the cluster was away just then)."""
    request, run = await asyncio.gather(house.engine.view(other), house.engine.view(run_id(other)))
    over = request is not None and not request.active and (run is None or not run.active)
    return Request.model_validate(request.input) if request is not None and over else None


def _context(house: House, request: Request) -> Context:
    return house.context(request.requester, request.environment, run_id=request.id, reason=request.reason)


@asynccontextmanager
async def _saying_so(house: House, request: Request, context: Context, otherwise: str) -> AsyncIterator[None]:
    """While the cluster does not answer, the head message says that this is what the request waits for."""

    def say(sentence: str) -> None:
        house.draw(request.id, HEAD, cards.head_card(request, State.WAITING, sentence or otherwise))

    async with outage_notice.told(context.cluster.unanswered, house.settings.times.silence_told, say):
        yield


async def _patiently(house: House, act: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
    """Again and again while the cluster does not answer, for `times.cluster_patience` where nothing else is said."""
    patience = house.settings.times.cluster_patience if seconds is None else seconds
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await act()
        except TemporaryError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(error.retry_after)
