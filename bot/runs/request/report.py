"""The end of a request: result, head message, audit event; then its thread is closed, or kept open for as long as nobody has decided."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from bot.audit import EventName
from bot.config.sections import TimeSettings
from bot.process.metrics import ProcessMetrics
from bot.runs.display import Display
from bot.runs.engine import DurableResult
from bot.runs.lease import Leases
from bot.runs.manual_rollback import ManualRollbacks
from bot.runs.model import Ending, Escalation, Request
from bot.runs.notes import AuditNotes
from bot.runs.pending import PendingRequests
from bot.runs.request import endings
from bot.runs.request.endings import RequestEnded
from bot.runs.request.open_request import OpenRequest
from bot.runs.request.running import goes_back_by_itself
from bot.runs.store import RunStore
from commands.kit.card import Card, Paragraph, State, person, sentence, words
from commands.kit.context import Outcome
from commands.kit.endings import ending_card, ending_state
from commands.kit.follow_ups import follow_ups, with_buttons
from commands.kit.registry import Registry
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import duration


class End(DurableResult):
    """When it was over, and whether its lease is given back."""

    at: datetime
    given: bool


class Left(DurableResult):
    """What a way back that did not run leaves, in lines."""

    lines: tuple[str, ...] = ()


class Report:
    """One per process."""

    def __init__(
        self,
        *,
        store: RunStore,
        leases: Leases,
        notes: AuditNotes,
        display: Display,
        pending: PendingRequests,
        manual_rollbacks: ManualRollbacks,
        registry: Registry,
        metrics: ProcessMetrics,
        times: TimeSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._leases = leases
        self._notes = notes
        self._display = display
        self._pending = pending
        self._manual_rollbacks = manual_rollbacks
        self._registry = registry
        self._metrics = metrics
        self._times = times
        self._clock = clock

    async def of_run(self, open_request: OpenRequest, outcome: Outcome, *, going_back: bool) -> None:
        """Tell how its run ended. `going_back`: what to do next is decided already."""
        request, plan = open_request.request, open_request.state.plan
        ended = await self._ended(open_request, outcome, self._at_the_end)
        failed = not outcome.ok and outcome.stop is None  # what a person stopped, a person knows of
        card = open_request.command.card(outcome)
        card = with_buttons(card, [button for _, button in follow_ups(open_request.command, card, self._registry.find)])
        card = _mentioning(request, card)
        if going_back:
            why = "as planned" if goes_back_by_itself(plan, outcome) else "as requested"
            follows = Paragraph(text=words(f"A rollback follows automatically, {why}."))
            card = card.model_copy(update={"body": (*card.body, follows), "buttons": ()})
        await open_request.show("result", card, broadcast=failed)
        what, elapsed = outcome.title.removeprefix(f"{request.title} "), outcome.seconds or None
        if outcome.ok and (budget := outcome.data.get("budget_minutes")):
            what, elapsed = f"{what} · {duration(outcome.seconds)} of the {budget} min budget", None
        detail = sentence(outcome.lines[0]) if outcome.lines else None
        await open_request.head(ending_state(outcome), what, plan=plan, detail=detail, elapsed=elapsed, phase="ended")
        if not request.threaded:
            pass
        elif open_request.state.left_undecided:
            await self._store.escalate(
                Escalation(
                    request=request,
                    outcome=outcome,
                    card=card,
                    ended=ended.at,
                    after=self._times.escalate_after,
                    times=self._times.escalate_times if failed else 0,
                )
            )
        elif not (open_request.command.without_record and outcome.ok):  # its end says there when the record has it
            await self._store.close_thread(request.id)
        self._over(request, outcome)

    async def of_nothing(self, open_request: OpenRequest, ended: RequestEnded) -> Outcome:
        """Tell that it ended before anything ran, and return the outcome as told."""
        outcome, request = await self._with_way_back(open_request, ended.outcome), open_request.request
        end = partial(self._noted, request, outcome, ended.actor)
        if not (await self._ended(open_request, outcome, end)).given:
            await self._store.close_later(Ending(request=request))
        card = _mentioning(request, ending_card(outcome, buttons=ended.buttons))
        await open_request.show("result", card)
        plan, what = open_request.state.plan, endings.few_words(outcome)
        await open_request.head(ending_state(outcome), what, plan=plan, elapsed=outcome.seconds or None, phase="ended")
        if request.threaded:
            await self._store.close_thread(request.id)
        self._over(request, outcome)
        return outcome

    async def _ended(self, open_request: OpenRequest, outcome: Outcome, end: Callable[[], Awaitable[End]]) -> End:
        ended = await open_request.step("end", End, end)
        # before it is said: who reads that it is over may ask for the same again, and press the result's buttons
        self._pending.end(open_request.request)
        await open_request.publish(outcome=outcome, ended=ended.at, pending=None, hold=None, holder=None)
        return ended

    def _over(self, request: Request, outcome: Outcome) -> None:
        self._display.end(request.id)
        self._metrics.ended(request.environment, request.command, outcome.code)

    async def _with_way_back(self, open_request: OpenRequest, outcome: Outcome) -> Outcome:
        """Return the outcome of a rollback that ended before it ran, with what is undecided and the `kubectl` lines for doing it by hand."""
        if not open_request.goes_back or outcome.code is ReasonCode.BUG:
            return outcome
        request = open_request.request
        left = await open_request.step("look what is undecided", Left, partial(self._undecided, request))
        outcome = outcome.model_copy(update={"lines": (*outcome.lines, *left.lines)})
        if ending_state(outcome) is not State.FAILED and outcome.code is not ReasonCode.NO_APPROVER:
            return outcome
        if outcome.code is ReasonCode.SCHEMA_TOO_NEW:
            return outcome  # lines that put it back by hand would break it: it can't run on the schema
        by_hand = await open_request.step("look up the way back", Left, partial(self._by_hand, request))
        return outcome.model_copy(update={"kubectl": by_hand.lines})

    # inside a step

    async def _at_the_end(self) -> End:
        return End(at=self._clock(), given=True)

    async def _noted(self, request: Request, outcome: Outcome, actor: str | None) -> End:
        await self._notes.write(
            request,
            endings.EVENTS.get(outcome.code, EventName.RUN_FAILED),
            about="end",
            actor=actor,
            reason_code=outcome.code,
            reason=outcome.title,
            details={"took": duration(outcome.seconds)},
        )
        given = await self._leases.give_back(request)
        return End(at=self._clock(), given=given)

    async def _undecided(self, request: Request) -> Left:
        line = await self._leases.undecided(request)
        return Left(lines=(line,) if line else ())

    async def _by_hand(self, request: Request) -> Left:
        way = await self._manual_rollbacks.of(request.environment)
        return Left(lines=tuple(way.lines) if way is not None else ())


def _mentioning(request: Request, card: Card) -> Card:
    """Return the card with its requester mentioned at the top."""
    who = Paragraph(text=words(person(request.requester.key, mention=True)))
    return card.model_copy(update={"body": (who, *card.body)})
