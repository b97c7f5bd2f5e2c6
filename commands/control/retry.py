"""`retry RUN`: the same request once more, after a run that failed or was stopped; the typed twin of the failed card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, group="act", examples=["7KQ2"])
class Retry:
    """Try a failed or stopped run again: a new run of the same request.

    It makes its plan again, changes nothing that is already as it should be, and asks for an approval only where the plan leads
    elsewhere than what was approved, or where that approval has run out.
    """

    run: RunId = argument("the run that failed or was stopped")
    reason: Words | None = option("why")

    async def decide(self, context: Context) -> Card:
        return await context.runs.retry(self.run, context.actor, reason=self.reason)
