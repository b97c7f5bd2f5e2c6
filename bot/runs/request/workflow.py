"""A request's workflow: plan → approval → run → its ending, whatever is killed in between.

One loop: wait for the environment's place, plan, ask, take the place, plan once more, run. Whatever changed while people were
asked (another run, a new digest) leads back to its beginning, so nobody's yes counts for something else than what they saw.
Everything that is not the same twice (time, the fleet, the configuration) is looked at inside a recorded step.
"""

import asyncio
import logging
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any

from bot.audit import EventName
from bot.policy import approvals
from bot.policy.approvals import Decision, Pending, apply, new_word
from bot.runs import cards, endings, follow_up, lease
from bot.runs.endings import Ended
from bot.runs.house import House
from bot.runs.model import (
    Close,
    DecisionMessage,
    Ending,
    OvertakeMessage,
    Request,
    RequestState,
    Vigil,
    closing_id,
    thread_id,
    vigil_id,
)
from bot.runs.request.asking_again import Before
from bot.runs.request.running import Running
from bot.runs.request.schedule import Waiting
from commands.kit.card import Button, Card, Paragraph, RunAct, State, Strong, person, sentence, words
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card, ending_state
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Stop
from runbooks.wording import duration, listed, short_id

_log = logging.getLogger(__name__)


