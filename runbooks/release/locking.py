"""The lock that a rollback leaves, so that nothing is deployed over it before somebody has found out why it was needed."""

from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.fleet.fleet import Fleet, Freeze, utc_now
from runbooks.kit.errors import RunbookError
from runbooks.kit.steps import BestEffort, Brief, Step, StepContext
from runbooks.wording import short_id


class Locked(BestEffort):
    """The lock that stands now, or why there is none."""

    name: str = ""
    """Who locked it."""
    reason: str = ""


class LockEnvironment(Step):
    """The environment is locked once its pods are back, until somebody unlocks it. Going back does not fail by it."""

    kind: Literal["lock"] = "lock"
    left: str
    """The version that was left, for people."""
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Lock the environment"

    def changes(self) -> dict[str, JsonValue]:
        return {"locks": True}  # the version that is left may be another one by then

    def in_short(self) -> tuple[Brief, ...]:
        return ()

    async def apply(self, context: StepContext) -> Locked:
        reason = f"rolled back from {self.left} (run {short_id(context.run)})"
        lock = Freeze(person="", name=context.asked_by, reason=reason, since=utc_now(), run=context.run)
        try:
            stands = await context.use(Fleet).freeze_after(context.environment, lock)
        except RunbookError as error:
            where = context.environment.name
            return Locked(problem=f"{where} could not be locked: {error.message} `lock --env {where}` locks it.")
        return Locked(name=stands.name, reason=stands.reason)
