"""What a request does while its run goes on: it listens to people, and tells the run to stop, to wait, to go on. Used by `request`."""

from datetime import datetime
from typing import Any

from bot import crash_points
from bot.policy.approvals import Decision, new_word
from bot.runs import cards, follow_up
from bot.runs.execution.steps import HOLD
from bot.runs.model import (
    DecisionMessage,
    EndedMessage,
    Hold,
    InterruptedMessage,
    OvertakeMessage,
    RunInput,
    run_id,
)
from bot.runs.request.telling import Telling
from commands.kit.card import Card, Moment, State, Text, words
from commands.kit.context import Actor, Outcome
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Stop
from runbooks.wording import duration

_A_DAY = 86400.0


def interruption(told: InterruptedMessage) -> Text:
    """Mostly seconds, so how long it was says more than the same minute twice."""
    return words(
        "Interrupted at ", Moment(at=told.at), f" for {duration(max(1.0, (told.on - told.at).total_seconds()))}"
    )


class Running(Telling):
    """The part of a request's life in which something is changed."""

    async def _run(self, plan: Plan, approved: tuple[Decision, ...]) -> Outcome:
        """Starts the run and returns how it ended; what people say meanwhile is handed on."""
        drawn = await self._step("draw a word", self._draw)
        await self._publish(
            phase="running",
            word=drawn["word"],
            pending=None,
            approved_by=approved,
            started=datetime.fromisoformat(drawn["now"]),
        )
        await self._publish(head=await self._head(State.RUNNING, "running", plan=plan))
        run = RunInput(request=self.request, plan=plan, approved_by=approved, word=drawn["word"])
        await self._house.engine.start("run", run_id(self.request.id), run.model_dump(mode="json"))
        reminders = 0
        while True:
            held = self._state.hold is not None
            message = await self._message(self._house.settings.times.hold_reminder if held else _A_DAY)
            if message is None:
                if self._state.hold is not None:
                    reminders += 1
                    await self._show(f"held-{reminders}", self._held_card(self._state.hold))
                continue
            if message["kind"] == "ended":
                self._house.holds.pop(self.request.id, None)
                self._house.stopping.discard(self.request.id)
                return EndedMessage.model_validate(message).outcome
            await self._heard(message, plan, drawn["word"])

    async def _heard(self, message: Any, plan: Plan, word: str) -> None:
        if message["kind"] == "interrupted":
            told = InterruptedMessage.model_validate(message)
            detail = interruption(told)
            await self._publish(head=await self._head(State.RUNNING, "running", plan=plan, detail=detail))
        elif message["kind"] == "overtake":
            await self._stop(OvertakeMessage.model_validate(message).stop)
        elif message["kind"] == "decision" and message["word"] == word:
            decided = DecisionMessage.model_validate(message)
            if decided.act == "cancel":
                self._back_by = decided.actor if decided.then == "rollback" else None
                await self._stop(Stop(kind="cancelled", by=decided.actor.name, reason=decided.reason or ""))
            elif decided.act in ("hold", "continue"):
                await self._hold(decided)

    async def _draw(self) -> Any:
        return {"word": new_word(), "now": self._house.clock().isoformat()}

    async def _stop(self, stop: Stop) -> None:
        await self._house.engine.publish("stop", stop.model_dump(mode="json"))
        crash_points.reached("stop-told")
        self._house.stopping.add(self.request.id)
        what = f"stopping, requested by {stop.by}"
        await self._publish(head=await self._head(State.RUNNING, what, plan=self._state.plan))

    async def _hold(self, decided: DecisionMessage) -> None:
        """The run looks at the event before its next service; whoever watches sees it at once."""
        hold: Hold | None = None
        if decided.act == "hold":
            hold = Hold(by=decided.actor.name, key=decided.actor.key, at=decided.at, reason=decided.reason or "")
        await self._house.engine.publish(HOLD, hold.model_dump(mode="json") if hold else None)
        if hold is not None:
            self._house.holds[self.request.id] = hold
        else:
            self._house.holds.pop(self.request.id, None)
        if (redraw := self._house.redraw.get(self.request.id)) is not None:
            redraw()
        state, what = (
            (State.WAITING, f"held by {hold.by} before the next service") if hold else (State.RUNNING, "running")
        )
        await self._publish(
            hold=hold, holds=self._state.holds + 1, head=await self._head(state, what, plan=self._state.plan)
        )

    def _held_card(self, hold: Hold) -> Card:
        return cards.held_card(self.request, hold, self._house.settings.times.hold_longest)

    def goes_back_by_itself(self, outcome: Outcome) -> bool:
        """The approved plan said so, and it was the deploy that failed: not a person's stop, not a book that can't be written."""
        plan = self._state.plan
        failed = not outcome.ok and outcome.stop is None
        asked = plan is not None and plan.on_failure == "rollback"
        return failed and asked and outcome.code not in (ReasonCode.BOOK_UNAVAILABLE, ReasonCode.OVERTAKEN)

    async def _follow_up(self, outcome: Outcome) -> Any:
        """Who stopped the run, or the plan that was approved, said what is to follow: a request to go back, noted and not yet begun."""
        by: Actor | None = self.request.requester if self.goes_back_by_itself(outcome) else self._back_by
        if by is None or outcome.ok:
            return None
        made = await self._step("go back", lambda: follow_up.going_back(self._house, self.request, by))
        crash_points.reached("going-back-noted")
        return made
