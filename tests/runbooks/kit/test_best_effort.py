"""What a step tried and could not do is told by `deploy` and `rollback`, whatever kind of step it was."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Literal, get_type_hints

import runbooks
from runbooks.kit.steps import BestEffort, PlainPulse, Step, StepContext, done
from runbooks.kit.targets import Environment, Frozen

WHERE = Environment(name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=())


class Tried(BestEffort):
    """A result of a kind that no command has heard of."""

    pages: int


class Attempt(Step):
    kind: Literal["test-best-effort"] = "test-best-effort"
    name: str
    problem: str = ""

    @property
    def target(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return f"Try {self.name}"

    async def apply(self, context: StepContext) -> Tried:  # noqa: ARG002 - it does nothing
        return Tried(pages=2, problem=self.problem, to_do=("Ask again.",) if self.problem else ())


class Count(Step):
    kind: Literal["test-plain"] = "test-plain"

    @property
    def title(self) -> str:
        return "Count"

    async def apply(self, context: StepContext) -> int:  # noqa: ARG002 - it does nothing
        return 3


async def test_what_steps_could_not_do_is_found_in_their_order_and_nothing_else():
    tries = (
        Attempt(name="first", problem="It was not done."),
        Count(),
        Attempt(name="second"),
        Attempt(name="third", problem="Nor this."),
    )
    context = StepContext(pulse=PlainPulse("r"), environment=WHERE)
    found = (await done(tries, context)).problems()
    assert [each.problem for each in found] == ["It was not done.", "Nor this."]
    assert found[0].to_do == ("Ask again.",)


def steps_under(base: type[Step]) -> Iterator[type[Step]]:
    for kind in base.__subclasses__():
        yield kind
        yield from steps_under(kind)


def test_a_result_that_may_tell_a_problem_is_one_that_commands_tell():
    for module in pkgutil.walk_packages(runbooks.__path__, "runbooks."):
        importlib.import_module(module.name)
    for step in steps_under(Step):
        result = get_type_hints(step.apply)["return"]
        if isinstance(result, type) and issubclass(result, Frozen) and "problem" in result.model_fields:
            assert issubclass(result, BestEffort), f"derive {result.__qualname__} from BestEffort, or nobody reads it"
