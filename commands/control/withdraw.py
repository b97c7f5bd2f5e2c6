"""`withdraw RUN`: the typed twin of the card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2"])
class Withdraw:
    """Take back what you asked for, as long as it waits."""

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("why")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "withdraw", context.actor, reason=self.reason, word=self.word)
