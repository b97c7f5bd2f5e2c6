"""How far a run is: a bar and an estimate, by what each step took in earlier runs."""

from typing import Literal

import pytest

from bot.runs.estimate import progress, with_usual
from commands.kit.card import StepLine, StepStatus
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Step, StepContext

P, R, D, F = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.DONE, StepStatus.FAILED


class Waits(Step):
    kind: Literal["test-waits"] = "test-waits"
    name: str

    @property
    def target(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return self.name

    async def apply(self, context: StepContext) -> None:
        """Nothing to do here."""


PLAN = Plan(title="Deploy", steps=(Waits(name="a"), Waits(name="b", beside=True), Waits(name="c"), Waits(name="new")))
USUAL = {"test-waits:a": 60.0, "test-waits:b": 20.0, "test-waits:c": 40.0, "test-waits:gone": 500.0}


def _lines(*statuses: StepStatus) -> dict[str, StepLine]:
    return {
        step.key: StepLine(key=step.key, title=step.title, status=status)
        for step, status in zip(PLAN.steps, statuses, strict=True)
    }


def test_a_plan_gets_the_times_of_its_own_steps_and_those_side_by_side_count_once() -> None:
    plan = with_usual(PLAN, USUAL)
    assert set(plan.usual) == {"test-waits:a", "test-waits:b", "test-waits:c"}
    assert plan.usual_seconds == 100.0
    assert plan.digest({}) == PLAN.digest({})
    assert with_usual(PLAN.model_copy(update={"usual_seconds": 7.0}), {}).usual_seconds == 7.0


@pytest.mark.parametrize(
    ("statuses", "running", "said"),
    [
        ((P, P, P, P), {}, "▱▱▱▱▱▱▱▱▱▱ 0 % · about 1 min 40 s left"),
        ((R, D, P, P), {"a": 30.0}, "▰▰▰▱▱▱▱▱▱▱ 30 % · about 1 min 10 s left"),
        ((R, D, P, P), {"a": 90.0}, "▰▰▰▰▰▰▱▱▱▱ 60 % · about 40 s left"),
        ((R, D, P, P), {"a": 300.0}, "▰▰▰▰▰▰▱▱▱▱ 60 % · this step usually takes less time"),
        ((D, D, D, R), {"new": 300.0}, "▰▰▰▰▰▰▰▰▰▱ 95 % · about 5 s left"),
    ],
)
def test_the_bar_goes_by_the_usual_time_of_what_is_done(
    statuses: tuple[StepStatus, ...], running: dict[str, float], said: str
) -> None:
    since = {f"test-waits:{name}": seconds for name, seconds in running.items()}
    assert progress(with_usual(PLAN, USUAL), _lines(*statuses), since) == said


def test_without_earlier_runs_there_is_no_bar() -> None:
    assert progress(PLAN, _lines(R, P, P, P), {"test-waits:a": 3.0}) == ""