class Requests:
    """The workflow `request`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def workflow(self, raw: Any) -> Any:
        """Input: the request. Output: its outcome."""
        flow = RequestFlow(self._house, Request.model_validate(raw))
        try:
            outcome = await flow.go()
        except Ended as ended:
            outcome = await flow.with_way_back(ended.outcome)
            await flow.end(outcome, event=ended.event, actor=ended.actor, buttons=ended.buttons)
        except Exception as error:
            if type(error).__module__.startswith("dbos"):
                raise  # the engine's own: shutting down, taken by another process
            _log.exception("a request ended by a bug", extra={"run": flow.request.id})
            outcome = endings.bug(flow.request)
            await flow.end(outcome, event=EventName.RUN_FAILED)
        return outcome.model_dump(mode="json")


class RequestFlow(Waiting, Running):
    """One request, from its beginning (again and again, after a crash) to its end."""

    async def with_way_back(self, outcome: Outcome) -> Outcome:
        """Going back that ended before it ran says what is undecided, such as the run that it stopped; what the bot can't do, as `kubectl` lines."""
        if not self._going_back:
            return outcome
        left = await self._step("look what is undecided", partial(lease.undecided, self._house, self.request))
        outcome = outcome.model_copy(update={"lines": (*outcome.lines, *left)})
        if ending_state(outcome) is not State.FAILED and outcome.code is not ReasonCode.NO_APPROVER:
            return outcome
        lines = await self._step("look up the way back", self._way_back)
        return outcome.model_copy(update={"kubectl": tuple(lines)})

    async def _way_back(self) -> Any:
        way = await self._house.ways_back.of(self._house, self.request.environment)
        return list(way.lines) if way is not None else []

    # the loop

    async def go(self) -> Outcome:
        """Until it has ended; `Ended` where nothing ran."""
        self._house.pending.add(self.request)
        async with self._house.beginning:
            await self._begin()
        before = Before()
        while True:
            await self._wait_for_place()
            # going back waits for nobody's plan
            async with nullcontext() if self._going_back else self._house.planning:
                plan, digest = await self._plan()
            if before.covers(plan, digest):
                approved = before.approved
                if digest != before.digest:
                    await self._step(
                        "note what the yes covers", partial(self._granted, approved, covered=True, about=digest)
                    )
            else:
                approved = await self._ask(plan, digest, before=before)
            await self._until_its_time(plan)
            taken = await self._take(plan, digest)
            if taken == "taken":
                outcome = await self._run(plan, approved)
                back = await self._follow_up(outcome)
                await self.end(outcome, event=None, going_back=back is not None)
                if back is not None:  # it is covered by what this run's approval said, so after its ending
                    await self._house.engine.start("request", back["id"], back)
                return outcome
            before = Before(plan, digest, taken, approved)

    async def _wait_for_place(self) -> None:
        """Until no run holds the environment; a rollback waits for nobody."""
        while True:
            look = await self._step("look at the place", self._look)
            if "error" in look:
                raise endings.failed(self.request, look["error"])
            if look["freeze"] is not None and not self._going_back and not self._over_by_then(look["freeze"]):
                raise endings.locked(self.request, look["freeze"])
            if look["holder"] is None or self._going_back:
                return
            await self._publish(phase="waiting", holder=look["holder"], word=look["word"])
            withdraw = self._withdraw_button(look["word"])
            detail = sentence(out) if (out := look.get("way_out")) else None
            what = f"waiting for {look['holder']}"
            await self._publish(head=await self._head(State.WAITING, what, detail=detail, buttons=(withdraw,)))
            while (message := await self._message(self._house.settings.times.place_recheck)) is not None:
                if message["kind"] == "free":
                    break
                if message["kind"] == "decision" and message["act"] == "withdraw" and message["word"] == look["word"]:
                    raise endings.withdrawn(self.request, DecisionMessage.model_validate(message))

    async def _look(self) -> Any:
        return await lease.look(self._house, self.request, back=self._going_back)

    def _withdraw_button(self, word: str) -> Button:
        return Button(label="Withdraw", does=RunAct(command="withdraw", run=self.request.id, word=word))

    def _context(self, *, approved: tuple[Decision, ...] = ()) -> Context:
        return self._house.context(
            self.request.requester,
            self.request.environment,
            run_id=self.request.id,
            approved_by=tuple(decision.name for decision in approved),
            reason=self.request.reason,
        )

    # planning

    async def _plan(self) -> tuple[Plan, str]:
        made = await self._step("make the plan", self._made)
        if "error" in made:
            raise endings.failed(self.request, made["error"])
        plan = Plan.model_validate(made["plan"])
        digest = plan.digest(lease.substance(self.request))
        await self._publish(plan=plan, digest=digest)
        if plan.empty:
            raise endings.nothing_to_do(self.request, plan)
        if plan.needs_reason and not self.request.reason:
            raise endings.needs_reason(self.request, plan)
        await self._show("plan", cards.plan_card(self.request, plan, digest))
        return plan, digest

    async def _made(self) -> Any:
        try:
            plan = await self._planned()
        except RunbookError as error:
            return {"error": endings.told(self._house, self.request, error)}
        else:
            await self._house.note(
                self.request,
                EventName.RUN_PLANNED,
                about=plan.digest(lease.substance(self.request))[:16],
                details={
                    "changes": plan.substances(),
                    "digest": plan.digest(lease.substance(self.request)),
                },
            )
            return {"plan": plan.model_dump(mode="json")}

    async def _planned(self) -> Plan:
        """Tried again where the cluster failed to answer; when the time is up, that is what kept it."""
        failed: RunbookError | None = None
        try:
            async with asyncio.timeout(self._house.settings.times.plan_deadline):
                while True:
                    try:
                        plan = await self._command.plan(self._context())
                    except TemporaryError as error:
                        if error.code is not ReasonCode.CLUSTER_UNREACHABLE:
                            raise
                        failed = error
                        await asyncio.sleep(error.retry_after)
                    else:
                        return plan
        except TimeoutError:
            raise failed or RunbookError("The plan could not be made in time", code=ReasonCode.TIMED_OUT) from failed

    # asking

    async def _ask(self, plan: Plan, digest: str, *, before: Before) -> tuple[Decision, ...]:
        asked = await self._step(f"ask {digest[:8]}", lambda: self._asking(plan))
        policy = ApprovalPolicy.model_validate(asked["policy"]) if asked["policy"] else None
        names = tuple(asked["names"])
        if policy is not None and policy.count == 0:
            return await self._covered(plan)
        if given := tuple(Decision.model_validate(each) for each in asked["carried"]):
            await self._step("note what was carried over", lambda: self._granted(given, covered=True))
            assert self.request.follows is not None, "only what follows another carries something over"
            await self._show("approval", cards.carried_card(self.request, given, self.request.follows))
            return given
        if policy is None or not names:
            raise endings.nobody(self.request, policy)
        pending = Pending(
            policy=policy,
            requester=self.request.requester.key,
            requester_name=self.request.requester.name,
            digest=digest,
            word=asked["word"],
            asked=datetime.fromisoformat(asked["at"]),
            approvers=tuple(asked["approvers"]),
            later=tuple(asked.get("later", ())),
        )
        await self._publish(phase="asking", pending=pending, word=pending.word, holder=None)
        await self._show_asking(plan, pending, names, before=before)
        self._asked += 1
        await self._invite(plan, pending, tuple(key for key in pending.approvers if key not in pending.later))
        return await self._decided(plan, pending, names)

    async def _invite(self, plan: Plan, pending: Pending, people: tuple[str, ...]) -> None:
        """A direct message to each who is not in the channel."""
        for key in people:
            if key != self.request.requester.key:
                card = cards.invitation_card(self.request, pending, plan)
                await self._show(f"invitation-{self._asked}-{key}", card, direct=key, absent_only=True)

    async def _covered(self, plan: Plan) -> tuple[Decision, ...]:
        """Its approval is part of what was approved before (a rollback of a failed run)."""
        given = tuple(
            Decision(
                act="approve", by=name, name=name, at=self.request.at, reason="covered by the failed run's approval"
            )
            for name in plan.covered_by
        )
        await self._step("note the cover", lambda: self._granted(given, covered=True))
        return given

    async def _asking(self, plan: Plan) -> Any:
        policies = self._house.settings.policies(self.request.environment)
        asked = self._command.approval(policies, plan)
        policy = self._in_time(asked) if asked else None
        found = await self._house.permissions.holders(policy.permission, self.request.environment) if policy else ()
        approvers = [key for key in found if policy and (policy.own or key != self.request.requester.key)]
        enough = policy is not None and len(approvers) >= policy.count
        shift = await self._house.permissions.on_shift(approvers, self.request.environment) if policy else ()
        later = approvals.later(approvers, shift, policy) if policy else ()
        approvers.sort(key=lambda key: key in later)  # those on shift first, in the file's order
        names = [self._house.permissions.name(key) for key in approvers] if enough else []
        before = await self._house.engine.event(self.request.follows, "state") if self.request.follows else None
        carried = follow_up.carried(
            self._house,
            self.request,
            plan,
            RequestState.model_validate(before) if before else None,
            policy,
            holders=found,
            undecided=await follow_up.undecided(self._context()) if before else None,
        )
        if not carried:
            await self._house.note(
                self.request,
                EventName.APPROVAL_ASKED,
                about=str(self._asked),
                details={"approvers": approvers, **({"later": later} if later else {})},
            )
        return {
            "carried": [decision.model_dump(mode="json") for decision in carried],
            "at": self._house.clock().isoformat(),
            "word": new_word(),
            "approvers": approvers,
            "later": list(later),
            "names": names,
            "policy": policy.model_dump(mode="json") if policy else None,
        }

    async def _show_asking(self, plan: Plan, pending: Pending, names: tuple[str, ...], *, before: Before) -> None:
        card = cards.approval_card(self.request, plan, pending, names)
        if why := before.why(pending.digest):
            note = Paragraph(text=words(Strong(text=why), ", so it asks for approval again."))
            card = card.model_copy(update={"body": (note, *card.body)})
        await self._show("approval", card)
        await self._publish(head=await self._head(State.WAITING, cards.needs(pending.policy), plan=plan))

    async def _decided(self, plan: Plan, pending: Pending, names: tuple[str, ...]) -> tuple[Decision, ...]:
        """Until enough people said yes; `Ended` for a no, a withdrawal, or no answer in time."""
        reminded = False
        # the dispatcher compared each decision with the card as it stood; a yes that met the next card on its way is no less one
        meant = {pending.word}
        while True:
            clock = await self._step("look at the clock", self._now)
            now = datetime.fromisoformat(clock["now"])
            if now >= pending.expires:
                await self._close_card(
                    pending, words(Strong(text="Expired"), ": nobody decided in time"), State.ENDED, "expired"
                )
                raise endings.expired(self.request)
            if not reminded and now >= pending.reminds:
                reminded = True
                await self._invite(plan, pending, pending.later)
                await self._show("reminder", cards.reminder_card(self.request, pending))
            until = pending.expires if reminded else pending.reminds
            message = await self._message(max(0.05, (until - now).total_seconds()))
            if message is None or message["kind"] != "decision" or message["word"] not in meant:
                continue
            decided = DecisionMessage.model_validate(message)
            if decided.act == "cancel":
                continue
            decision = Decision(
                act=decided.act, by=decided.actor.key, name=decided.actor.name, at=decided.at, reason=decided.reason
            )
            pending, verdict = apply(pending, decision)
            if verdict == "granted":
                verb = "Confirmed" if pending.policy.own else "Approved"
                text = cards.decision_text(pending.given, verb)
                await self._close_card(
                    pending, text, State.DONE, f"{verb.lower()} by {listed(each.name for each in pending.given)}"
                )
                await self._publish(phase="starting", approved_by=pending.given, pending=None)
                await self._step("note the approval", partial(self._granted, pending.given))
                return pending.given
            if verdict == "denied":
                await self._close_card(
                    pending, cards.decision_text((decision,), "Denied"), State.ENDED, f"denied by {decision.name}"
                )
                raise endings.denied(self.request, decision)
            if verdict == "withdrawn":
                await self._close_card(pending, cards.decision_text((decision,), "Withdrawn"), State.ENDED, "withdrawn")
                raise endings.withdrawn(self.request, decided)
            # a new word for each state of the card: what an older one's buttons say is no longer meant
            drawn = await self._step("draw a word", self._draw)
            pending = pending.model_copy(update={"word": drawn["word"]})
            meant.add(pending.word)
            await self._publish(pending=pending, word=pending.word)
            await self._show("approval", cards.approval_card(self.request, plan, pending, names))

    async def _now(self) -> Any:
        return {"now": self._house.clock().isoformat()}

    async def _granted(self, given: tuple[Decision, ...], *, covered: bool = False, about: str = "") -> Any:
        by = [decision.by for decision in given]
        details: dict[str, Any] = {"covered_by" if covered else "by": by, "digest": self._state.digest}
        return {
            "noted": await self._house.note(
                self.request,
                EventName.APPROVAL_GRANTED,
                about=about or str(self._asked),
                actor=self.request.requester.key if covered else given[-1].by,
                details=details,
            )
        }

    async def _close_card(self, pending: Pending, text: Any, state: State, summary: str) -> None:
        await self._show("approval", cards.decided_card(self.request, pending, text, state, summary))

    # running

    async def _take(self, plan: Plan, digest: str) -> str:
        """taken, or why it has to plan again: held, changed, late, unfit."""
        taken = await self._step("take the place", partial(self._taken, plan, digest))
        if taken["overtaken"] is not None:
            message = OvertakeMessage(
                stop=Stop(kind="overtaken", by=f"run {short_id(self.request.id)}", reason=self.request.title)
            )
            await self._house.engine.send_if_known(taken["overtaken"], message.model_dump(mode="json"))
        if "error" in taken:
            raise endings.failed(self.request, taken["error"])
        if taken["freeze"] is not None:
            raise endings.locked(self.request, taken["freeze"])
        return str(taken["result"])

    async def _taken(self, plan: Plan, digest: str) -> Any:
        if not await self._may_still(
            self._command.approval(self._house.settings.policies(self.request.environment), plan)
        ):
            return lease.NOT_TAKEN | {"result": "unfit"}
        return await lease.take(self._house, self.request, self._command, digest, self._said_yes())

    # ending

    async def end(
        self,
        outcome: Outcome,
        *,
        event: EventName | None,
        actor: str | None = None,
        buttons: tuple[Button, ...] = (),
        going_back: bool = False,
    ) -> None:
        """Result, head message, audit event, and the thread is closed. `going_back`: what to do next is decided already."""
        ended = await self._step("end", lambda: self._noted(outcome, event, actor))
        if not ended["given"]:
            left = Ending(request=self.request)
            await self._house.engine.start("closing", closing_id(self.request.id), left.model_dump(mode="json"))
        # before it is said: who reads that it is over may ask for the same again, and press the result's buttons
        self._house.pending.end(self.request)
        over = datetime.fromisoformat(ended["at"])
        await self._publish(outcome=outcome, ended=over, pending=None, hold=None, holder=None)
        card = self._command.card(outcome) if event is None else ending_card(outcome, buttons=buttons)
        card = card.model_copy(
            update={"body": (Paragraph(text=words(person(self.request.requester.key, mention=True))), *card.body)}
        )
        if going_back:
            why = "as planned" if self.goes_back_by_itself(outcome) else "as requested"
            follows = Paragraph(text=words(f"A rollback follows automatically, {why}."))
            card = card.model_copy(update={"body": (*card.body, follows), "buttons": ()})
        failed = event is None and not outcome.ok and outcome.stop is None  # what a person stopped, a person knows of
        await self._show("result", card, broadcast=failed)
        what = outcome.title.removeprefix(f"{self.request.title} ") if event is None else endings.few_words(outcome)
        detail = words(*(f"{line} " for line in outcome.lines[:1])) if event is None and outcome.lines else None
        elapsed = outcome.seconds or None
        if outcome.ok and (budget := outcome.data.get("budget_minutes")):
            what, elapsed = f"{what} · {duration(outcome.seconds)} of the {budget} min budget", None
        head = cards.head_card(
            self.request, ending_state(outcome), what, plan=self._state.plan, detail=detail, elapsed=elapsed
        )
        await self._show("head", head)
        await self._publish(phase="ended", head=head)
        if self.request.threaded:
            watched = event is None and self._state.left_undecided
            await self._close(outcome, card, ended["at"], watched=watched, told=failed)
        self._house.live.end(self.request.id)
        self._house.steps.pop(self.request.id, None)
        if self._house.metrics is not None:
            self._house.metrics.ended(self.request.environment, self.request.command, outcome.code)

    async def _close(self, outcome: Outcome, card: Card, ended: str, *, watched: bool, told: bool) -> None:
        """The thread is done, or kept open by the vigil for as long as nobody has decided."""
        if watched:
            times = self._house.settings.times
            first = Vigil(
                request=self.request,
                outcome=outcome,
                card=card,
                ended=datetime.fromisoformat(ended),
                after=times.escalate_after,
                times=times.escalate_times if told else 0,
            )
            await self._house.engine.start("vigil", vigil_id(self.request.id), first.model_dump(mode="json"))
        else:
            await self._house.engine.send(thread_id(self.request.id), Close().model_dump(mode="json"))

    async def _noted(self, outcome: Outcome, event: EventName | None, actor: str | None) -> Any:
        given = True
        if event is not None:
            await self._house.note(
                self.request,
                event,
                about="end",
                actor=actor,
                reason_code=outcome.code,
                reason=outcome.title,
                details={"took": duration(outcome.seconds)},
            )
            given = await lease.give_back(self._house, self.request)
        return {"at": self._house.clock().isoformat(), "given": given}
