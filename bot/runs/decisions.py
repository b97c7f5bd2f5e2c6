"""What runs and ran, and how a decision reaches it: the engine's memory behind the protocol that commands read.

There is no table of runs: requests are workflows, found by the beginning of their id, and each says where it stands in one event.
"""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from bot.audit import EventName
from bot.config import Settings
from bot.policy.approvals import Act, check, same_word
from bot.policy.permissions import Permissions
from bot.process import crash_points
from bot.runs.cards import approval_card
from bot.runs.display import Display
from bot.runs.engine import WorkflowView
from bot.runs.follow_up import FollowUps
from bot.runs.go_cards import clock_of
from bot.runs.model import Answered, DecisionMessage, Request, RequestState, escalation_id, run_id
from bot.runs.notes import AuditNotes
from bot.runs.request.schedule import PERMISSION
from bot.runs.store import RunStore
from commands.kit.card import Card, StepLine, StepStatus, words
from commands.kit.context import Actor, Denied, RunRecord, StepRecord, ToDecide
from commands.kit.registry import Registry
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import end
from runbooks.release.steps import limited_to, moves_of
from runbooks.wording import cited, listed, short_id

_SHORTEST = 3
"""Characters of an id below which nothing is looked for."""

_STATES = {
    "planning": "waiting",
    "waiting": "waiting",
    "asking": "waiting",
    "scheduled": "waiting",
    "starting": "running",
    "running": "running",
}
_ENDINGS = {
    ReasonCode.SUCCEEDED: "succeeded",
    ReasonCode.NOTHING_TO_DO: "nothing-to-do",
    ReasonCode.DENIED: "denied",
    ReasonCode.WITHDRAWN: "withdrawn",
    ReasonCode.EXPIRED: "expired",
    ReasonCode.NO_GO: "cancelled",
    ReasonCode.CANCELLED: "cancelled",
    ReasonCode.OVERTAKEN: "cancelled",
}


_DECIDED = frozenset({ReasonCode.DENIED, ReasonCode.WITHDRAWN, ReasonCode.NO_GO, ReasonCode.OVERTAKEN})
"""Endings that somebody wanted: trying again is asking again."""

_NOTED = {
    "approve": EventName.APPROVAL_GIVEN,
    "cancel": EventName.RUN_CANCEL_ASKED,
    "hold": EventName.RUN_HELD,
    "continue": EventName.RUN_CONTINUED,
    "go": EventName.GO_GIVEN,
}
_PAUSING = frozenset({"hold", "continue"})
_AT_ITS_TIME = frozenset({"go", "no-go"})
_WHILE_RUNNING = _PAUSING | {"cancel"}


