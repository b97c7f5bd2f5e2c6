"""Asking people to approve a plan: who may, their decisions one by one, a reminder, and what counts without asking again."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bot.audit import EventName
from bot.config import Settings
from bot.policy import approvals
from bot.policy.approvals import ApprovalDecision, PendingApproval, apply, new_word
from bot.policy.permissions import Permissions
from bot.runs import cards, follow_up
from bot.runs.engine import DurableResult
from bot.runs.model import DecisionMessage, Request
from bot.runs.notes import AuditNotes
from bot.runs.request import endings, schedule
from bot.runs.request.asking_again import ApprovedBefore
from bot.runs.request.open_request import OpenRequest
from bot.runs.request.planning import Planned
from bot.runs.request.schedule import Clock, NonceDrawn
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.card import Paragraph, State, Strong, Text, words
from commands.kit.policy import ApprovalPolicy
from runbooks.wording import listed


class ApprovalAsked(DurableResult):
    """Whom it asks, or whose approval counts already."""

    at: datetime
    word: str
    policy: ApprovalPolicy | None
    approvers: tuple[str, ...]
    later: tuple[str, ...]
    names: tuple[str, ...]
    """Of the approvers; empty where they are too few."""
    carried: tuple[ApprovalDecision, ...] = ()
    """The approvals of the request that this one follows."""


class Noted(DurableResult):
    """An audit event, and whether the log took it."""

    written: bool


class Approval:
    """One per process."""

    def __init__(
        self,
        *,
        settings: Settings,
        permissions: Permissions,
        store: RunStore,
        notes: AuditNotes,
        context: MakesContext,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._permissions = permissions
        self._store = store
        self._notes = notes
        self._context = context
        self._clock = clock

    async def get(
        self, open_request: OpenRequest, planned: Planned, before: ApprovedBefore | None
    ) -> tuple[ApprovalDecision, ...]:
        """Return the decisions that approve just this plan; raises `Ended` for a no, a withdrawal, or no answer in time.

        `before`: what was approved and could not be run.
        """
        if before is not None and before.covers(planned):
            if planned.digest != before.planned.digest:
                await self._note(
                    open_request, "note what the yes covers", before.approved, about=planned.digest, covered=True
                )
            return before.approved
        request, plan = open_request.request, planned.plan
        asking = partial(self._asking, open_request, planned)
        asked = await open_request.step(f"ask {planned.digest[:8]}", ApprovalAsked, asking)
        if asked.policy is not None and asked.policy.count == 0:
            if not plan.covered_by:  # it only reads, so nobody is asked
                return ()
            # its approval is part of what was approved before (a rollback of a failed run)
            reason = "covered by the failed run's approval"
            given = tuple(
                ApprovalDecision(act="approve", by=name, name=name, at=request.at, reason=reason)
                for name in plan.covered_by
            )
            await self._note(open_request, "note the cover", given, about=planned.digest[:16], covered=True)
            return given
        if asked.carried:
            about = planned.digest[:16]
            await self._note(open_request, "note what was carried over", asked.carried, about=about, covered=True)
            assert request.follows is not None, "only what follows another carries something over"
            await open_request.show("approval", cards.carried_card(request, asked.carried, request.follows))
            return asked.carried
        if asked.policy is None or not asked.names:
            raise endings.nobody(request, asked.policy)
        pending = self._pending(open_request, planned, asked, asked.policy)
        await open_request.publish(phase="asking", pending=pending, approved_by=(), word=pending.word, holder=None)
        await self._show(open_request, planned, pending, asked.names, before)
        open_request.asked += 1
        now = tuple(key for key in pending.approvers if key not in pending.later)
        await self._invite(open_request, planned, pending, now)
        return await self._decided(open_request, planned, pending, asked.names)

    @staticmethod
    def _pending(
        open_request: OpenRequest, planned: Planned, asked: ApprovalAsked, policy: ApprovalPolicy
    ) -> PendingApproval:
        """Return the question; the same as before, with the approvals given meanwhile, where an older version of the bot asked for just this."""
        request, stood = open_request.request, open_request.state.pending
        if stood is not None and stood.digest == planned.digest:
            return stood
        return PendingApproval(
            policy=policy,
            requester=request.requester.key,
            requester_name=request.requester.name,
            digest=planned.digest,
            word=asked.word,
            asked=asked.at,
            approvers=asked.approvers,
            later=asked.later,
        )

    @staticmethod
    async def _show(
        open_request: OpenRequest,
        planned: Planned,
        pending: PendingApproval,
        names: tuple[str, ...],
        before: ApprovedBefore | None,
    ) -> None:
        card = cards.approval_card(open_request.request, planned.plan, pending, names)
        if before is not None:
            note = Paragraph(text=words(Strong(text=before.why(planned.digest)), ", so it asks for approval again."))
            card = card.model_copy(update={"body": (note, *card.body)})
        await open_request.show("approval", card)
        await open_request.head(State.WAITING, cards.needs(pending.policy), plan=planned.plan)

    @staticmethod
    async def _invite(
        open_request: OpenRequest, planned: Planned, pending: PendingApproval, people: tuple[str, ...]
    ) -> None:
        """Send a direct message to each who is not in the channel."""
        request = open_request.request
        for key in people:
            if key != request.requester.key:
                card = cards.invitation_card(request, pending, planned.plan)
                slot = f"invitation-{open_request.asked}-{key}"
                await open_request.show(slot, card, direct=key, absent_only=True)

    async def _decided(
        self, open_request: OpenRequest, planned: Planned, pending: PendingApproval, names: tuple[str, ...]
    ) -> tuple[ApprovalDecision, ...]:
        request = open_request.request
        reminded = False
        # the dispatcher compared each decision with the card as it stood; a yes that met the next card on its way is no less one
        meant = {pending.word}
        while True:
            now = (await open_request.step("look at the clock", Clock, self._look_at_the_clock)).now
            if now >= pending.expires:
                text = words(Strong(text="Expired"), ": nobody decided in time")
                await self._close(open_request, pending, text, State.ENDED, "expired")
                raise endings.expired(request)
            if not reminded and now >= pending.reminds:
                reminded = True
                await self._invite(open_request, planned, pending, pending.later)
                await open_request.show("reminder", cards.reminder_card(request, pending))
            until = pending.expires if reminded else pending.reminds
            decided = await open_request.receive(max(0.05, (until - now).total_seconds()))
            if not isinstance(decided, DecisionMessage) or decided.word not in meant:
                continue
            if decided.act not in ("approve", "deny", "withdraw"):
                continue
            decision = ApprovalDecision(
                act=decided.act,
                by=decided.actor.key,
                name=decided.actor.name,
                at=decided.at,
                reason=decided.reason,
                role=decided.role,
            )
            pending, verdict = apply(pending, decision)
            if verdict == "granted":
                await self._grant(open_request, pending)
                return pending.given
            if verdict == "denied":
                text = cards.decision_text((decision,), "Denied")
                await self._close(open_request, pending, text, State.ENDED, f"denied by {decision.name}")
                raise endings.denied(request, decision)
            if verdict == "withdrawn":
                text = cards.decision_text((decision,), "Withdrawn")
                await self._close(open_request, pending, text, State.ENDED, "withdrawn")
                raise endings.withdrawn(request, decided)
            # a new word for each state of the card: what an older one's buttons say is no longer meant
            drawn = await open_request.step("draw a word", NonceDrawn, self._draw)
            pending = pending.model_copy(update={"word": drawn.word})
            meant.add(pending.word)
            await open_request.publish(pending=pending, word=pending.word)
            await open_request.show("approval", cards.approval_card(request, planned.plan, pending, names))

    async def _grant(self, open_request: OpenRequest, pending: PendingApproval) -> None:
        verb = "Confirmed" if pending.policy.own else "Approved"
        text = cards.decision_text(pending.given, verb)
        summary = f"{verb.lower()} by {listed(each.name for each in pending.given)}"
        await self._close(open_request, pending, text, State.DONE, summary)
        await open_request.publish(phase="starting", approved_by=pending.given, pending=None)
        # counted from 0 again after an upgrade, the questions do not tell two approvals of one request apart
        about = f"{pending.digest[:16]}/{pending.given[-1].at:%Y%m%dT%H%M%S.%f}"
        await self._note(open_request, "note the approval", pending.given, about=about)

    @staticmethod
    async def _close(
        open_request: OpenRequest, pending: PendingApproval, text: Text, state: State, summary: str
    ) -> None:
        card = cards.decided_card(open_request.request, pending, text, state, summary)
        await open_request.show("approval", card)

    async def _note(
        self,
        open_request: OpenRequest,
        step: str,
        given: tuple[ApprovalDecision, ...],
        *,
        about: str,
        covered: bool = False,
    ) -> None:
        request, digest, plan = open_request.request, open_request.state.digest, open_request.state.plan

        async def note() -> Noted:
            by = [decision.by for decision in given]
            details: dict[str, Any] = {"covered_by" if covered else "by": by, "digest": digest}
            written = await self._notes.write(
                request,
                EventName.APPROVAL_GRANTED,
                about=about,
                actor=request.requester.key if covered else given[-1].by,
                details=details,
            )
            if plan is not None and (gates := {key: said for each in plan.unusual for key, said in each.gates.items()}):
                written &= await self._notes.write(
                    request,
                    EventName.GATE_OVERRIDDEN,
                    about=about,
                    reason=request.reason,
                    details={"gates": gates, "approved_by": by, "digest": digest},
                )
            return Noted(written=written)

        await open_request.step(step, Noted, note)

    # inside a step

    async def _look_at_the_clock(self) -> Clock:
        return Clock(now=self._clock())

    async def _draw(self) -> NonceDrawn:
        return NonceDrawn(word=new_word(), now=self._clock())

    async def _asking(self, open_request: OpenRequest, planned: Planned) -> ApprovalAsked:
        request, now = open_request.request, self._clock()
        policies = self._settings.policies(request.environment)
        needed = open_request.command.approval(policies, planned.plan)
        policy = schedule.in_time(open_request, needed, now) if needed else None
        found = await self._permissions.holders(policy.permission, request.environment) if policy else ()
        approvers = [key for key in found if policy and (policy.own or key != request.requester.key)]
        enough = policy is not None and len(approvers) >= policy.count
        if enough and policy and policy.one_of_role:
            enough = await self._permissions.any_has_role(approvers, policy.one_of_role, request.environment)
        shift = await self._permissions.on_shift(approvers, request.environment) if policy else ()
        later = approvals.later(approvers, shift, policy) if policy else ()
        approvers.sort(key=lambda key: key in later)  # those on shift first, in the file's order
        carried = await self._carried(request, planned, policy, found)
        stood = open_request.state.pending
        if not carried and (stood is None or stood.digest != planned.digest):  # else an older version asked just this
            details = {"approvers": approvers, **({"later": later} if later else {})}
            about = f"{planned.digest[:16]}/{open_request.asked}"
            await self._notes.write(request, EventName.APPROVAL_ASKED, about=about, details=details)
        return ApprovalAsked(
            at=now,
            word=new_word(),
            policy=policy,
            approvers=tuple(approvers),
            later=tuple(later),
            names=tuple(map(self._permissions.name, approvers)) if enough else (),
            carried=carried,
        )

    async def _carried(
        self, request: Request, planned: Planned, policy: ApprovalPolicy | None, holders: Sequence[str]
    ) -> tuple[ApprovalDecision, ...]:
        before = await self._store.state(request.follows) if request.follows else None
        if before is None:
            return ()
        context = self._context(request.requester, request.environment, run_id=request.id, reason=request.reason)
        return follow_up.carried(
            request,
            planned.plan,
            before,
            policy,
            now=self._clock(),
            holders=holders,
            undecided=await follow_up.undecided(context),
        )
