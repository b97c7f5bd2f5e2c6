"""`resolve RUN --reason …`: a failed run is left as it is; the environment is no longer undecided."""

from commands.kit.card import Card, Code, words
from commands.kit.context import Context, Denied
from commands.kit.parsing import UsageError
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words
from runbooks.kit.reasons import ReasonCode


@decision(permission="fleet:read", examples=['7KQ2 --reason "fixed forward by hand"'])
class Resolve:
    """Leave a failed run as it is, with a reason: the environment is no longer undecided."""

    tells = "run:resolved"

    run: RunId = argument("the failed run")
    reason: Words | None = option("why it may stay as it is", asked=True)

    async def decide(self, context: Context) -> Card:
        if not self.reason:
            raise UsageError(
                "Say why it may stay as it is.", usage="resolve RUN --reason TEXT", form=("resolve", {"run": self.run})
            )
        record = await context.runs.find(self.run)
        if not await context.authority.may(context.actor, "rollout:write", record.environment):
            raise Denied(
                f"You may not decide this in {record.environment} (permission rollout:write).",
                code=ReasonCode.NOT_PERMITTED,
            )
        environment = context.environments[record.environment]
        undecided = (await context.fleet.read(environment)).undecided
        if undecided is None or undecided.run != record.id:
            raise Denied(f"Run {record.short} is not undecided.", code=ReasonCode.NOT_WAITING)
        await context.fleet.decide(environment)
        await context.runs.answered(record.id, f"{context.actor.name} left it as it is: {self.reason}")
        text = f"{record.title} stays as it is: {self.reason}"
        return Card(
            title=words(text, " · run ", Code(text=record.short)),
            summary=text,
            data={"run": record.id, "reason": self.reason},
        )
