"""A request that was approved by day and starts at a time: until then it waits, and at its time it starts at somebody's go, or never.

While it waits it holds nothing: the lease is taken at the go, and the plan is made once more then. Everything that it waits for is
the engine's, so it survives whatever is killed meanwhile.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from bot.audit import EventName
from bot.policy.approvals import ApprovalDecision, new_word
from bot.policy.permissions import Permissions
from bot.process import crash_points
from bot.runs import go_cards
from bot.runs.engine import DurableResult
from bot.runs.model import Appointment, DecisionMessage, GoGiven, Request
from bot.runs.notes import AuditNotes
from bot.runs.request import endings
from bot.runs.request.open_request import OpenRequest
from commands.kit.card import State
from commands.kit.policy import ApprovalPolicy
from runbooks.fleet.records import Freeze
from runbooks.kit.plan import Plan

GO_CARD = "go"
PERMISSION = "rollout:go"
"""Whoever has it may say go, or no go, to what somebody else asked for."""
_LONGEST_WAIT = 6 * 3600.0
"""Seconds between two looks at the clock, which may be set meanwhile."""


class NonceDrawn(DurableResult):
    """A word for a card's buttons, and when it was drawn."""

    word: str
    now: datetime


class GoAsked(DurableResult):
    """Who may say go."""

    people: tuple[str, ...]


class Clock(DurableResult):
    """What the clock said."""

    now: datetime


class Schedule:
    """The part of a request's life between its approval and its time; one per process."""

    def __init__(self, permissions: Permissions, notes: AuditNotes, clock: Callable[[], datetime]) -> None:
        self._permissions = permissions
        self._notes = notes
        self._clock = clock

    async def wait(self, open_request: OpenRequest, plan: Plan) -> None:
        """Return at its time, once somebody has said go. Raises `Ended` after a no-go, a withdrawal, or where nobody says anything.

        After a go it is a request like any other: what has changed asks for an approval again, and not for another go.
        """
        appointment = open_request.request.appointment
        if appointment is None or open_request.state.go is not None:
            return
        drawn = await open_request.step("wait for its time", NonceDrawn, partial(self._scheduled, open_request.request))
        await open_request.publish(phase="scheduled", scheduled=True, word=drawn.word)
        await open_request.head(
            State.WAITING,
            f"waiting until {go_cards.clock_of(appointment.at)}",
            plan=plan,
            detail=go_cards.starts(appointment),
            buttons=(open_request.withdraw_button(drawn.word),),
        )
        crash_points.reached("scheduled")
        go = await self._for_a_go(open_request, appointment)
        await open_request.show(GO_CARD, go_cards.closed_card(open_request.request, go_cards.given(go), State.DONE))
        await open_request.publish(phase="starting")

    async def _for_a_go(self, open_request: OpenRequest, appointment: Appointment) -> GoGiven:
        request = open_request.request
        people: tuple[str, ...] | None = None
        reminded = False
        while True:
            clock = await open_request.step("look at the clock", Clock, self._look_at_the_clock)
            now, go = clock.now, open_request.state.go
            if go is not None and now >= appointment.at:
                return go
            if people is None and now >= appointment.asks:
                people = await self._ask(open_request, appointment)
                reminded = now >= appointment.at
            if people is not None and go is None and not reminded and now >= appointment.at:
                reminded = True
                await open_request.show("reminder-go", go_cards.reminder_card(request, appointment, people))
            over = go is None and now >= appointment.until
            message = await open_request.receive(0.0 if over else _pause(appointment, now))
            if message is None and over:
                await self._close(open_request, "Expired: nobody said go")
                raise endings.no_go_in_time(request)
            word = open_request.state.word
            if isinstance(message, DecisionMessage) and message.word == word:
                await self._said(open_request, message, appointment)

    async def _ask(self, open_request: OpenRequest, appointment: Appointment) -> tuple[str, ...]:
        request = open_request.request
        asked = await open_request.step("ask for a go", GoAsked, partial(self._asked, request))
        card = go_cards.asking_card(request, appointment, asked.people, open_request.state.word)
        await open_request.show(GO_CARD, card)
        for key in asked.people:
            invitation = card.model_copy(update={"buttons": ()})
            await open_request.show(f"invitation-go-{key}", invitation, direct=key, absent_only=True)
        return asked.people

    async def _said(self, open_request: OpenRequest, decided: DecisionMessage, appointment: Appointment) -> None:
        """Handle a decision; until it starts, a no-go counts after a go too. Raises `Ended`."""
        request, name = open_request.request, decided.actor.name
        if decided.act == "withdraw":
            await self._close(open_request, f"Withdrawn by {name}")
            raise endings.withdrawn(request, decided)
        if decided.act == "cancel":
            await self._close(open_request, f"Stopped by {name}")
            raise endings.called_off(request, decided)
        if decided.act == "no-go":
            await self._close(open_request, f"No-go by {name}")
            raise endings.no_go(request, decided)
        if decided.act == "go" and open_request.state.go is None:
            go = GoGiven(by=name, key=decided.actor.key, at=decided.at)
            await open_request.publish(go=go)
            await open_request.show(GO_CARD, go_cards.going_card(request, appointment, go, open_request.state.word))

    @staticmethod
    async def _close(open_request: OpenRequest, text: str) -> None:
        await open_request.show(GO_CARD, go_cards.closed_card(open_request.request, text, State.ENDED))

    # inside a step

    async def _look_at_the_clock(self) -> Clock:
        return Clock(now=self._clock())

    async def _scheduled(self, request: Request) -> NonceDrawn:
        assert request.appointment is not None, "only what has a time waits for it"
        details = request.appointment.model_dump(mode="json")
        await self._notes.write(request, EventName.RUN_SCHEDULED, details=details, later=True)
        return NonceDrawn(word=new_word(), now=self._clock())

    async def _asked(self, request: Request) -> GoAsked:
        holders = await self._permissions.holders(PERMISSION, request.environment)
        people = tuple(dict.fromkeys((request.requester.key, *holders)))
        await self._notes.write(request, EventName.GO_ASKED, actor="bot", details={"people": list(people)}, later=True)
        return GoAsked(people=people)


