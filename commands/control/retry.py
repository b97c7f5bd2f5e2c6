"""`retry RUN`: the same request once more, after a run that failed or was stopped; the typed form of the failed card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, argument
from commands.kit.types import RunId


class Retry(RunDecision):
    """Retry a failed or stopped run, as a new run of the same request.

    The plan is made again and changes only what is left to do. It needs an approval only if the plan leads to a different
    result from the approved one, or if the approval has expired.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2"], on_card=False)

    run: RunId = argument("the run that failed or was stopped")
