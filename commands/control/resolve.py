"""`resolve RUN --reason …`: a failed run is left as it is; the environment is no longer undecided."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, argument, option
from commands.kit.types import RunId, Words


class Resolve(RunDecision):
    """Leave a failed run as it is, with a reason; the environment is then no longer undecided.

    This also frees an environment that is held by a run whose files the bot has lost. That run's
    full id is shown on the requests that are waiting for it.
    """

    meta = RunDecisionMeta(
        permission="fleet:read",
        examples=['7KQ2 --reason "fixed forward by hand"'],
        audit_event="run:resolved",
        on_card=False,
    )

    run: RunId = argument("the failed run")
    reason: Words | None = option("why it can stay as it is", asked="Say why it can stay as it is.")
