"""What was approved and could not be run: whether the next plan is covered by it, else why people are asked again."""

from typing import Literal, NamedTuple

from bot.policy.approvals import ApprovalDecision
from bot.runs.request.planning import Planned
from runbooks.kit.plan import Plan

Refused = Literal["held", "changed", "late", "unfit"]

_WHY_AGAIN: dict[Refused, str] = {
    "changed": "The plan changed for a moment",
    "held": "Another run took the environment first",
    "late": "It could not start in time",
    "unfit": "An approver may no longer approve it",
}
"""For a plan that is the same as before."""


class ApprovedBefore(NamedTuple):
    """What was approved and could not be run, and why not."""

    planned: Planned
    refused: Refused
    approved: tuple[ApprovalDecision, ...]

    def covers(self, planned: Planned) -> bool:
        """Return whether the approval covers the new plan: it changed for a moment only, it is known more exactly, or a rollback leads to
        the same release.
        """
        if self.refused != "changed":
            return False
        return planned.digest == self.planned.digest or planned.plan.ends_as(self.planned.plan)

    @property
    def confirmed(self) -> Plan | None:
        """The plan by which the next one is measured; None where people are asked again anyway."""
        return self.planned.plan if self.refused == "changed" else None

    def why(self, digest: str) -> str:
        """Return why it asks again, for a plan with this digest."""
        return _WHY_AGAIN[self.refused] if digest == self.planned.digest else "The plan changed meanwhile"
