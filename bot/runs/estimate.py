"""How far a run is and how long it still takes, by what each of its steps took in earlier runs."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from bot.runs.model import Request, run_id
from bot.runs.store import RunStore
from commands.kit.card import StepLine, StepStatus
from runbooks.kit.plan import Plan
from runbooks.wording import duration

_RUNS = 3
"""So many earlier runs count."""
_LOOKED_AT = 8
"""So many earlier requests are looked at for them."""
_CELLS = 10
_STEP = 5
"""Percent: the bar moves in steps of it, so that the message is not edited for nothing."""
_ENDED = (StepStatus.DONE, StepStatus.FAILED, StepStatus.SKIPPED)


async def usual_seconds(store: RunStore, request: Request) -> dict[str, float]:
    """Return the median time of each step, by its key, in the newest runs of the same command there that succeeded."""
    views = await store.engine.list(
        name="request", prefix=f"{request.environment}.{request.command}.", limit=_LOOKED_AT
    )
    states = await asyncio.gather(*(store.state(view.id) for view in views))
    well = [
        view.id
        for view, state in zip(views, states, strict=True)
        if state is not None and state.started is not None and state.outcome is not None and state.outcome.ok
    ]
    took: dict[str, list[float]] = defaultdict(list)
    for raw in await asyncio.gather(*(store.engine.event(run_id(each), "steps") for each in well[:_RUNS])):
        for line in (StepLine.model_validate(each) for each in raw or ()):
            if line.key and line.seconds is not None and line.status is StepStatus.DONE:
                took[line.key].append(line.seconds)
    return {key: round(median(each), 1) for key, each in took.items()}


def with_usual(plan: Plan, usual: Mapping[str, float]) -> Plan:
    """Return the plan with the usual times of its own steps, and of all of them together where they are known."""
    own = {step.key: usual[step.key] for step in plan.steps if step.key in usual}
    total = _total(plan, own)
    return plan.model_copy(update={"usual": own, "usual_seconds": total if total >= 1 else plan.usual_seconds})


def _total(plan: Plan, usual: Mapping[str, float]) -> float:
    return round(sum(max(usual.get(step.key, 0.0) for step in group) for group in plan.groups), 1)


def progress(plan: Plan, lines: Mapping[str, StepLine], running: Mapping[str, float]) -> str:
    """Return the bar with the estimate; empty where nothing is known of earlier runs. `running`: seconds since each running step began."""
    total = _total(plan, plan.usual)
    if total < 1:
        return ""
    done = 0.0
    for group in plan.groups:
        done += max(
            _spent(plan.usual.get(step.key, 0.0), lines[step.key], running.get(step.key, 0.0)) for step in group
        )
    percent = min(100 - _STEP, int(100 * done / total) // _STEP * _STEP)
    cells = _CELLS * percent // 100
    bar = f"{'▰' * cells}{'▱' * (_CELLS - cells)} {percent} %"
    late = any(
        line.status is StepStatus.RUNNING and key in plan.usual and running.get(key, 0.0) > 2 * plan.usual[key] + _STEP
        for key, line in lines.items()
    )
    if late:
        return f"{bar} · this step usually takes less time"
    return f"{bar} · about {duration(_rounded(total - done))} left"


def _spent(usual: float, line: StepLine, seconds: float) -> float:
    """Return how much of a step's usual time is over."""
    if line.status in _ENDED:
        return usual
    return min(usual, seconds) if line.status is StepStatus.RUNNING else 0.0


def _rounded(seconds: float) -> float:
    unit = 5 if seconds < 120 else 30  # noqa: PLR2004 - nobody reads the seconds of several minutes
    return max(unit, round(seconds / unit) * unit)
