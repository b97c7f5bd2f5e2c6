"""Making the plan: what would be changed now, its digest, and the plan's card."""

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from bot.audit import EventName
from bot.config.sections import TimeSettings
from bot.runs import cards
from bot.runs.engine import DurableResult
from bot.runs.estimate import usual_seconds, with_usual
from bot.runs.failures import Failure, Failures, instead_of_record
from bot.runs.follow_up import planned
from bot.runs.model import digest_of
from bot.runs.notes import AuditNotes
from bot.runs.request import endings
from bot.runs.request.open_request import OpenRequest
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import is_unreachable, retried

_AT_ONCE = 4
"""Plans that are made at once: the engine's SQLite has one writer, and everybody's first message comes before anybody's plan."""


class Planned(NamedTuple):
    """What people are asked to approve."""

    plan: Plan
    digest: str


class PlanMade(DurableResult):
    """A plan, or why there is none."""

    plan: Plan | None = None
    failure: Failure | None = None


class Planning:
    """One per process."""

    def __init__(
        self, context: MakesContext, store: RunStore, notes: AuditNotes, failures: Failures, times: TimeSettings
    ) -> None:
        self._context = context
        self._store = store
        self._notes = notes
        self._failures = failures
        self._times = times
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def make(self, open_request: OpenRequest, confirmed: Plan | None = None) -> Planned:
        """Make the present plan, show and return it. Raises `Ended` where nothing is to be approved.

        `confirmed`: the plan that was approved and changed before it could be run.
        """
        request = open_request.request
        # going back waits for nobody's plan
        async with nullcontext() if open_request.goes_back else self._places:
            made = await open_request.step("make the plan", PlanMade, partial(self._made, open_request, confirmed))
        if made.plan is None:
            assert made.failure is not None, "a plan, or why there is none"
            raise endings.failed(request, made.failure)
        plan, digest = made.plan, digest_of(request, made.plan)
        await open_request.publish(plan=plan, digest=digest)
        if plan.empty:
            raise endings.nothing_to_do(request, plan)
        if plan.needs_reason and not request.reason:
            raise endings.needs_reason(request, plan)
        await open_request.show("plan", cards.plan_card(request, plan, digest))
        if plan.refused_by:
            raise endings.refused(request, plan)
        return Planned(plan, digest)

    async def _made(self, open_request: OpenRequest, confirmed: Plan | None) -> PlanMade:
        request = open_request.request
        try:
            plan = await self._tried(open_request)
        except RunbookError as error:
            context = self._context(request.requester, request.environment)
            instead = instead_of_record(open_request.command, context)
            return PlanMade(failure=self._failures.of(request, error, instead=instead))
        if confirmed is not None:
            plan = plan.as_confirmed(confirmed)
        digest = digest_of(request, plan)
        details = {"changes": plan.substances(), "digest": digest}
        await self._notes.write(request, EventName.RUN_PLANNED, about=digest[:16], details=details)
        return PlanMade(plan=plan)

    async def _tried(self, open_request: OpenRequest) -> Plan:
        """Return the plan, tried again while the cluster does not answer. Raises the last failure once the time is up."""
        request = open_request.request
        failed: list[RunbookError] = []

        async def plan() -> Plan:
            context = self._context(request.requester, request.environment, run_id=request.id, reason=request.reason)
            plan = await planned(self._store, request, open_request.command, context)
            if open_request.goes_back:  # its time runs against a budget, and it waits for nothing
                return plan
            return with_usual(plan, await usual_seconds(self._store, request))

        try:
            async with asyncio.timeout(self._times.plan_deadline):
                return await retried(plan, may_help=is_unreachable, noticed=failed.append)
        except TimeoutError:
            last = failed[-1] if failed else None
            raise last or RunbookError("The plan could not be made in time", code=ReasonCode.TIMED_OUT) from last
