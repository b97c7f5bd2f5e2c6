"""`withdraw RUN`: the typed form of the card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta


class Withdraw(RunDecision):
    """Withdraw your own request while it is waiting."""

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])
