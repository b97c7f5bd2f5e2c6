"""`approve RUN`: the typed twin of the card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2"])
class Approve:
    """Approve what somebody else asked for.

    What is approved is the plan that the card shows, by its digest; who may is the policy's affair and is checked when decided.
    """

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("a remark for the audit trail")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "approve", context.actor, reason=self.reason, word=self.word)
