"""`cancel RUN`: stops a run where it is; the typed twin of the progress card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2"])
class Cancel:
    """Stop a run where it is; what was rolled out stays until somebody rolls back."""

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("why")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "cancel", context.actor, reason=self.reason, word=self.word)
