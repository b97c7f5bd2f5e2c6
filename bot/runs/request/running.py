"""What a request does while its run goes on: it listens to people, and tells the run to stop, to wait, to go on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from bot.config import Settings
from bot.policy.approvals import ApprovalDecision, new_word
from bot.policy.permissions import Permissions
from bot.process import crash_points
from bot.runs import cards
from bot.runs.display import Display
from bot.runs.engine import DurableResult
from bot.runs.execution.steps import HOLD
from bot.runs.follow_up import FollowUps
from bot.runs.model import (
    DecisionMessage,
    EndedMessage,
    HoldAsked,
    InterruptedMessage,
    OvertakeMessage,
    Request,
    RequestMessage,
    RunInput,
)
from bot.runs.pending import PendingRequests
from bot.runs.request.open_request import OpenRequest
from bot.runs.request.schedule import Clock, NonceDrawn
from bot.runs.store import RunStore
from commands.kit.card import Moment, State, Text, words
from commands.kit.context import Actor, Outcome
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Stop
from runbooks.wording import duration

_A_DAY = 86400.0


_PEOPLE_DECIDE = frozenset({ReasonCode.BOOK_UNAVAILABLE, ReasonCode.OVERTAKEN, ReasonCode.VERIFICATION_INCONCLUSIVE})
"""Endings that no rollback follows by itself."""


class Helpers(DurableResult):
    """Who is told of a rollback that takes too long."""

    people: tuple[str, ...]


class GoingBack(DurableResult):
    """The rollback that follows; None where the audit log did not take it."""

    request: Request | None


def interruption(told: InterruptedMessage) -> Text:
    """Return the notice of an interruption: its length, since the two times are mostly of the same minute."""
    return words(
        "Interrupted at ", Moment(at=told.at), f" for {duration(max(1.0, (told.on - told.at).total_seconds()))}"
    )


def goes_back_by_itself(plan: Plan | None, outcome: Outcome) -> bool:
    """Return whether a rollback follows: the approved plan said so, and the deploy itself failed.

    A person's stop, an audit log that can't be written, and a verification without a result are no such failure: what runs may be fine.
    Where no service was begun the release that ran still runs, and going back would leave that.
    """
    failed = not outcome.ok and outcome.stop is None and not outcome.undone and not outcome.untouched
    asked = plan is not None and plan.on_failure == "rollback"
    return failed and asked and outcome.code not in _PEOPLE_DECIDE


class Running:
    """The part of a request's life in which something is changed; one per process."""

    def __init__(
        self,
        *,
        store: RunStore,
        display: Display,
        pending: PendingRequests,
        follow_ups: FollowUps,
        permissions: Permissions,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._display = display
        self._pending = pending
        self._follow_ups = follow_ups
        self._permissions = permissions
        self._settings = settings
        self._times = settings.times
        self._clock = clock

    async def start(self, open_request: OpenRequest, plan: Plan, approved: tuple[ApprovalDecision, ...]) -> Outcome:
        """Start the run and return how it ended; decisions are handed on to it meanwhile."""
        drawn = await open_request.step("draw a word", NonceDrawn, self._draw)
        await open_request.publish(
            phase="running", word=drawn.word, pending=None, approved_by=approved, started=drawn.now
        )
        await self._tell_standing(open_request)
        return await self.go_on(open_request, plan, approved)

    async def go_on(
        self, open_request: OpenRequest, plan: Plan | None, approved: tuple[ApprovalDecision, ...]
    ) -> Outcome:
        """Return how a run ended that was started before; a run that exists is not started again.

        Without a plan, which an older version wrote in a form that is not read any more, its run can only tell how it ended.
        """
        request, word = open_request.request, open_request.state.word
        if plan is not None:
            await self._store.start_run(RunInput(request=request, plan=plan, approved_by=approved, word=word))
        if open_request.state.stopping:  # an older version told it to, which is not heard again here
            self._is_stopping(request)
        reminders = 0
        late_at = self._late_at(open_request)
        while True:
            held = open_request.state.hold
            seconds = _A_DAY if held is None else self._times.hold_reminder
            if late_at is not None:
                now = (await open_request.step("look at the clock", Clock, self._look_at_the_clock)).now
                seconds = max(0.05, (late_at - now).total_seconds())
            message = await open_request.receive(seconds)
            if message is None:
                if late_at is not None:
                    late_at = None
                    await self._tell_late(open_request)
                elif held is not None:
                    reminders += 1
                    card = cards.held_card(request, held, self._times.hold_longest)
                    await open_request.show(f"held-{reminders}", card)
                continue
            if isinstance(message, EndedMessage):
                self._display.run_ended(request.id)
                return message.outcome
            await self._heard(open_request, message, word)

    def _late_at(self, open_request: OpenRequest) -> datetime | None:
        """Return when the run takes too long; None where it has no budget of time."""
        started, budget = open_request.state.started, open_request.command.meta.budget_minutes
        return (
            started + timedelta(seconds=self._times.late_after) if started is not None and budget is not None else None
        )

    async def _tell_late(self, open_request: OpenRequest) -> None:
        """Mention who is on shift; where nobody is known to be, everybody who may roll back."""
        request = open_request.request
        found = await open_request.step("find who can help", Helpers, partial(self._helpers, request))
        call = self._settings.environments[request.environment].call
        card = cards.late_card(request, found.people, self._times.late_after, call)
        await open_request.show("late", card, broadcast=True)

    async def follow_up(self, open_request: OpenRequest, outcome: Outcome) -> Request | None:
        """Return the rollback that follows, written down and not begun, where the approved plan or the person who stopped the run wanted one."""
        request = open_request.request
        itself = goes_back_by_itself(open_request.state.plan, outcome)
        by = request.requester if itself else open_request.back_by
        if by is None or outcome.ok or outcome.untouched:
            return None
        made = await open_request.step("go back", GoingBack, partial(self._going_back, request, by))
        crash_points.reached("going-back-noted")
        return made.request

    async def _heard(self, open_request: OpenRequest, message: RequestMessage, word: str) -> None:
        match message:
            case InterruptedMessage():
                self._display.interrupted[open_request.request.id] = interruption(message)
                await self._tell_standing(open_request)
            case OvertakeMessage():
                await self._stop(open_request, message.stop)
            case DecisionMessage(act="cancel") if message.word == word:
                open_request.back_by = message.actor if message.then == "rollback" else None
                stop = Stop(kind="cancelled", by=message.actor.name, reason=message.reason or "")
                await self._stop(open_request, stop)
            case DecisionMessage(act="hold" | "continue") if message.word == word:
                await self._hold(open_request, message)

    async def _stop(self, open_request: OpenRequest, stop: Stop) -> None:
        self._is_stopping(open_request.request)
        await open_request.tell_run("stop", stop)
        crash_points.reached("stop-told")
        open_request.stopped_by = stop.by
        open_request.state = open_request.state.model_copy(update={"stopping": True})  # the head message publishes it
        await self._tell_standing(open_request)

    def _is_stopping(self, request: Request) -> None:
        self._pending.end(request)  # who asks for the same from now on wants a run that goes on
        self._display.stopping.add(request.id)

    async def _hold(self, open_request: OpenRequest, decided: DecisionMessage) -> None:
        """Hold the run or let it continue: the run looks at the event before its next group of steps."""
        hold: HoldAsked | None = None
        if decided.act == "hold":
            hold = HoldAsked(by=decided.actor.name, key=decided.actor.key, at=decided.at, reason=decided.reason or "")
        await open_request.tell_run(HOLD, hold)
        self._display.held(open_request.request.id, hold)
        await open_request.publish(hold=hold, holds=open_request.state.holds + 1)
        await self._tell_standing(open_request)

    async def _tell_standing(self, open_request: OpenRequest) -> None:
        """Show on the head message how the run stands, and that it was interrupted, if it was."""
        now, state, what = open_request.state, State.RUNNING, "running"
        if now.stopping:
            what = f"stopping, requested by {open_request.stopped_by}" if open_request.stopped_by else "stopping"
        elif now.hold is not None:
            state, what = State.WAITING, f"held by {now.hold.by} before the next change"
        notice = self._display.interrupted.get(open_request.request.id)
        await open_request.head(state, what, plan=now.plan, detail=notice)

    # inside a step

    async def _draw(self) -> NonceDrawn:
        return NonceDrawn(word=new_word(), now=self._clock())

    async def _look_at_the_clock(self) -> Clock:
        return Clock(now=self._clock())

    async def _helpers(self, request: Request) -> Helpers:
        people = await self._permissions.holders("rollout:back", request.environment)
        shift = await self._permissions.on_shift(people, request.environment)
        return Helpers(people=tuple(key for key in people if key in shift or not shift))

    async def _going_back(self, request: Request, by: Actor) -> GoingBack:
        return GoingBack(request=await self._follow_ups.going_back(request, by))