class EngineRuns:
    """`commands.kit.context.RunsMemory` over the engine."""

    def __init__(
        self,
        *,
        store: RunStore,
        settings: Settings,
        registry: Registry,
        permissions: Permissions,
        notes: AuditNotes,
        display: Display,
        follow_ups: FollowUps,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = store.engine
        self._settings = settings
        self._registry = registry
        self._permissions = permissions
        self._notes = notes
        self._display = display
        self._follow_ups = follow_ups
        self._clock = clock

    async def find(self, run: str) -> RunRecord:
        view = await self._view(run)
        return await self._record(view)

    async def _view(self, run: str) -> WorkflowView:
        wanted = run.lower()
        if wanted.count(".") == 2:  # noqa: PLR2004 - environment.command.id
            view = await self._engine.view(wanted)
            if view is not None:
                return view
        elif len(wanted) >= _SHORTEST:
            prefixes = [
                f"{environment}.{spec.name}.{wanted}"
                for environment in self._settings.environments
                for spec in self._registry
            ]
            found = await self._engine.list(name="request", prefix=prefixes, limit=2)
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(view.id for view in found)
                raise Denied(
                    f"More than one run id begins with {cited(run)}: {names}. Type more of the id.",
                    code=ReasonCode.UNKNOWN_RUN,
                )
        raise Denied(f"There is no run {cited(run)}. `runs` lists them.", code=ReasonCode.UNKNOWN_RUN)

    async def recent(
        self, *, environment: str | None = None, limit: int = 20, active: bool = False
    ) -> Sequence[RunRecord]:
        prefix = f"{environment}." if environment else None
        views = await self._engine.list(name="request", prefix=prefix, limit=limit, active=active)
        return await asyncio.gather(*(self._record(view) for view in views))

    async def to_decide(self, actor: Actor) -> Sequence[ToDecide]:
        views = await self._engine.list(name="request", active=True)
        found = await asyncio.gather(*(self._to_decide(view, actor) for view in views))
        return sorted((each for each in found if each is not None), key=lambda each: each.record.at)

    async def _to_decide(self, view: WorkflowView, actor: Actor) -> ToDecide | None:
        request, state = Request.model_validate(view.input), await self._store.state(view.id)
        if state is None or state.pending is None or state.plan is None:
            return None
        try:
            await self._check_approval(request, state, "approve", actor, None)
        except Denied:
            return None
        names = tuple(map(self._permissions.name, state.pending.approvers))
        card = approval_card(request, state.plan, state.pending, names)
        return ToDecide(record=await self._record(view), card=card)

    async def _record(self, view: WorkflowView) -> RunRecord:
        request = Request.model_validate(view.input)
        state, steps = await asyncio.gather(self._store.state(view.id), self._steps(view.id))
        outcome = state.outcome if state else None
        phase = _STATES.get(state.phase, "waiting") if state else "waiting"
        if outcome is not None:
            phase = _ENDINGS.get(outcome.code, "failed")
        elif view.failed:
            phase = "failed"
        return RunRecord(
            id=request.id,
            short=short_id(request.id),
            command=request.command,
            environment=request.environment,
            title=request.title,
            text=request.text,
            requester=request.requester.key,
            state=phase,
            reason_code=outcome.code if outcome else None,
            ending=outcome.title if outcome else "",
            lines=(*filter(None, (outcome.message,)), *outcome.lines) if outcome else (),
            at=request.at,
            ended=state.ended if state else None,
            approved_by=tuple(decision.name for decision in state.approved_by) if state else (),
            digest=state.digest if state else None,
            word=state.word if state else None,
            steps=steps,
            card=state.head if state else None,
            rolled=bool(state and state.plan and state.plan.settles),
            regions=limited_to(state.plan) if state and state.plan else (),
            moved=moves_of(state.plan) if state and state.plan else (),
            untouched=outcome is not None and outcome.untouched,
            left_undecided=bool(state and state.left_undecided),
            follows=request.follows,
            held_by=state.hold.by if state and state.hold else None,
            held_since=state.hold.at if state and state.hold else None,
            waits=_waits(state) if outcome is None else "",
            starts=request.appointment.at if request.appointment and state and state.phase == "scheduled" else None,
            go_by=state.go.by if state and state.go else None,
            link=await self._display.link(request.id) if outcome is None else None,
        )

    async def _steps(self, id: str) -> tuple[StepRecord, ...]:  # noqa: A002
        raw = await self._engine.event(run_id(id), "steps") or []
        lines = self._display.steps.get(id) or [StepLine.model_validate(line) for line in raw]
        return tuple(
            StepRecord(key=line.key, title=line.title, status=line.status, detail=line.detail, seconds=line.seconds)
            for line in lines
        )

    async def decide(
        self, run: str, act: str, actor: Actor, *, reason: str | None, word: str | None, then: str | None = None
    ) -> Card:
        """Check the decision, write it to the audit log and hand it to the request, in this order; only then is it acknowledged."""
        view = await self._view(run)
        request = Request.model_validate(view.input)
        state = await self._store.state(request.id)
        if state is None:
            raise Denied(
                f"Run {short_id(request.id)} is just starting. Try again in a second.",
                code=ReasonCode.NOT_WAITING,
            )
        if act in _AT_ITS_TIME or (act == "cancel" and state.phase == "scheduled"):
            await self._check_scheduled(request, state, act, actor, word)
        elif act in _WHILE_RUNNING:
            await self._check_running(request, state, act, actor, word)
            if then == "rollback":
                await self._permissions.require(actor, "rollout:back", request.environment, changes=True)
        else:
            await self._check_approval(request, state, act, actor, word)  # type: ignore[arg-type] # an Act, by the registry
        message = DecisionMessage(
            act=act,
            actor=actor,
            reason=reason,
            then=then,
            role=await self._special_role(request, state, actor),
            word=state.word,
            at=self._clock(),
        )
        # an auditor reads the ids of events, and the word is for the card's own buttons only
        key = f"{act}/{actor.key}/{hashlib.sha256(state.word.encode()).hexdigest()[:16]}"
        if then == "rollback":  # who has stopped it may still say that it is to go back
            key = f"{key}/{then}"
        if act in _PAUSING:  # may be said again and again while a run goes on: which time it is belongs to it
            key = f"{key}/{state.holds}"
        # a denial and a withdrawal were written by the dispatcher (`command:accepted`), and end the request with an event of their own
        if act in _NOTED and not await self._notes.write(
            request,
            _NOTED[act],
            about=key,
            actor=actor.key,
            surface=actor.surface,
            reason=reason,
            details={"act": act, "digest": state.digest, **({"then": then} if then == "rollback" else {})},
        ):
            raise Denied(
                "The audit log can't be written, so nothing can be decided now. Run `doctor` to find out why.",
                code=ReasonCode.BOOK_UNAVAILABLE,
            )
        crash_points.reached(f"{act}-noted")
        await self._engine.send(request.id, message.model_dump(mode="json"), key=f"{request.id}/{key}")
        return _told(request, act)

    async def _special_role(self, request: Request, state: RequestState, actor: Actor) -> str:
        """Return the role that one approver must have, where the actor has it."""
        role = state.pending.policy.one_of_role if state.pending is not None else None
        return role if role and await self._permissions.has_role(actor.key, role, request.environment) else ""

    async def answered(self, run: str, text: str) -> None:
        """Let the cards of a failure say that it was decided, where they still ask."""
        if await self._engine.view(escalation_id(run)) is not None:
            await self._engine.send(escalation_id(run), Answered(text=text).model_dump(mode="json"))

    async def _check_approval(
        self, request: Request, state: RequestState, act: Act, actor: Actor, word: str | None
    ) -> None:
        pending = state.pending
        if pending is None:
            if act == "withdraw" and state.phase in ("waiting", "scheduled") and actor.key == request.requester.key:
                _check_word(state, word)
                return
            raise _not_waiting(request, state, act)
        permitted = (
            await self._permissions.may(actor, pending.policy.permission, request.environment) and not actor.shared
        )
        able = [self._permissions.name(key) for key in pending.approvers if key != actor.key]
        check(
            pending,
            act,
            actor,
            now=self._clock(),
            word=word,
            permitted=permitted,
            approvers=listed(able),
        )

    async def _check_scheduled(
        self, request: Request, state: RequestState, act: str, actor: Actor, word: str | None
    ) -> None:
        """Check that the person is the requester and may still ask for it, or may decide for others. Raises `Denied`."""
        short, appointment = short_id(request.id), request.appointment
        if state.phase != "scheduled" or appointment is None:
            waits = "has ended" if state.outcome is not None else "is not waiting for a go"
            raise Denied(f"Run {short} {waits}. `runs {short}` shows its state.", code=ReasonCode.NOT_WAITING)
        _check_word(state, word)
        if actor.shared or actor.key != request.requester.key:
            permission = "run:cancel" if act == "cancel" else PERMISSION
            await self._permissions.require(actor, permission, request.environment, changes=True)
        elif act == "go":
            permission = self._registry.get(request.command).permission or PERMISSION
            await self._permissions.require(actor, permission, request.environment, changes=True)
        now = self._clock()
        if act == "go" and now < appointment.asks:
            raise Denied(
                f"It is too early: run {short} asks for go or no-go from {clock_of(appointment.asks)}, when somebody is there to "
                "watch it.",
                code=ReasonCode.NOT_WAITING,
            )
        if act == "go" and now >= appointment.until:
            raise Denied("The request has expired: nobody said go in time. Request it again.", code=ReasonCode.EXPIRED)
        if act == "go" and state.go is not None:
            raise Denied(
                f"{state.go.by} has already said go; it starts at {clock_of(appointment.at)}. `no-go {short}` revokes it.",
                code=ReasonCode.ALREADY_DECIDED,
            )

    async def _check_running(
        self, request: Request, state: RequestState, act: str, actor: Actor, word: str | None
    ) -> None:
        """Check that the person is the requester, or may stop others' runs: these may stop, hold and continue it. Raises `Denied`."""
        short = short_id(request.id)
        if state.phase != "running":
            raise Denied(
                f"Run {short} is not running, so there is nothing to {'stop' if act == 'cancel' else act}.",
                code=ReasonCode.NOT_RUNNING,
            )
        _check_word(state, word)
        if actor.shared or actor.key != request.requester.key:
            await self._permissions.require(actor, "run:cancel", request.environment, changes=True)
        if act == "continue" and state.hold is None:
            raise Denied(f"Run {short} is not held.", code=ReasonCode.NOT_WAITING)
        if act == "hold" and state.hold is not None:
            raise Denied(
                f"{state.hold.by} is already holding run {short}; `continue {short}` resumes it.",
                code=ReasonCode.ALREADY_DECIDED,
            )
        if act == "hold" and not await self._may_wait(request, state):
            raise Denied(
                f"Run {short} has no further change to hold before. `cancel {short}` stops it.",
                code=ReasonCode.NOT_WAITING,
            )

    async def _may_wait(self, request: Request, state: RequestState) -> bool:
        """Return whether a service lies ahead that has not begun."""
        if state.plan is None:
            return False
        begun = {step.key or step.title for step in await self._steps(request.id) if step.status != StepStatus.PENDING}
        return any(not begun & {point.key, point.title} for point in state.plan.hold_points)

    async def retry(self, run: str, actor: Actor, *, reason: str | None) -> Card:
        """Start the request again: write it to the audit log, hand it to the engine, and only then acknowledge it."""
        view = await self._view(run)
        before = Request.model_validate(view.input)
        state, short = await self._store.state(before.id), short_id(before.id)
        again = self._registry.operation(before.command, before.arguments)
        own = [each.permission for each in again.used() if each.permission is not None]
        for permission in (again.permission, *own):
            await self._permissions.require(actor, permission, before.environment, changes=True)
        if state is None or state.outcome is None:
            raise Denied(f"Run {short} has not ended, so there is nothing to retry.", code=ReasonCode.NOT_WAITING)
        if state.outcome.ok or state.outcome.code in _DECIDED:
            raise Denied(
                f"Run {short} did not fail: {state.outcome.title}. To request it again: `{before.text}`.",
                code=ReasonCode.ALREADY_DECIDED,
            )
        request = await self._next(before, actor, reason)
        if not await self._notes.requested(request):
            raise Denied(
                f"{self._notes.trouble}, so nothing was started. Run `doctor` to find out why.",
                code=ReasonCode.BOOK_UNAVAILABLE,
            )
        crash_points.reached("retry-noted")
        await self._store.start(request)
        text = f"Retried: {request.title} (run {short_id(request.id)})"
        return Card(title=words(text), summary=text, data={"run": request.id, "follows": before.id})

    async def _next(self, before: Request, actor: Actor, reason: str | None) -> Request:
        """Return the request of a retry: another one only where each before it was refused before anything ran. Raises `Denied`."""
        for number in itertools.count(1):
            request = self._follow_ups.following(
                before, before.command, before.arguments, actor, reason or before.reason, number
            )
            if await self._engine.view(request.id) is None:
                return request
            state = await self._store.state(request.id)
            outcome = state.outcome if state is not None and state.started is None else None
            if outcome is None or outcome.ok or outcome.code in _DECIDED:
                break
        raise Denied(
            f"Run {short_id(before.id)} was already retried: run {short_id(request.id)}.",
            code=ReasonCode.ALREADY_DECIDED,
        )

    async def follow(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        """Yield slot and card of a run's messages from now on, beginning with its present head, until it has ended."""
        view = await self._view(run)
        watching = self._display.watch(view.id)
        first = asyncio.ensure_future(anext(watching, None))
        try:
            state = await self._store.state(view.id)
            if state is not None and state.head is not None:
                yield "head", state.head
            if state is not None and state.phase == "ended":
                return
            while (news := await first) is not None:
                yield news
                first = asyncio.ensure_future(anext(watching, None))
        finally:
            await end(first)
            await watching.aclose()  # type: ignore[attr-defined] # it is an async generator


def _check_word(state: RequestState, word: str | None) -> None:
    if not same_word(word, state.word):
        raise Denied(
            "This card has changed since the button was shown. Use the newest card in the thread.",
            code=ReasonCode.STALE_BUTTON,
        )


def _not_waiting(request: Request, state: RequestState, act: str) -> Denied:
    short = short_id(request.id)
    if state.outcome is not None:
        return Denied(f"Run {short} has ended: {state.outcome.title}.", code=ReasonCode.ALREADY_DECIDED)
    if state.approved_by:
        names = listed(decision.name for decision in state.approved_by)
        return Denied(
            f"Run {short} is already approved by {names} and is going ahead, so there is nothing more to do. `cancel {short}` stops it.",
            code=ReasonCode.ALREADY_DECIDED,
        )
    if state.phase == "waiting":
        return Denied(
            f"Run {short} is waiting for {state.holder}; it asks for approval after that.", code=ReasonCode.NOT_WAITING
        )
    return Denied(f"Run {short} is not ready for `{act}` yet.", code=ReasonCode.NOT_WAITING)


def _waits(state: RequestState | None) -> str:
    """Return what a request does or waits for before anybody is asked; empty from then on."""
    if state is None or state.phase == "planning":
        return "making the plan"
    return f"waiting for {state.holder}" if state.phase == "waiting" else ""


def _told(request: Request, act: str) -> Card:
    verbs: dict[str, str] = {
        "approve": "Approved",
        "deny": "Denied",
        "withdraw": "Withdrawn",
        "cancel": "Stop requested",
        "hold": "Hold requested before the next change",
        "continue": "Continued",
        "go": "Go",
        "no-go": "No-go",
    }
    text = f"{verbs[act]}: {request.title} (run {short_id(request.id)})"
    data: dict[str, Any] = {"run": request.id, "act": act}
    return Card(title=words(text), summary=text, data=data)
