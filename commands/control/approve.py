"""`approve RUN`: the typed twin of the card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Approve(RunDecision):
    """Approve what somebody else asked for.

    What is approved is the plan that the card shows, by its digest; who may is the policy's affair and is checked when decided.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])

    reason: Words | None = option("a remark for the audit log")
