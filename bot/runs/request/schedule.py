"""A request that was approved by day and starts at a time: until then it waits, and at its time it starts at somebody's go, or never.

While it waits it holds nothing: the place is taken at the go, and the plan is made once more then. Everything that it waits for is
the engine's, so it survives whatever is killed meanwhile. Used by `request`.
"""

from datetime import datetime
from typing import Any

from bot import crash_points
from bot.audit import EventName
from bot.policy.approvals import Decision, new_word
from bot.runs import endings, go_cards
from bot.runs.model import Appointment, DecisionMessage, Go
from bot.runs.request.telling import Telling
from commands.kit.card import Button, RunAct, State
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.plan import Plan

GO_CARD = "go"
PERMISSION = "rollout:go"
"""Whoever has it may say go, or no go, to what somebody else asked for."""
_LONGEST_WAIT = 6 * 3600.0
"""Seconds between two looks at the clock, which may be set meanwhile."""


class Waiting(Telling):
    """The part of a request's life between its approval and its time."""

    async def _until_its_time(self, plan: Plan) -> None:
        """Returns at its time, once somebody has said go; `Ended` for a no, a withdrawal, or nobody's word.

        After a go it is a request like any other: what has changed asks for an approval again, and not for another go.
        """
        appointment = self.request.appointment
        if appointment is None or self._state.go is not None:
            return
        drawn = await self._step("wait for its time", self._appointed)
        await self._publish(phase="scheduled", scheduled=True, word=drawn["word"])
        withdraw = Button(label="Withdraw", does=RunAct(command="withdraw", run=self.request.id, word=drawn["word"]))
        waits = f"waiting until {go_cards.clock_of(appointment.at)}"
        detail = go_cards.starts(appointment)
        await self._publish(head=await self._head(State.WAITING, waits, plan=plan, detail=detail, buttons=(withdraw,)))
        crash_points.reached("scheduled")
        await self._for_a_go(appointment)
        go = self._state.go
        assert go is not None, "it goes on at a go only"
        await self._show(GO_CARD, go_cards.closed_card(self.request, go_cards.given(go), State.DONE))
        await self._publish(phase="starting")

    async def _for_a_go(self, appointment: Appointment) -> None:
        people: tuple[str, ...] | None = None
        reminded = False
        while True:
            clock = await self._step("look at the clock", self._look_at_the_clock)
            now, go = datetime.fromisoformat(clock["now"]), self._state.go
            if go is not None and now >= appointment.at:
                return
            if people is None and now >= appointment.asks:
                people = await self._ask_for_a_go(appointment)
                reminded = now >= appointment.at
            if people is not None and go is None and not reminded and now >= appointment.at:
                reminded = True
                await self._show("reminder-go", go_cards.reminder_card(self.request, appointment, people))
            over = go is None and now >= appointment.until
            message = await self._message(0.0 if over else _pause(appointment, now))
            if message is None and over:
                await self._close_go("Expired: nobody said go")
                raise endings.no_go_in_time(self.request)
            if message is not None and message["kind"] == "decision" and message["word"] == self._state.word:
                await self._said(DecisionMessage.model_validate(message), appointment)

    async def _ask_for_a_go(self, appointment: Appointment) -> tuple[str, ...]:
        asked = await self._step("ask for a go", self._asked_for_a_go)
        people = tuple(asked["people"])
        card = go_cards.asking_card(self.request, appointment, people, self._state.word)
        await self._show(GO_CARD, card)
        for key in people:
            invitation = card.model_copy(update={"buttons": ()})
            await self._show(f"invitation-go-{key}", invitation, direct=key, absent_only=True)
        return people

    async def _said(self, decided: DecisionMessage, appointment: Appointment) -> None:
        """Until it starts, a no counts after a go too."""
        name = decided.actor.name
        if decided.act == "withdraw":
            await self._close_go(f"Withdrawn by {name}")
            raise endings.withdrawn(self.request, decided)
        if decided.act == "cancel":
            await self._close_go(f"Stopped by {name}")
            raise endings.called_off(self.request, decided)
        if decided.act == "no-go":
            await self._close_go(f"No-go by {name}")
            raise endings.no_go(self.request, decided)
        if decided.act == "go" and self._state.go is None:
            go = Go(by=name, key=decided.actor.key, at=decided.at)
            await self._publish(go=go)
            await self._show(GO_CARD, go_cards.going_card(self.request, appointment, go, self._state.word))

    async def _close_go(self, text: str) -> None:
        await self._show(GO_CARD, go_cards.closed_card(self.request, text, State.ENDED))

    # steps

    async def _look_at_the_clock(self) -> Any:
        return {"now": self._house.clock().isoformat()}

    async def _appointed(self) -> Any:
        appointment = self.request.appointment
        assert appointment is not None, "only what has a time waits for it"
        await self._house.note(
            self.request, EventName.RUN_SCHEDULED, details=appointment.model_dump(mode="json"), later=True
        )
        return {"word": new_word()}

    async def _asked_for_a_go(self) -> Any:
        holders = await self._house.permissions.holders(PERMISSION, self.request.environment)
        people = list(dict.fromkeys((self.request.requester.key, *holders)))
        await self._house.note(self.request, EventName.GO_ASKED, actor="bot", details={"people": people}, later=True)
        return {"people": people}

    # what the rest of the request asks

    def _in_time(self, policy: ApprovalPolicy) -> ApprovalPolicy:
        """Nobody is waited for any longer once it could not start any more."""
        appointment = self.request.appointment
        if appointment is None or self._state.go is not None:
            return policy
        left = max(1.0, (appointment.until - self._house.clock()).total_seconds())
        return policy.model_copy(update={"expires_seconds": min(policy.expires_seconds, left)})

    def _said_yes(self) -> tuple[Decision, ...]:
        """What it starts upon, by its time: approvals, and the go, which means its time."""
        approved, go, appointment = self._state.approved_by, self._state.go, self.request.appointment
        if go is None or appointment is None:
            return approved
        return (*approved, Decision(act="approve", by=go.key, name=go.by, at=max(go.at, appointment.at)))

    async def _may_still(self, policy: ApprovalPolicy | None) -> bool:
        """Whoever may not approve it any more has not approved it.

        Hours lie between an approval by day and its start, and up to as many between the first yes and the last where it needs
        several; one that alone starts it was looked at just before.
        """
        given = self._state.approved_by
        waited = len(given) > 1 or (self.request.appointment is not None and self._state.go is not None)
        if policy is None or policy.count == 0 or not waited:
            return True
        may = await self._house.permissions.holders(policy.permission, self.request.environment)
        return {decision.by for decision in given} <= set(may)

    def _over_by_then(self, freeze: dict[str, Any]) -> bool:
        """A lock that ends by itself before it starts keeps nobody from planning and approving it."""
        appointment, until = self.request.appointment, freeze.get("until")
        if appointment is None or self._state.go is not None or not until:
            return False
        return datetime.fromisoformat(until) <= appointment.at


def _pause(appointment: Appointment, now: datetime) -> float:
    """Seconds until something happens by itself."""
    ahead = [each for each in (appointment.asks, appointment.at, appointment.until) if each > now]
    return min(_LONGEST_WAIT, max(0.05, (min(ahead) - now).total_seconds())) if ahead else _LONGEST_WAIT
