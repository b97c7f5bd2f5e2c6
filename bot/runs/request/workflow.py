"""The workflow `request`: plan → approval → run → its ending, whatever is killed in between.

One loop: wait for the environment's lease, plan, ask, take the lease, plan once more, run. Whatever changed while people were asked
(another run, a new digest) leads back to its beginning, so nobody's yes counts for something else than what they saw.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from bot.runs.display import Display
from bot.runs.engine import DurableResult, Engine
from bot.runs.model import Request, RequestState
from bot.runs.pending import PendingRequests
from bot.runs.request import endings
from bot.runs.request.approval import Approval
from bot.runs.request.asking_again import ApprovedBefore
from bot.runs.request.endings import RequestEnded
from bot.runs.request.leasing import Leasing
from bot.runs.request.open_request import OpenRequest
from bot.runs.request.planning import Planned, Planning
from bot.runs.request.report import Report
from bot.runs.request.running import Running
from bot.runs.request.schedule import Schedule
from bot.runs.store import RunStore
from commands.kit.context import Outcome
from commands.kit.registry import Registry

_log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Requests that begin at once: the engine's SQLite has one writer, and who was not acknowledged yet goes first."""


class Stood(DurableResult):
    """Where an older version of the bot left the request; nothing where this version began it."""

    state: RequestState | None


def _approved_before(stood: RequestState) -> ApprovedBefore | None:
    """Return the approvals that an older version left, and for what; None where it was asking, or may have been asking anew.

    Only a request that waits for its time has surely been approved just as it stands: elsewhere the plan may be a newer one than the
    approvals are for.
    """
    if stood.phase != "scheduled" or stood.pending is not None or stood.plan is None or stood.digest is None:
        return None
    return (
        ApprovedBefore(Planned(stood.plan, stood.digest), "changed", stood.approved_by) if stood.approved_by else None
    )


class Requests:
    """One per process."""

    def __init__(
        self,
        *,
        engine: Engine,
        store: RunStore,
        registry: Registry,
        display: Display,
        pending: PendingRequests,
        planning: Planning,
        leasing: Leasing,
        approval: Approval,
        schedule: Schedule,
        running: Running,
        report: Report,
    ) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        self._display = display
        self._pending = pending
        self._planning = planning
        self._leasing = leasing
        self._approval = approval
        self._schedule = schedule
        self._running = running
        self._report = report
        self._beginning = asyncio.Semaphore(_AT_ONCE)

    async def workflow(self, raw: Any) -> Any:
        """Input: the request. Output: its outcome."""
        request = Request.model_validate(raw)
        command = self._registry.operation(request.command, request.arguments)
        open_request = OpenRequest(self._engine, self._display, request, command)
        try:
            outcome = await self._go(open_request)
        except RequestEnded as ended:
            outcome = await self._report.of_nothing(open_request, ended)
        except Exception as error:
            if type(error).__module__.startswith("dbos"):
                raise  # the engine's own: shutting down, taken by another process
            _log.exception("a request ended by a bug", extra={"run": request.id})
            outcome = await self._report.of_nothing(open_request, endings.bug(request))
        return outcome.model_dump(mode="json")

    async def _go(self, open_request: OpenRequest) -> Outcome:
        """Go through the request's life and return its run's outcome. Raises `RequestEnded` where nothing ran."""
        self._pending.add(open_request.request)
        look = partial(self._look_where_it_stood, open_request.request)
        stood = (await open_request.step("look where it stood", Stood, look)).state
        async with self._beginning:
            await open_request.begin(stood)
        before: ApprovedBefore | None = None
        if stood is not None and stood.started is not None:
            return await self._finish(
                open_request, await self._running.go_on(open_request, stood.plan, stood.approved_by)
            )
        if stood is not None and stood.outcome is not None:
            raise RequestEnded(stood.outcome)
        if stood is not None:
            before = _approved_before(open_request.state)
        while True:
            await self._leasing.wait(open_request)
            planned = await self._planning.make(open_request, before.confirmed if before is not None else None)
            approved = await self._approval.get(open_request, planned, before)
            await self._schedule.wait(open_request, planned.plan)
            refused = await self._leasing.take(open_request, planned)
            if refused is None:
                outcome = await self._running.start(open_request, planned.plan, approved)
                return await self._finish(open_request, outcome)
            before = ApprovedBefore(planned, refused, approved)

    async def _finish(self, open_request: OpenRequest, outcome: Outcome) -> Outcome:
        """Report the run's end, begin what follows it, and return the outcome."""
        back = await self._running.follow_up(open_request, outcome)
        await self._report.of_run(open_request, outcome, going_back=back is not None)
        if back is not None:  # it is covered by what this run's approval said, so after its ending
            await self._store.start(back)
        return outcome

    # inside a step

    async def _look_where_it_stood(self, request: Request) -> Stood:
        return Stood(state=await self._store.state(request.id))
