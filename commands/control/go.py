"""`go RUN`: a deploy whose time has come starts; the typed form of its card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Go(RunDecision):
    """Say go to a deploy with `--at`; without a go it does not start.

    The requester and people with `rollout:go` may, from 10 minutes before its time unless the configuration says
    otherwise. Until it starts, `no-go` revokes it.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"])

    reason: Words | None = option("a remark for the audit log")