def in_time(open_request: OpenRequest, policy: ApprovalPolicy, now: datetime) -> ApprovalPolicy:
    """Return the policy with an expiry no later than the last moment at which it could start."""
    appointment = open_request.request.appointment
    if appointment is None or open_request.state.go is not None:
        return policy
    left = max(1.0, (appointment.until - now).total_seconds())
    return policy.model_copy(update={"expires_seconds": min(policy.expires_seconds, left)})


def starts_upon(open_request: OpenRequest) -> tuple[ApprovalDecision, ...]:
    """Return the decisions that it starts upon, with the time of each: the approvals, and the go, which counts from its time on."""
    approved, go = open_request.state.approved_by, open_request.state.go
    appointment = open_request.request.appointment
    if go is None or appointment is None:
        return approved
    return (*approved, ApprovalDecision(act="approve", by=go.key, name=go.by, at=max(go.at, appointment.at)))


def over_by_then(open_request: OpenRequest, freeze: Freeze) -> bool:
    """Return whether a lock ends by itself before it starts: then it keeps nobody from planning and approving it."""
    appointment = open_request.request.appointment
    if appointment is None or open_request.state.go is not None or freeze.until is None:
        return False
    return datetime.fromisoformat(freeze.until) <= appointment.at


def _pause(appointment: Appointment, now: datetime) -> float:
    """Return the seconds until something happens by itself."""
    ahead = [each for each in (appointment.asks, appointment.at, appointment.until) if each > now]
    return min(_LONGEST_WAIT, max(0.05, (min(ahead) - now).total_seconds())) if ahead else _LONGEST_WAIT
