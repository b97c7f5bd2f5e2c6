"""`approve RUN`: the typed form of the card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Approve(RunDecision):
    """Approve somebody else's request.

    The approval covers the plan on the card, by its digest. The policy says who may approve.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])

    reason: Words | None = option("a remark for the audit log")
