"""What was approved and could not be run: whether the next plan is covered by it, else why people are asked again. Used by `request`."""

from typing import NamedTuple

from bot.policy.approvals import Decision
from runbooks.kit.plan import Plan

_WHY_AGAIN = {
    "changed": "The plan changed for a moment",
    "held": "Another run took the environment first",
    "late": "It could not start in time",
    "unfit": "An approver may no longer approve it",
}
"""For a plan that is the same as before."""


class Before(NamedTuple):
    """What was approved and could not be run, and why not."""

    plan: Plan | None = None
    digest: str = ""
    result: str = ""
    approved: tuple[Decision, ...] = ()

    def covers(self, plan: Plan, digest: str) -> bool:
        """What changed for a moment is as it was approved again, or goes back to just where it was to: nobody is asked twice."""
        if self.result != "changed" or self.plan is None:
            return False
        return digest == self.digest or plan.ends_as(self.plan)

    def why(self, digest: str) -> str:
        """Why it asks again, for a plan with this digest; empty where it asks for the first time."""
        if not self.result:
            return ""
        if digest != self.digest:
            return "The plan changed meanwhile"
        return _WHY_AGAIN[self.result]
