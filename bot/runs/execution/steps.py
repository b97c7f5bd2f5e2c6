"""Durable steps: how the steps of a plan are done, undone and held in the bot.

A step is one recorded unit: its intent is written to the audit log, it is done, its outcome is written. Its result is JSON of a
declared type and failures are values in it, so that a replay after a crash sees exactly what the first pass saw.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import JsonValue

from bot.audit import EventName
from bot.config.sections import TimeSettings
from bot.process import crash_points
from bot.runs import outage_notice
from bot.runs.cards import head_card, progress_card
from bot.runs.display import Display
from bot.runs.engine import Broke, Engine
from bot.runs.estimate import progress
from bot.runs.model import HoldAsked, RunInput
from bot.runs.notes import AuditNotes
from commands.kit.card import Card, Preformatted, State, StepLine, StepStatus
from commands.kit.context import Context
from runbooks.clients.kubernetes.connection import ClusterOutage
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import Pauses, hearing, retried
from runbooks.kit.steps import UNDO, Pulse, Results, Step, StepName, Stop, Stopped, applied
from runbooks.kit.waiting import beside, end
from runbooks.wording import duration

TRIES = 6
"""A step that fails with a TemporaryError is done again so often, and one whose cluster does not answer for `times.cluster_patience`."""
_LONGEST_PAUSE = 15.0
_LONG = 300.0
"""Seconds: a try that went well for so long begins to count anew."""
PROGRESS = "progress"
HEAD = "head"
_TICK = 5.0
"""Seconds."""

_log = logging.getLogger(__name__)
HOLD = "hold"
"""The event in which a request says who holds its run; empty where nobody does."""
_LOOK_AGAIN = 0.5
"""Seconds between two looks whether a held run may go on: the engine's events can't be waited for twice."""


class _StepPulse:
    """A running step's voice and ears."""

    def __init__(self, steps: "DurableSteps", step: StepName) -> None:
        self._steps = steps
        self._step = step
        self.said = ""

    @property
    def run(self) -> str:
        return self._steps.run_id

    def say(self, detail: str) -> None:
        self.said = self._steps.redact(detail)
        self._steps.show(self._step, StepStatus.RUNNING, self.said)

    async def stop(self) -> Stop:
        return await self._steps.stop()


