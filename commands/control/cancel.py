"""`cancel RUN`: stops a run where it is, or stops it and goes back; the typed twin of the progress card's button."""

from typing import Annotated

from commands.kit.card import Card
from commands.kit.context import Context, Denied
from commands.kit.spec import argument, decision, option
from commands.kit.types import ChoiceType, RunId, Words
from runbooks.kit.errors import RunbookError
from runbooks.observe import pods


@decision(permission=None, examples=["7KQ2", "7KQ2 --then rollback"])
class Cancel:
    """Stop a run where it is; what was rolled out stays, or goes back at once with `--then rollback`."""

    submit = "Stop the run"

    run: RunId = argument("the run's id, as its card shows it")
    then: Annotated[str | None, ChoiceType("choice", ("stay", "rollback"))] = option(
        "stay: what was set stays, and Kubernetes finishes it; rollback: back to the last known good release"
    )
    reason: Words | None = option("why")
    word: Words | None = option("the card's word", hidden=True)

    @staticmethod
    async def about(context: Context, filled: dict[str, str]) -> str:
        """What stands on the form: the pods of each version, as they are now."""
        try:
            record = await context.runs.find(filled.get("run", ""))
            where = context.environments[record.environment]
            return f"{record.title} (run {record.short}). Now: {await pods.by_version(context.cluster, where)}."
        except (Denied, RunbookError, KeyError):
            return ""

    async def decide(self, context: Context) -> Card:
        return await context.runs.decide(
            self.run, "cancel", context.actor, reason=self.reason, word=self.word, then=self.then or "stay"
        )
