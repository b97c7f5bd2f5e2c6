"""A run's workflow: does exactly what was approved, step by step, and says how it ended.

It holds the environment's place from before its first step to its end; its request's workflow listens to people meanwhile.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from bot.audit import EventName
from bot.config import Settings
from bot.process import crash_points
from bot.runs import cards, outage_notice
from bot.runs.display import Display
from bot.runs.engine import Broke
from bot.runs.execution import closing
from bot.runs.execution.closing import EndWriter
from bot.runs.execution.steps import PROGRESS, DurableSteps, by_hand
from bot.runs.failures import instead_of_record
from bot.runs.manual_rollback import ManualRollbacks
from bot.runs.model import Answered, EndedMessage, Ending, Request, RunInput, Show, escalation_id, run_id, thread_id
from bot.runs.notes import AuditNotes
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from commands.kit.card import Card, StepLine, StepStatus
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.registry import Registry
from runbooks.deployments.places import Place
from runbooks.diagnosis import evidence
from runbooks.fleet.fleet import Freeze, Lease, Undecided
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.steps import PlainPulse, Step, Stop, Stopped
from runbooks.observe import pods, serving
from runbooks.wording import by_count, capital, listed, short_id

_log = logging.getLogger(__name__)

_WORD_COMES = 5.0
"""Seconds within which a run that lost its place learns to whom."""
_PATIENCE = 60.0
"""Seconds that a run which ends waits for a cluster that takes nothing, where it is waited for so long at all; then `closing` goes on."""
_UNWRITTEN = "The cluster can't save the fleet's record right now. The bot keeps trying; `status` shows the state."


class Execution:
    """The workflow `run`."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        context: MakesContext,
        store: RunStore,
        notes: AuditNotes,
        display: Display,
        ends: EndWriter,
        manual_rollbacks: ManualRollbacks,
        redact: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._context = context
        self._store = store
        self._engine = store.engine
        self._notes = notes
        self._display = display
        self._ends = ends
        self._manual_rollbacks = manual_rollbacks
        self._redact = redact
        self._clock = clock

    async def workflow(self, raw: Any) -> Any:
        """Input: the request, the plan and who approved it. Output: the outcome."""
        try:
            run = RunInput.model_validate(raw)
        except ValidationError:  # an older version of the bot wrote the plan, in a form that is not read any more
            return await self._unreadable(Request.model_validate(raw["request"]))
        command = self._registry.operation(run.request.command, run.request.arguments)
        context = self._context(
            run.request.requester,
            run.request.environment,
            run_id=run.request.id,
            approved_by=tuple(decision.name for decision in run.approved_by),
            reason=run.request.reason,
        )
        if command.without_record:
            context = context.without_record()
        steps = DurableSteps(
            run,
            context,
            engine=self._engine,
            display=self._display,
            notes=self._notes,
            times=self._settings.times,
            clock=self._clock,
            redact=self._redact,
            budget=command.meta.budget_minutes,
            unanswered=context.unanswered,
        )
        self._display.run_begins(run.request.id, steps.redraw)
        try:
            outcome = await self._done(run, command, context, steps)
        finally:
            self._display.run_leaves(run.request.id)
        outcome = outcome.model_copy(update={"run": run.request.id, "environment": run.request.environment})
        if not outcome.ok and outcome.code is not ReasonCode.OVERTAKEN:  # the run that took the place is changing it
            left = await self._though_a_bug(
                "see what is left", lambda: self._left(run, steps, outcome), {"told": [], "data": {}}
            )
            update = {"lines": (*outcome.lines, *left["told"]), "data": {**outcome.data, **left["data"]}}
            outcome = outcome.model_copy(update=update)
        outcome = Outcome.model_validate(await self._ended(run, steps, outcome))
        await self._settle(run, steps, outcome)
        await self._engine.send(run.request.id, EndedMessage(outcome=outcome).model_dump(mode="json"))
        await closing.tell_waiting(self._store, run.request)
        await self._tell_escalations(run, outcome)
        # what is known of it has changed; last, since nobody waits for it
        undo = [] if command.goes_back else [undo for step in run.plan.steps if (undo := step.undo_by_hand())]
        await self._manual_rollbacks.changed(run.request.environment, undo)
        return outcome.model_dump(mode="json")

    async def _unreadable(self, request: Request) -> Any:
        """End the run where it is, undecided: its changes stay, and somebody has to decide."""

        async def end() -> Any:
            title = f"{request.title} was stopped by an upgrade of the bot: this version can't read its plan"
            outcome = Outcome(code=ReasonCode.UPGRADED, title=title, run=request.id, environment=request.environment)
            since = self._clock().isoformat(timespec="seconds")
            ending = Ending(request=request, undecided=Undecided(run=request.id, title=title[:200], since=since))
            outcome = outcome.model_copy(update={"lines": await self._closed(ending)})
            ended = await self._noted(request, outcome, ending if _UNWRITTEN in outcome.lines else None)
            return ended | {"steps": await self._engine.event(run_id(request.id), "steps") or []}

        ended = await self._engine.step("end what can't be read", end)
        if ended["unwritten"] is not None:
            await self._store.close_later(Ending.model_validate(ended["unwritten"]))
        outcome = Outcome.model_validate(ended["outcome"])
        lines = tuple(StepLine.model_validate(line) for line in ended["steps"])
        card = cards.progress_card(request, lines, elapsed=0.0, word="")
        await self._show(request, PROGRESS, cards.settled_progress(card, outcome))
        await self._engine.send(request.id, EndedMessage(outcome=outcome).model_dump(mode="json"))
        await closing.tell_waiting(self._store, request)
        return ended["outcome"]

    async def _though_a_bug(self, name: str, function: Callable[[], Awaitable[Any]], otherwise: Any) -> Any:
        """Return what follows the run's last step, also after a bug there, so that no request waits for ever."""
        try:
            return await self._engine.step(name, function)
        except Broke:
            return otherwise

    async def _ended(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        ended = await self._though_a_bug("end the run", lambda: self._end(run, steps, outcome), None)
        if ended is None:
            ended = await self._engine.step(
                "note the end", lambda: self._noted(run.request, outcome, self._ending(run, steps, outcome))
            )
        if ended["unwritten"] is not None:  # goes on by itself: people are told, and nobody waits for it
            await self._store.close_later(Ending.model_validate(ended["unwritten"]))
        return ended["outcome"]

    async def _done(self, run: RunInput, command: Operation, context: Context, steps: DurableSteps) -> Outcome:
        """Return the runbook's own outcome, or what stopped it."""
        begun = await self._engine.step("begin the run", lambda: self._begin(run))
        steps.started = run.request.at.fromisoformat(begun["at"])
        if not begun["noted"]:
            error = PermanentError(f"{self._notes.trouble}, so nothing starts", code=ReasonCode.BOOK_UNAVAILABLE)
            return self._failed(run, steps, error)
        await self._post_progress(run, steps)
        try:
            outcome = command.outcome(context, run.plan, await steps.all())
        except Stopped as stopped:
            return self._stopped(run, steps, stopped)
        except RunbookError as error:
            if error.code is ReasonCode.OVERTAKEN:  # the fence noticed it before the word of it came
                return self._stopped(run, steps, Stopped(await self._overtaker(run)))
            return await self._reverted(run, steps, self._failed(run, steps, error))
        except Exception as error:
            if type(error).__module__.startswith("dbos"):
                raise
            _log.exception("a run ended by a bug", extra={"run": run.request.id})
            bug = PermanentError(
                f"An error in the bot stopped it (see run {short_id(run.request.id)} in its log)",
                code=ReasonCode.BUG,
            )
            return self._failed(run, steps, bug)
        return outcome

    async def _reverted(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Outcome:
        """Undo what was done where the approved plan said so; return the outcome."""
        if run.plan.on_failure != "revert" or outcome.code is ReasonCode.BOOK_UNAVAILABLE:
            return outcome
        undone, kept = await steps.undo()
        told = [f"Undone: {listed(undone)}."] if undone else []
        told += [f"Not undone: {listed(kept)}."] if kept else []
        return outcome.model_copy(update={"lines": (*outcome.lines, *told), "undone": not kept})

    async def _begin(self, run: RunInput) -> Any:
        by = [decision.by for decision in run.approved_by]
        noted = await self._notes.write(run.request, EventName.RUN_STARTED, details={"approved_by": by})
        return {"at": self._clock().isoformat(), "noted": noted}

    async def _post_progress(self, run: RunInput, steps: DurableSteps) -> None:
        card = steps.card()
        self._display.tell(run.request.id, PROGRESS, card)
        await self._show(run.request, PROGRESS, card)

    async def _show(self, request: Request, slot: str, card: Card) -> None:
        if request.threaded:
            await self._engine.send(thread_id(request.id), Show(slot=slot, card=card).model_dump(mode="json"))

    async def _settle(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> None:
        """Let the progress message end with the sign of the outcome."""
        card = cards.progress_card(run.request, steps.lines, elapsed=outcome.seconds, word=run.word)
        await self._show(run.request, PROGRESS, cards.settled_progress(card, outcome))

    async def _overtaker(self, run: RunInput) -> Stop:
        """Return who took the lease; whoever takes one says so right afterwards."""
        found = await self._engine.event(run.request.id, "stop", timeout=_WORD_COMES)
        return Stop.model_validate(found) if found is not None else Stop(kind="overtaken", by="another run")

    def _failed(self, run: RunInput, steps: DurableSteps, error: RunbookError) -> Outcome:
        """Return the outcome of a failure: the present state, then the cause, then the evidence, in the order for reading at 3 a.m."""
        step = steps.current
        at = f" at {step.title}" if step else ""
        redact = self._redact
        found = error.diagnosis.redacted(redact)
        back = self._registry.operation(run.request.command, run.request.arguments).goes_back
        call = self._settings.environments[run.request.environment].call if back else None
        known = found.cause and step and step.targets == (found.service,)  # the step names the service already
        instead = self._instead(run) if error.code is ReasonCode.CLUSTER_UNREACHABLE else ()
        why = found.cause if known else redact(error.message).rstrip(".")  # other texts go on after the title
        return Outcome(
            code=error.code,
            title=f"{run.request.title} stopped{at}: {why}",
            message=found.said[0] if found.said else "",
            evidence=(*found.seen, *found.said[1:], *(redact(line) for line in error.evidence)),
            log=found.log,
            before_exit=found.before_exit,
            advice=(*instead, *error.advice, *((f"Call {call}.",) if call else ())),
            causes=found.causes,
            step=step.title if step else None,
            untouched=_untouched(run, steps),
            undone=step is not None and step.key in {each.key for each in run.plan.steps if each.comes_first},
            kubectl=by_hand(run.plan.steps if back else steps.left)
            if back or error.code is ReasonCode.BOOK_UNAVAILABLE
            else (),
        )

    def _instead(self, run: RunInput) -> tuple[str, ...]:
        """Return what goes back in the other regions while the record's cluster does not answer."""
        command = self._registry.operation(run.request.command, run.request.arguments)
        line = instead_of_record(command, self._context(run.request.requester, run.request.environment))
        return (f"The other regions can go back without the record: `{line}`.",) if line else ()

    async def _left(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        """Return which version serves now, as measured, the pods of each version after a stop, and what the run did not begin."""
        touched: dict[str, dict[str, str | None]] = {}
        for step in steps.begun:
            touched.setdefault(step.region, {}).update(step.replaces())
        context = self._context(run.request.requester, run.request.environment, run_id=run.request.id)
        told: list[str] = []
        kept: list[str] = []
        places = {place.name: place for place in context.places}
        home = Place(context.where, context.cluster)  # what is done once is done there
        for place, before in ((places.get(region, home), each) for region, each in touched.items() if each):
            found, saved = await asyncio.gather(
                serving.measure(place.cluster, context.health, place.environment, list(before)),
                evidence.keep(
                    PlainPulse(run.request.id), place.cluster, place.environment, list(before), home=context.cluster
                ),
            )
            there = f"{place.name}: " if place.name else ""
            told += [self._redact(f"{there}{each.sentence(before=before[each.service])}") for each in found]
            kept += [f"{there}{saved.said}"] if saved.pods else []
        data = {"evidence": "; ".join(kept)} if kept else {}
        if outcome.stop is not None:
            cut = steps.standing(StepStatus.RUNNING, StepStatus.FAILED)
            told += [sentence for step in cut for sentence in step.goes_on()]
            if any(step.replaces() for step in run.plan.steps):
                for place in places.values():
                    with contextlib.suppress(RunbookError):  # a cluster that does not say so stops nothing
                        there = f" in {place.name}" if place.name else ""
                        told.append(f"Now{there}: {await pods.by_version(place.cluster, place.environment)}.")
        return {"told": [*told, *_not_begun(steps.standing(StepStatus.PENDING), touched)], "data": data}

    def _stopped(self, run: RunInput, steps: DurableSteps, stopped: Stopped) -> Outcome:
        stop = stopped.stop
        overtaken = stop.kind == "overtaken"
        what = f"was overtaken by {stop.by}" if overtaken else f"was stopped by {stop.by}"
        at = f" at {steps.current.title}" if steps.current else ""
        return Outcome(
            code=ReasonCode.OVERTAKEN if overtaken else ReasonCode.CANCELLED,
            title=f"{run.request.title} {what}{at}",
            step=steps.current.title if steps.current else None,
            stop=stop,
            untouched=_untouched(run, steps),
        )

    async def _end(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        """Write the present state into the fleet's record and the ending into the audit log; a recorded step, so done once."""
        context = self._context(run.request.requester, run.request.environment, run_id=run.request.id)
        seconds = (self._clock() - steps.started).total_seconds()
        outcome = outcome.model_copy(update={"seconds": round(seconds, 3)})
        ending = self._ending(run, steps, outcome)
        if ending.lease is not None:  # nobody waits for a record that is away: people are told how it ended
            return await self._noted(run.request, outcome, ending)
        async with outage_notice.told(context.cluster.unanswered, self._settings.times.silence_told, steps.notice):
            lines = await self._closed(ending)
        steps.notice("")
        outcome = outcome.model_copy(update={"lines": (*outcome.lines, *lines)})
        return await self._noted(run.request, outcome, ending if _UNWRITTEN in lines else None)

    def _ending(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Ending:
        undecided: Undecided | None = None
        lease, freeze = self._without_record(run, steps, outcome)
        rolls = run.plan.decides  # what runs is decided, or not, only by who changes it
        if rolls and (
            outcome.remains or not (outcome.ok or outcome.undone)
        ):  # of one that was overtaken, who took its place wrote it already
            since = self._clock().isoformat(timespec="seconds")
            undecided = Undecided(run=run.request.id, title=outcome.title[:200], since=since)
        return Ending(
            request=run.request,
            undecided=undecided,
            decided=outcome.ok and run.plan.settles and not outcome.remains,
            decided_of=run.request.command.replace(" ", "-") if outcome.ok and rolls and not run.plan.settles else "",
            put_back=tuple(step for step in run.plan.steps if step.temporary),
            late=steps.late,
            results=steps.results.stored() if steps.late else {},
            steps=run.plan.steps if steps.late else (),
            approved_by=tuple(decision.name for decision in run.approved_by),
            lease=lease,
            freeze=freeze,
        )

    def _without_record(
        self, run: RunInput, steps: DurableSteps, outcome: Outcome
    ) -> tuple[Lease | None, Freeze | None]:
        """Return the lease by which the end of a run without the record is written, and the lock that it leaves if it succeeded."""
        request = run.request
        if not self._registry.operation(request.command, request.arguments).without_record:
            return None, None
        by, since = request.requester.name, steps.started.isoformat(timespec="seconds")
        lease = Lease(run=request.id, title=request.title, by=by, since=since)
        reason = f"{outcome.title}, without the record (run {short_id(request.id)})"
        lock = Freeze(person="", name=by, reason=reason, since=since, run=request.id)
        return lease, lock if outcome.ok else None

    async def _noted(self, request: Request, outcome: Outcome, unwritten: Ending | None) -> Any:
        """Return the outcome, and what the workflow `closing` has to write."""
        name = (
            EventName.RUN_SUCCEEDED if outcome.ok else EventName.RUN_CANCELLED if outcome.stop else EventName.RUN_FAILED
        )
        await self._notes.write(
            request,
            name,
            reason_code=outcome.code,
            reason=outcome.title,
            details={"seconds": outcome.seconds, **({"step": outcome.step} if outcome.step else {})},
            later=True,
        )
        crash_points.reached("run-ended")
        left = unwritten.model_dump(mode="json") if unwritten is not None else None
        return {"outcome": outcome.model_dump(mode="json"), "unwritten": left}

    async def _closed(self, ending: Ending) -> tuple[str, ...]:
        """Try to write the end for a while; return what people are told about that."""
        seconds = min(_PATIENCE, self._settings.times.cluster_patience)
        try:
            written = await retried(lambda: self._ends.write(ending), seconds=seconds)
        except RunbookError:
            _log.exception("the end of a run could not be written", extra={"run": ending.request.id})
            return (_UNWRITTEN,)
        done = (f"{ending.done_late}, so there is nothing to decide.",) if written.recorded else ()
        return (*done, *written.left)

    async def _tell_escalations(self, run: RunInput, outcome: Outcome) -> None:
        """Tell earlier failures of the environment that this run may have decided them."""
        if not run.plan.decides or outcome.code is ReasonCode.OVERTAKEN:
            return
        # a success that does not say what runs decides only what a run of its own kind left
        alike = f"{run.request.command.replace(' ', '-')}." if outcome.ok and not run.plan.settles else ""

        async def watching() -> Any:
            prefix = f"{run.request.environment}.{alike}"
            views = await self._engine.list(name="vigil", prefix=prefix, active=True)
            return [view.id for view in views if view.id != escalation_id(run.request.id)]

        text = f"{outcome.title}, requested by {run.request.requester.name} (run {short_id(run.request.id)})."
        for escalation in await self._engine.step("who watches", watching):
            await self._engine.send(escalation, Answered(text=text).model_dump(mode="json"))


def _not_begun(steps: Sequence[Step], touched: Mapping[str, Collection[str]]) -> list[str]:
    """Return what the run did not begin: services by their names, anything else by its step's title."""
    services: dict[str, list[str]] = {}
    for step in steps:
        own = [name for name in step.replaces() if name not in touched.get(step.region, ())]
        services.setdefault(step.place, []).extend(own)
    others = [step.title for step in steps if step.changes() and not step.replaces() and not step.hidden]
    told = [
        f"{capital(listed(names))} {by_count(len(names), 'was', 'were')} not touched{place}."
        for place, names in services.items()
        if names
    ]
    if others:
        told.append(f"Not begun: {listed(others)}.")
    return told


def _untouched(run: RunInput, steps: DurableSteps) -> bool:
    """Return whether the plan replaces services and none of them was begun."""
    return any(step.replaces() for step in run.plan.steps) and not any(step.replaces() for step in steps.begun)
