"""`no-go RUN`: a deploy that waits for its time does not start; the typed twin of its card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2", '7KQ2 --reason "the night shift is short of people"'])
class NoGo:
    """Say no go to a deploy that waits for its time: it ends, and nothing was changed."""

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("why")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "no-go", context.actor, reason=self.reason, word=self.word)
