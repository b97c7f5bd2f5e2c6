"""A run's workflow: does exactly what was approved, step by step, and says how it ended.

It holds the environment's place from before its first step to its end; its request's workflow listens to people meanwhile.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bot import crash_points
from bot.audit import EventName
from bot.runs import cards, silence
from bot.runs.durable import PROGRESS, DurableSteps
from bot.runs.engine import Broke
from bot.runs.house import House
from bot.runs.model import (
    Answered,
    EndedMessage,
    FreeMessage,
    Request,
    RunInput,
    Show,
    short_id,
    thread_id,
    vigil_id,
)
from commands.kit.card import Card, StepLine, StepStatus, listed
from commands.kit.context import Context, Outcome
from runbooks import evidence, pods, serving, surge
from runbooks.fleet import Undecided
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, Stop, Stopped
from runbooks.rollouts import kubectl_lines

_log = logging.getLogger(__name__)

_WORD_COMES = 5.0
"""Seconds within which a run that lost its place learns to whom."""
_PATIENCE = 60.0
"""Seconds that giving the place back waits for a cluster that can't be reached, where it is waited for so long at all."""


class Runs:
    """The workflow `run`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def workflow(self, raw: Any) -> Any:
        """Input: the request, the plan and who approved it. Output: the outcome."""
        run = RunInput.model_validate(raw)
        command = self._house.make(run.request)
        points = getattr(command, "hold_points", None)
        cluster = self._house.context(run.request.requester, run.request.environment).cluster
        steps = DurableSteps(
            self._house,
            run,
            command.outline(run.plan),
            hold_points=points(run.plan) if points else (),
            unanswered=cluster.unanswered,
        )
        self._house.redraw[run.request.id] = steps.redraw
        try:
            outcome = await self._done(run, command, steps)
        finally:
            self._house.redraw.pop(run.request.id, None)
        outcome = outcome.model_copy(update={"run": run.request.id, "environment": run.request.environment})
        if not outcome.ok and outcome.code is not ReasonCode.OVERTAKEN:  # the run that took the place is changing it
            left = await self._though_a_bug(
                "see what is left", lambda: self._left(run, steps, outcome), {"told": [], "data": {}}
            )
            update = {"lines": (*outcome.lines, *left["told"]), "data": {**outcome.data, **left["data"]}}
            outcome = outcome.model_copy(update=update)
        outcome = Outcome.model_validate(await self._ended(run, steps, outcome))
        await self._settle(run, steps, outcome)
        await self._house.engine.send(run.request.id, EndedMessage(outcome=outcome).model_dump(mode="json"))
        await self._tell_waiting(run.request)
        await self._tell_vigils(run, outcome)
        # what is known of it has changed; last, since nobody waits for it
        back = bool(getattr(command, "goes_back", False))
        changes = () if back else run.plan.changes
        await self._house.ways_back.changed(self._house, run.request.environment, changes)
        return outcome.model_dump(mode="json")

    async def _though_a_bug(self, name: str, function: Callable[[], Awaitable[Any]], otherwise: Any) -> Any:
        """What follows the run's last step: a bug there keeps no request waiting for a word that never comes."""
        try:
            return await self._house.engine.step(name, function)
        except Broke:
            return otherwise

    async def _ended(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        ended = await self._though_a_bug("end the run", lambda: self._end(run, steps, outcome), None)
        # whoever comes next sees that it is over, and takes the place
        return ended or await self._house.engine.step("note the end", lambda: self._noted(run, outcome))

    async def _done(self, run: RunInput, command: Any, steps: DurableSteps) -> Outcome:
        """The runbook's own outcome, or what stopped it."""
        begun = await self._house.engine.step("begin the run", lambda: self._begin(run))
        steps.started = run.request.at.fromisoformat(begun["at"])
        if not begun["noted"]:
            error = PermanentError(
                "The audit trail can't be written, so nothing starts", code=ReasonCode.BOOK_UNAVAILABLE
            )
            return self._failed(run, steps, error)
        await self._post_progress(run, steps)
        context = self._house.context(
            run.request.requester,
            run.request.environment,
            run_id=run.request.id,
            approved_by=tuple(decision.name for decision in run.approved_by),
            reason=run.request.reason,
        )
        try:
            outcome: Outcome = await command.run(context, run.plan, steps)
        except Stopped as stopped:
            return self._stopped(run, steps, stopped)
        except RunbookError as error:
            if error.code is ReasonCode.OVERTAKEN:  # the fence noticed it before the word of it came
                return self._stopped(run, steps, Stopped(await self._overtaker(run)))
            return self._failed(run, steps, error)
        except Exception as error:
            if type(error).__module__.startswith("dbos"):
                raise
            _log.exception("a run ended by a bug", extra={"run": run.request.id})
            bug = PermanentError(
                f"An error of the bot's own stopped it (its log has run {short_id(run.request.id)})",
                code=ReasonCode.BUG,
            )
            return self._failed(run, steps, bug)
        return outcome

    async def _begin(self, run: RunInput) -> Any:
        by = [decision.by for decision in run.approved_by]
        noted = await self._house.note(run.request, EventName.RUN_STARTED, details={"approved_by": by})
        return {"at": self._house.clock().isoformat(), "noted": noted}

    async def _post_progress(self, run: RunInput, steps: DurableSteps) -> None:
        card = steps.card()
        self._house.live.tell(run.request.id, PROGRESS, card)
        await self._show(run.request, PROGRESS, card)

    async def _show(self, request: Request, slot: str, card: Card) -> None:
        if request.threaded:
            await self._house.engine.send(thread_id(request.id), Show(slot=slot, card=card).model_dump(mode="json"))

    async def _settle(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> None:
        """The progress message stops moving, with the sign of how it ended."""
        card = cards.progress_card(run.request, steps.lines, elapsed=outcome.seconds, word=run.word)
        await self._show(run.request, PROGRESS, cards.settled_progress(card, outcome))

    async def _overtaker(self, run: RunInput) -> Stop:
        """Who took the place: who takes one says so right afterwards."""
        found = await self._house.engine.event(run.request.id, "stop", timeout=_WORD_COMES)
        return Stop.model_validate(found) if found is not None else Stop(kind="overtaken", by="another run")

    def _failed(self, run: RunInput, steps: DurableSteps, error: RunbookError) -> Outcome:
        """What is, then why, then what was seen: the order in which it is read at 3 a.m."""
        step = steps.current
        at = f" at {step}" if step else ""
        redact = self._house.redact
        found = error.diagnosis.redacted(redact)
        back = bool(getattr(self._house.make(run.request), "goes_back", False))
        call = self._house.settings.environments[run.request.environment].call if back else None
        known = found.cause and step and found.service.lower() in step.lower()  # the step names the service already
        return Outcome(
            code=error.code,
            title=f"{run.request.title} stopped{at}: {found.cause if known else redact(error.message)}",
            message=found.said[0] if found.said else "",
            evidence=(*found.seen, *found.said[1:], *(redact(line) for line in error.evidence)),
            log=found.log,
            before_exit=found.before_exit,
            advice=(*error.advice, *((f"Call {call}.",) if call else ())),
            causes=found.causes,
            step=step,
            kubectl=tuple(kubectl_lines(run.plan.changes if back else steps.left()))
            if back or error.code is ReasonCode.BOOK_UNAVAILABLE
            else (),
        )

    async def _left(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        """Who is served by what now, as it is measured, the pods of each version after a stop, and what the run did not get to."""
        left = _untouched(run, steps.lines)
        touched = {change.service: change.before.tag for change in run.plan.changes if change.service not in left}
        context = self._house.context(run.request.requester, run.request.environment, run_id=run.request.id)
        found, kept = await asyncio.gather(
            serving.measure(context.cluster, context.health, context.where, list(touched)),
            evidence.keep(PlainPulse(run.request.id), context.cluster, context.where, list(touched)),
        )
        told = [self._house.redact(each.sentence(before=touched[each.service])) for each in found]
        if outcome.stop is not None:
            told += _goes_on(run, steps.lines)
            with contextlib.suppress(RunbookError):  # a cluster that does not say so stops nothing
                told.append(f"Now: {await pods.by_version(context.cluster, context.where)}.")
        return {"told": [*told, *_not_touched(left)], "data": {"evidence": kept.said} if kept.pods else {}}

    def _stopped(self, run: RunInput, steps: DurableSteps, stopped: Stopped) -> Outcome:
        stop = stopped.stop
        overtaken = stop.kind == "overtaken"
        what = f"was overtaken by {stop.by}" if overtaken else f"was stopped by {stop.by}"
        at = f" at {steps.current}" if steps.current else ""
        return Outcome(
            code=ReasonCode.OVERTAKEN if overtaken else ReasonCode.CANCELLED,
            title=f"{run.request.title} {what}{at}",
            step=steps.current,
            stop=stop,
        )

    async def _end(self, run: RunInput, steps: DurableSteps, outcome: Outcome) -> Any:
        """Gives the place back and writes the ending; recorded, so done once."""
        context = self._house.context(run.request.requester, run.request.environment, run_id=run.request.id)
        seconds = (self._house.clock() - steps.started).total_seconds()
        outcome = outcome.model_copy(update={"seconds": round(seconds, 3)})
        undecided: Undecided | None = None
        rolls = bool(run.plan.changes)  # what runs is decided, or not, only by who changes it
        if rolls and not outcome.ok and outcome.code is not ReasonCode.OVERTAKEN:
            since = self._house.clock().isoformat(timespec="seconds")
            undecided = Undecided(run=run.request.id, title=outcome.title[:200], since=since)
        async with silence.told(context.cluster.unanswered, self._house.settings.times.silence_told, steps.notice):
            await self._give_back(context, run, undecided, decided=outcome.ok and rolls)
        steps.notice("")
        return await self._noted(run, outcome)

    async def _noted(self, run: RunInput, outcome: Outcome) -> Any:
        name = (
            EventName.RUN_SUCCEEDED if outcome.ok else EventName.RUN_CANCELLED if outcome.stop else EventName.RUN_FAILED
        )
        await self._house.note(
            run.request,
            name,
            reason_code=outcome.code,
            reason=outcome.title,
            details={"seconds": outcome.seconds, **({"step": outcome.step} if outcome.step else {})},
            later=True,
        )
        crash_points.reached("run-ended")
        return outcome.model_dump(mode="json")

    async def _give_back(self, context: Context, run: RunInput, undecided: Undecided | None, *, decided: bool) -> None:
        """Where the cluster can't be reached for long, the next request sees that this run has ended, and takes the place."""
        fleet, where = context.fleet, context.where
        deadline = asyncio.get_running_loop().time() + min(_PATIENCE, self._house.settings.times.cluster_patience)
        while True:
            try:
                if undecided is not None:
                    await fleet.leave_undecided(where, undecided)
                elif decided:
                    await fleet.decide(where)
                await self._put_back(context, run)
                await fleet.leave(where, run.request.id)
                head = await self._house.book.head()
                await fleet.write_head(where, head.book, head.seq, head.hash)
            except TemporaryError as error:
                if asyncio.get_running_loop().time() < deadline:
                    await asyncio.sleep(error.retry_after)
                    continue
                _log.exception("the place could not be given back in time", extra={"run": run.request.id})
            except RunbookError:
                _log.exception("the place could not be given back", extra={"run": run.request.id})
            return

    async def _put_back(self, context: Context, run: RunInput) -> None:
        """What the run's own steps could not put back, because the cluster was away just then."""
        for change in run.plan.changes if run.plan.together else ():
            with contextlib.suppress(PermanentError):  # the Deployment is gone, or the bot may not change it any more
                await surge.put_back(context.cluster, change.namespace, change.deployment, run=run.request.id)

    async def _tell_waiting(self, request: Request) -> None:
        """Those who wait for the place look again."""

        async def waiting() -> Any:
            views = await self._house.engine.list(name="request", prefix=f"{request.environment}.", active=True)
            return [view.id for view in views if view.id != request.id]

        for other in await self._house.engine.step("who waits", waiting):
            await self._house.engine.send(other, FreeMessage().model_dump(mode="json"))

    async def _tell_vigils(self, run: RunInput, outcome: Outcome) -> None:
        """What this run did to the environment may answer an earlier failure there."""
        if not run.plan.changes or outcome.code is ReasonCode.OVERTAKEN:
            return

        async def watching() -> Any:
            views = await self._house.engine.list(name="vigil", prefix=f"{run.request.environment}.", active=True)
            return [view.id for view in views if view.id != vigil_id(run.request.id)]

        text = f"{outcome.title}, asked for by {run.request.requester.name} (run {short_id(run.request.id)})."
        for vigil in await self._house.engine.step("who watches", watching):
            await self._house.engine.send(vigil, Answered(text=text).model_dump(mode="json"))


def _goes_on(run: RunInput, lines: tuple[StepLine, ...]) -> list[str]:
    """What a stop does not take back: Kubernetes finishes what was set."""
    cut = [line.title.lower() for line in lines if line.status in (StepStatus.RUNNING, StepStatus.FAILED)]
    begun = [change for change in run.plan.changes if any(change.service in title for title in cut)]
    return [
        f"Kubernetes goes on with {change.service} {change.after.tag or change.after.short} by itself; `rollback` takes it back."
        for change in begun
    ]


def _untouched(run: RunInput, lines: tuple[StepLine, ...]) -> list[str]:
    """The services that the run did not get to."""
    begun = {line.title for line in lines if line.status is not StepStatus.PENDING}
    if run.plan.together and begun:
        return []  # one step for all of them
    return [
        change.service for change in run.plan.changes if not any(change.service in title.lower() for title in begun)
    ]


def _not_touched(services: list[str]) -> list[str]:
    if not services:
        return []
    return [f"{listed(services).capitalize()} {'was' if len(services) == 1 else 'were'} not touched."]
