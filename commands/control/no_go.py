"""`no-go RUN`: a deploy that waits for its time does not start; the typed form of its card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta


class NoGo(RunDecision):
    """Say no-go to a deploy that is waiting for its time: it ends, and nothing is changed."""

    meta = RunDecisionMeta(permission=None, examples=["7KQ2", '7KQ2 --reason "the night shift is short-staffed"'])
