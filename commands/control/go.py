"""`go RUN`: a deploy whose time has come starts; the typed twin of its card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Go(RunDecision):
    """Say go to a deploy that was asked for with `--at`: without one it does not start.

    Who asked for it may, and whoever has `rollout:go`; from 10 minutes before its time on, as long as the configuration says
    nothing else. Until it starts, `no-go` takes it back.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])

    reason: Words | None = option("a remark for the audit log")
