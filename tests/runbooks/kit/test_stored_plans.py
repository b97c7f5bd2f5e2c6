"""Plans as they are stored: read back into the classes of their steps, also those of the version before, which had none."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import JsonValue

from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.steps import PlainPulse, Step, StepContext, UnknownStep
from runbooks.kit.targets import Environment
from runbooks.release.steps import Record, RollBack, Take
from runbooks.sync import plans as sync_plans

BEFORE: dict[str, Any] = json.loads((Path(__file__).parent / "plans_before_steps.json").read_text(encoding="utf-8"))
REQUEST: dict[str, object] = {"command": "x", "arguments": {}, "environment": "production"}
STEPS = {
    "deploy": ["take", "rollout:backend", "rollout:frontend", "check", "record"],
    "confirm": ["take", "check", "record"],
    "rollback": ["take", "rollback", "check", "record"],
    "restart": ["take", "restart:backend", "check"],
    "retry": ["sync-retry", "sync-watch"],
    "clear": ["sync-export", "sync-read-back", "sync-clear"],
    "nothing": [],
}


class Painted(Step):
    """A kind that only this test knows."""

    kind: Literal["test-painted"] = "test-painted"
    colour: str
    wall: str = ""

    @property
    def target(self) -> str:
        return self.wall

    @property
    def title(self) -> str:
        return "Paint"

    def changes(self) -> dict[str, JsonValue]:
        return {"colour": self.colour}

    async def apply(self, context: StepContext) -> str:  # noqa: ARG002
        return self.colour


@pytest.mark.parametrize("name", STEPS)
def test_a_plan_of_the_version_before_has_steps_and_the_digest_that_was_approved(name: str):
    read = Plan.model_validate(BEFORE[name]["plan"])
    assert [step.key for step in read.steps] == STEPS[name]
    assert read.digest(REQUEST) == BEFORE[name]["digest"], "a replay asks under the same name"
    again = Plan.model_validate_json(read.model_dump_json())
    assert again == read
    assert again.digest(REQUEST) == BEFORE[name]["digest"]
    assert read.empty == (name == "nothing")


def test_what_a_rollback_of_the_version_before_leaves_and_marks_is_kept():
    take, back, _, record = Plan.model_validate(BEFORE["rollback"]["plan"]).steps
    assert isinstance(take, Take)
    assert isinstance(back, RollBack)
    assert isinstance(record, Record)
    assert (take.leaves, back.leaves, record.left, record.unproven) == ("v2", "v2", "v2", True)
    assert [wave.how for wave in back.waves] == ["own"]


def test_a_new_plan_for_the_same_is_approved_anew_under_its_own_digest():
    """The approver of the version before saw another plan: what is planned at the start has a digest of its own, so it asks again."""
    read = Plan.model_validate(BEFORE["deploy"]["plan"])
    assert read.model_copy(update={"substance_before": None}).digest(REQUEST) != BEFORE["deploy"]["digest"]


def test_a_step_of_any_kind_is_read_back_into_its_own_class():
    plan = Plan(title="Paint", steps=(Painted(colour="red"), Painted(colour="blue", wall="north", beside=True)))
    read = Plan.model_validate_json(plan.model_dump_json())
    assert read == plan
    assert all(isinstance(step, Painted) for step in read.steps)
    assert [len(group) for group in read.groups] == [2]


async def test_a_step_of_a_kind_that_this_version_does_not_know_is_shown_and_not_done():
    raw = {"kind": "no-such-kind", "urls": ["a"]}
    read = Plan.model_validate({"title": "Warm", "steps": [raw]})
    (step,) = Plan.model_validate_json(read.model_dump_json()).steps
    assert isinstance(step, UnknownStep)
    assert step.stored == raw
    where = Environment(name="production", namespace="n", record_namespace="r", services=())
    with pytest.raises(PermanentError, match="does not know steps of the kind no-such-kind"):
        await step.apply(StepContext(pulse=PlainPulse("run"), environment=where))


def test_two_kinds_of_one_name_are_refused_when_they_are_defined():
    with pytest.raises(TypeError, match="two kinds of step are called take"):

        class Other(Step):
            kind: Literal["take"] = "take"


def test_the_lines_by_hand_of_a_sync_plan_are_exact():
    (first, *_) = Plan.model_validate(BEFORE["retry"]["plan"]).steps
    assert isinstance(first, sync_plans.RetryFailed)
    assert first.by_hand() == (), "the version before did not keep them"
