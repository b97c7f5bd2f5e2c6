"""`withdraw RUN`: the typed twin of the card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta


class Withdraw(RunDecision):
    """Take back what you asked for, as long as it waits."""

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])
