"""`continue RUN`: a run that was held goes on; the typed form of the progress card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Continue(RunDecision):
    """Resume a held run with its next step."""

    meta = RunDecisionMeta(permission=None, name="continue", examples=["7KQ2"])

    reason: Words | None = option("a remark for the audit log")