class DurableSteps:
    """The steps of one run."""

    def __init__(
        self,
        run: RunInput,
        context: Context,
        *,
        engine: Engine,
        display: Display,
        notes: AuditNotes,
        times: TimeSettings,
        clock: Callable[[], datetime],
        redact: Callable[[str], str],
        budget: int | None = None,
        unanswered: Callable[[str], ClusterOutage],
    ) -> None:
        """`budget`: minutes for the whole run. `unanswered`: what the cluster of a region does instead of answering."""
        self._engine = engine
        self._display = display
        self._notes = notes
        self._times = times
        self._clock = clock
        self._run = run
        self._context = context
        self._hold_points = run.plan.hold_points
        self._waits_before: StepName | None = None
        self._unanswered = unanswered
        self._budget = budget
        self._notice = ""
        self._heard = False
        self._audit_log_failed = False
        self._by_hand: tuple[str, ...] = ()
        self._lines: dict[str, StepLine] = {step.key: _line(step.label, StepStatus.PENDING) for step in run.plan.steps}
        self._regions = {step.key: step.region for step in run.plan.steps}
        self._hidden = {step.key for step in run.plan.steps if step.hidden}
        """In the audit log only."""
        self.results = Results()
        self._since: dict[str, float] = {}
        """When each step began, by its key."""
        self.redact = redact
        self.current: StepName | None = None
        self.started = clock()
        self.late: tuple[Step, ...] = ()
        """What is left to the end of the run, which goes on trying it."""

    @property
    def run_id(self) -> str:
        return self._run.request.id

    @property
    def lines(self) -> tuple[StepLine, ...]:
        """The steps as they stand, without hidden ones."""
        return tuple(line for key, line in self._lines.items() if key not in self._hidden)

    def standing(self, *statuses: StepStatus) -> tuple[Step, ...]:
        """Return the plan's steps that stand so, hidden ones too."""
        return tuple(step for step in self._run.plan.steps if self._lines[step.key].status in statuses)

    @property
    def begun(self) -> tuple[Step, ...]:
        """The steps that have begun, however they ended."""
        return self.standing(*set(StepStatus) - {StepStatus.PENDING})

    @property
    def left(self) -> tuple[Step, ...]:
        """The steps that the run has not done."""
        return self.standing(*set(StepStatus) - {StepStatus.DONE})

    async def stop(self) -> Stop:
        """Return when the request's workflow says that the run is to stop."""
        while True:
            found = await self._engine.event(self.run_id, "stop", timeout=600.0)
            if found is not None:
                return Stop.model_validate(found)

    def show(self, step: StepName, status: StepStatus, detail: str, seconds: float | None = None) -> None:
        """Show a step's progress: the newest wins, any may be dropped."""
        self._lines[step.key] = _line(step, status, detail, seconds)
        self._since.setdefault(step.key, time.monotonic())
        if step.key not in self._hidden:
            self.redraw()

    def notice(self, sentence: str) -> None:
        """Show what the step waits for on its line; empty once it continues."""
        self._notice = sentence
        self.redraw()

    def card(self) -> Card:
        """Return the progress message as it stands."""
        lines = outage_notice.noticed(self.lines, self._notice)
        ahead = tuple(point for point in self._hold_points if self._lines[point.key].status is StepStatus.PENDING)
        shown = any(line.status is StepStatus.RUNNING for line in lines)
        card = progress_card(
            self._run.request,
            lines,
            elapsed=(self._clock() - self.started).total_seconds(),
            word=self._run.word,
            hold=self._display.holds.get(self.run_id),
            hold_before=ahead[0].title if ahead else None,
            held=self._waits_before is not None,
            notice="" if shown else self._notice,
        )
        if not self._by_hand:
            return card
        by_hand = Preformatted(label="By hand", text="\n".join(self._by_hand), to_paste=True)
        return card.model_copy(update={"body": (*card.body, by_hand)})

    def _audit_log_is_gone(self) -> str:
        return f"{self._notes.trouble}, so no further step starts."

    def _go_on_by_hand(self) -> None:
        """Give people the lines that do the rest by hand: without the audit log nothing further starts here."""
        _log.error("the audit log can't be written, so run %s goes no further", self.run_id)
        self._by_hand = by_hand(self.left)  # none where only looking and recording is left
        self._notice = self._audit_log_is_gone()
        self.redraw()

    def redraw(self) -> None:
        """Draw the progress in Slack and in terminals."""
        self._display.steps[self.run_id] = outage_notice.noticed(self.lines, self._notice)
        self._display.draw(self.run_id, PROGRESS, self.card())
        self._draw_head()

    def _draw_head(self) -> None:
        """Draw the head message with the time or the progress, unless people have asked the run to stop or to wait."""
        if self.run_id in self._display.stopping or self.run_id in self._display.holds:
            return
        what, plan = "running", self._run.plan
        if self._budget is not None:
            spent = duration((self._clock() - self.started).total_seconds())
            what, bar = f"rolling back · {spent} of the {self._budget} min budget", ""
        elif not (bar := self._progress()):
            return
        notice = self._display.interrupted.get(self.run_id)
        head = head_card(self._run.request, State.RUNNING, what, plan=plan, detail=notice, progress=bar)
        self._display.draw(self.run_id, HEAD, head)

    def _progress(self) -> str:
        now = time.monotonic()
        return progress(self._run.plan, self._lines, {key: now - since for key, since in self._since.items()})

    @asynccontextmanager
    async def _stopwatch(self) -> AsyncIterator[None]:
        """Keep the elapsed time of a rollback, and the progress, moving on the messages while the body runs."""

        async def tick() -> None:
            while self._budget is not None or self._run.plan.usual:
                await asyncio.sleep(_TICK)
                self.redraw()

        async with beside(tick(), "keeping the elapsed time on a run's messages"):
            yield

    async def all(self) -> Results:
        """Do every step of the plan, group by group, and return the results. Raises what the first failed step of a group raised, once the whole group has ended."""
        points = {point.key for point in self._hold_points}
        for group in self._run.plan.groups:
            if all(step.later for step in group):
                self.late += group
                continue
            if first := next((step for step in group if step.key in points), None):
                await self.hold_point(first.label)
            await self._group(group)
        return self.results

    async def _group(self, group: tuple[Step, ...]) -> None:
        self.current = group[0].label
        # every step of the group ends and is published, also beside one that ends by a bug: a retry has to know what is done
        ended = await asyncio.gather(*(self._apply(step) for step in group), return_exceptions=True)
        await self._publish()
        for step, result in zip(group, ended, strict=True):
            if not isinstance(result, BaseException) and "value" in result:
                self.results.keep(step, result["value"])
        for step, result in zip(group, ended, strict=True):
            if isinstance(result, BaseException):
                self.current = step.label
                raise result
            if "value" not in result:
                self.current = step.label
                self._raise(step, result)
        self.current = None

    def _raise(self, step: Step, result: dict[str, Any]) -> None:
        if "stopped" in result:
            self._heard = True
            raise Stopped(Stop.model_validate(result["stopped"]))
        error = _error(result["error"])
        if step.finishes and error.code is not ReasonCode.BOOK_UNAVAILABLE:
            self.late = (step,)
        raise error

    async def _apply(self, step: Step) -> dict[str, Any]:
        return await self._durably(step.label, lambda pulse: applied(step, self._context.step(pulse, self.results)))

    async def undo(self) -> tuple[list[str], list[str]]:
        """Undo what was begun and can be undone, the latest first. Return the titles of what was undone, and of what was not."""
        undone: list[str] = []
        kept: list[str] = []
        for step in reversed(self.begun):
            if not step.changes():
                continue
            if not step.reversible:
                kept.append(step.title)
                continue
            self._heard = True  # nobody stops what tidies up
            name = StepName(key=f"{UNDO}{step.key}", title=f"Undo: {step.title}", targets=step.label.targets)
            try:
                result = await self._durably(name, partial(self._reverted, step))
            except Broke:
                _log.exception("a step could not be undone", extra={"run": self.run_id})
                result = {}
            (undone if "value" in result else kept).append(step.title)
        self.late = ()  # what would be recorded late was taken back
        await self._publish()
        return undone, kept

    async def _reverted(self, step: Step, pulse: Pulse) -> None:
        await step.revert(self._context.step(pulse, self.results).within(step.region))

    async def _publish(self) -> None:
        await self._engine.publish("steps", [line.model_dump(mode="json") for line in self.lines])

    async def _durably(self, step: StepName, act: Callable[[Pulse], Awaitable[JsonValue]]) -> dict[str, Any]:
        """Return the step's recorded result: its value, an error, or who stopped it."""
        pulse = _StepPulse(self, step)

        async def once() -> Any:
            return {"value": await act(pulse), "said": pulse.said}

        result: dict[str, Any] = await self._engine.step(step.title, lambda: self._recorded(step, pulse, once))
        crash_points.reached(f"{slug_of(step.key)}-recorded")
        # what was told is kept to, even where there is room again: somebody may go on by hand already
        self._audit_log_failed = self._audit_log_failed or bool(result.get("unwritten"))
        status = StepStatus.DONE if "value" in result else StepStatus.FAILED
        self.show(step, status, result.get("said", ""), result.get("seconds"))
        return result

    async def hold_point(self, before: StepName) -> None:
        """Wait as long as somebody holds the run; a recorded step, so that a replay does not ask again."""
        self.current = before
        result = await self._engine.step(f"hold before {before.title}", lambda: self._held(before))
        self._waits_before = None
        if "stopped" in result:
            raise Stopped(Stop.model_validate(result["stopped"]))

    async def _held(self, before: StepName) -> Any:
        began = time.monotonic()
        stopping = asyncio.ensure_future(self.stop())
        try:
            while held := await self._engine.event(self.run_id, HOLD):
                if self._too_long(hold := HoldAsked.model_validate(held)):
                    return {"stopped": _hold_ended(hold, self._times.hold_longest)}
                if self._waits_before is None:
                    self._waits_before = before
                    self.redraw()
                    crash_points.reached("held")
                done, _ = await asyncio.wait((stopping,), timeout=_LOOK_AGAIN)
                if done:
                    return {"stopped": stopping.result().model_dump(mode="json")}
        finally:
            await end(stopping)
        return {"seconds": round(time.monotonic() - began, 3)}

    def _too_long(self, hold: HoldAsked) -> bool:
        return (self._clock() - hold.at).total_seconds() > self._times.hold_longest

    async def _recorded(self, step: StepName, pulse: Pulse, once: Callable[[], Awaitable[Any]]) -> Any:
        """Write the intent, act, write the outcome; return the result."""
        request, slug = self._run.request, slug_of(step.key)
        region = self._regions.get(step.key.removeprefix(UNDO), "")
        told = {"step": step.title, "key": step.key}
        noted = not self._audit_log_failed and await self._notes.write(
            request, EventName.STEP_STARTED, about=slug, details=told
        )
        if not noted:
            self._go_on_by_hand()
            return {"error": _no_further_step(self._audit_log_is_gone())}
        self.show(step, StepStatus.RUNNING, "")
        began = time.monotonic()
        async with (
            outage_notice.told(partial(self._unanswered, region), self._times.silence_told, self.notice),
            self._stopwatch(),
        ):
            result = await self._tried(pulse, once)
        self._notice = ""
        result["seconds"] = round(time.monotonic() - began, 3)
        code, message = _why(result)
        noted = await self._notes.write(
            request,
            EventName.STEP_FAILED if code else EventName.STEP_FINISHED,
            about=slug,
            reason_code=code,
            details={**told, "seconds": result["seconds"], **({"message": message} if message else {})},
            later=True,
        )
        if not noted:
            # People are told at once, and not by way of the engine: its database may be on the same disk.
            result["unwritten"] = True
            self.show(step, StepStatus.FAILED if code else StepStatus.DONE, result.get("said", ""), result["seconds"])
            self._go_on_by_hand()
        crash_points.reached(f"{slug}-done")
        return result

    async def _tried(self, pulse: Pulse, once: Callable[[], Awaitable[Any]]) -> Any:
        """Try again while that may help; a request to stop counts between two tries too."""
        try:
            return await retried(
                once,
                enough=self._enough,
                pauses=Pauses(longest=_LONGEST_PAUSE),
                # what tidies up after a stop is not stopped by it
                pause=lambda seconds: asyncio.sleep(seconds) if self._heard else hearing(pulse)(seconds),
                long=_LONG,
            )
        except Stopped as stopped:
            return {"stopped": stopped.stop.model_dump(mode="json")}
        except RunbookError as error:
            return {"error": _described(error, self.redact)}

    def _enough(self, error: RunbookError, tries: int, seconds: float) -> bool:
        if error.code is ReasonCode.CLUSTER_UNREACHABLE:
            return seconds > self._times.cluster_patience
        return tries >= TRIES


