"""`resolve RUN --reason …`: a failed run is left as it is; the environment is no longer undecided."""

from commands.kit.card import Card, Code, Paragraph, words
from commands.kit.context import Context, Denied
from commands.kit.orphaned_run import as_it_is
from commands.kit.parsing import UsageError
from commands.kit.spec import argument, decision, option
from commands.kit.types import RunId, Words
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import short_run


@decision(permission="fleet:read", examples=['7KQ2 --reason "fixed forward by hand"'])
class Resolve:
    """Leave a failed run as it is, with a reason: the environment is no longer undecided.

    A run that the bot knows no more, because its files were lost in the middle of it, gives back the place that it holds; its
    full id stands on what waits for it.
    """

    tells = "run:resolved"

    run: RunId = argument("the failed run")
    reason: Words | None = option("why it may stay as it is", asked=True)

    async def decide(self, context: Context) -> Card:
        if not self.reason:
            raise UsageError(
                "Say why it may stay as it is.", usage="resolve RUN --reason TEXT", form=("resolve", {"run": self.run})
            )
        try:
            record = await context.runs.find(self.run)
        except Denied as unknown:
            return await self._forget(context, self.reason, unknown)
        if not await context.authority.may(context.actor, "rollout:write", record.environment):
            raise Denied(
                f"You may not decide this in {record.environment} (permission rollout:write).",
                code=ReasonCode.NOT_PERMITTED,
            )
        environment = context.environments[record.environment]
        seen = await context.fleet.read(environment)
        undecided = (await as_it_is(context, seen)).undecided
        if undecided is None or undecided.run != record.id:
            raise Denied(f"Run {record.short} is not undecided.", code=ReasonCode.NOT_WAITING)
        if not await context.fleet.end(environment, record.id, decided=True):  # its end may not be written there yet
            await context.fleet.decide(environment)
        await context.runs.answered(record.id, f"{context.actor.name} left it as it is: {self.reason}")
        text = f"{record.title} stays as it is: {self.reason}"
        return Card(
            title=words(text, " · run ", Code(text=record.short)),
            summary=text,
            data={"run": record.id, "reason": self.reason},
        )

    async def _forget(self, context: Context, reason: str, unknown: Denied) -> Card:
        """A run that only the fleet remembers: the bot's files were lost in the middle of it. What it held is given back."""
        where = context.environment
        if unknown.code is not ReasonCode.UNKNOWN_RUN or where is None:
            raise unknown
        if not await context.authority.may(context.actor, "rollout:write", where.name):
            raise unknown
        seen = await context.fleet.read(where)
        if seen.run is not None and seen.run.run == self.run:
            await context.fleet.leave(where, self.run)
            title, held = seen.run.title, "The place is free again."
        elif seen.undecided is not None and seen.undecided.run == self.run:
            await context.fleet.decide(where)
            title, held = seen.undecided.title, "The environment is no longer undecided."
        else:
            raise unknown
        text = f"{title} stays as it is: {reason}"
        return Card(
            title=words(text, " · run ", Code(text=short_run(self.run))),
            summary=f"{text} {held}",
            body=(Paragraph(text=words(held)),),
            data={"run": self.run, "reason": reason},
        )
