"""`retry RUN`: the same request once more, after a run that failed or was stopped; the typed twin of the failed card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, argument
from commands.kit.types import RunId


class Retry(RunDecision):
    """Try a failed or stopped run again: a new run of the same request.

    It makes its plan again, changes nothing that is already as it should be, and asks for an approval only where the plan leads
    elsewhere than what was approved, or where that approval has run out.
    """

    meta = RunDecisionMeta(permission=None, group="act", examples=["7KQ2"], on_card=False)

    run: RunId = argument("the run that failed or was stopped")
