"""`deny RUN --reason …`: the typed twin of the card's button."""

from commands.kit.card import Card
from commands.kit.context import Context
from commands.kit.parsing import UsageError
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words


@decision(permission=None, examples=['7KQ2 --reason "clinic go-live until 18:00"'])
class Deny:
    """Deny a request, with a reason; one denial ends it."""

    run: RunId = argument("the run's id, as its card shows it")
    reason: Words | None = option("why not; the requester reads it", asked=True)
    word: Words | None = option("the card's word", hidden=True)

    async def decide(self, context: Context) -> Card:
        if not self.reason:
            raise UsageError(
                "A denial needs a reason.",
                usage="deny RUN --reason TEXT",
                form=("deny", {"run": self.run} | ({"word": self.word} if self.word else {})),
            )
        return await context.runs.decide(self.run, "deny", context.actor, reason=self.reason, word=self.word)
