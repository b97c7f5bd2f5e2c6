"""`continue RUN`: a run that was held goes on; the typed twin of the progress card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, name="continue", examples=["7KQ2"])
class Continue:
    """Let a run that was held go on with its next service."""

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("a remark for the audit trail")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "continue", context.actor, reason=self.reason, word=self.word)
