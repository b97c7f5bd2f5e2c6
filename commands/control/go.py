"""`go RUN`: a deploy whose time has come starts; the typed twin of its card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2"])
class Go:
    """Say go to a deploy that was asked for with `--at`: without one it does not start.

    Who asked for it may, and whoever has `rollout:go`; from 10 minutes before its time on, as long as the configuration says
    nothing else. Until it starts, `no-go` takes it back.
    """

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("a remark for the audit trail")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "go", context.actor, reason=self.reason, word=self.word)