def _line(step: StepName, status: StepStatus, detail: str = "", seconds: float | None = None) -> StepLine:
    return StepLine(key=step.key, targets=step.targets, title=step.title, status=status, detail=detail, seconds=seconds)


def by_hand(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return the lines by which a person does these steps."""
    return tuple(line for step in steps for line in step.by_hand())


def slug_of(key: str) -> str:
    """Return a step's name as it stands in the ids of its events: `rollout-backend`."""
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")


def _hold_ended(hold: HoldAsked, longest: float) -> dict[str, Any]:
    """Return the stop of a run that was held too long: nobody watches it any more."""
    by = f"the bot, since {hold.by} had held it for {duration(longest)}"
    return Stop(kind="cancelled", by=by, reason=hold.reason).model_dump(mode="json")


def _why(result: dict[str, Any]) -> tuple[ReasonCode | None, str]:
    """Return why a step did not do all of it; nothing where it did."""
    if failed := result.get("error"):
        return ReasonCode(failed["code"]), failed["message"]
    if stopped := result.get("stopped"):
        code = ReasonCode.OVERTAKEN if stopped["kind"] == "overtaken" else ReasonCode.CANCELLED
        return code, f"{stopped['kind']} by {stopped['by']}"
    return None, ""


def _described(error: RunbookError, redact: Callable[[str], str]) -> dict[str, Any]:
    """Return an error as a value; redacted, since it is kept with the run."""
    return {
        "code": error.code,
        "message": redact(error.message),
        "evidence": [redact(line) for line in error.evidence],
        "advice": [redact(line) for line in error.advice],
        "diagnosis": error.diagnosis.redacted(redact).model_dump(mode="json"),
    }


def _error(described: dict[str, Any]) -> PermanentError:
    return PermanentError(
        described["message"],
        code=ReasonCode(described["code"]),
        evidence=tuple(described["evidence"]),
        advice=tuple(described["advice"]),
        diagnosis=Diagnosis.model_validate(described.get("diagnosis", {})),
    )


def _no_further_step(why: str) -> dict[str, Any]:
    return {
        "code": ReasonCode.BOOK_UNAVAILABLE,
        "message": why,
        "evidence": [],
        "advice": [
            "Free space on the bot's disk, then run `omnicare doctor`.",
            "What is left to change is below, as lines to run by hand.",
        ],
    }
