"""`hold RUN`: a run waits before its next service until somebody lets it go on; the typed twin of the progress card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=["7KQ2", '7KQ2 --reason "looking at the error rate first"'])
class Hold:
    """Let a run wait before its next service: what is rolling out now is watched to its end.

    It keeps the environment's place meanwhile. `continue` lets it go on, `cancel` ends it, and a `rollback` passes it. One that nobody lets
    go on for four hours (`times.hold_longest`) ends where it is, undecided.
    """

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("why")
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(self.run, "hold", context.actor, reason=self.reason, word=self.word)
