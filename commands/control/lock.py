"""`lock`: nothing but going back starts in an environment until it is unlocked."""

from datetime import UTC

from commands.kit.card import Button, Card, Moment, State, Strong, Typed, words
from commands.kit.command import EnvironmentDecision
from commands.kit.context import Context
from commands.kit.parsing import UsageError
from commands.kit.spec import CHANNEL_DEFAULT, DecisionMeta, option
from commands.kit.types import EnvironmentName, Until, Words, moment
from runbooks.fleet.fleet import Freeze


class Lock(EnvironmentDecision):
    """Lock an environment: until it is unlocked, only rollbacks start there."""

    meta = DecisionMeta(
        permission="lock:write",
        examples=['--until 18:00 --reason "clinic go-live"'],
        private=False,
        audit_event="lock:taken",
    )

    until: Until | None = option("when the lock ends; without it, somebody must unlock")
    reason: Words | None = option("why, shown to everybody who is refused")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def decide(self, context: Context) -> Card:
        end = moment(self.until, now=context.now, ahead=True).astimezone(UTC) if self.until else None
        if end is not None and end <= context.now:
            raise UsageError(
                f"`{self.until}` is in the past. Name a time in the future.",
                usage="lock --until TIME",
                example="lock --until 18:00",
            )
        freeze = Freeze(
            person=context.actor.key,
            name=context.actor.name,
            reason=self.reason or "no reason given",
            since=context.now.astimezone(UTC).isoformat(timespec="seconds"),
            until=end.isoformat(timespec="seconds") if end else None,
        )
        before = await context.fleet.freeze(context.where, freeze)
        replaced = (
            f" It replaces {before.name}'s lock ({before.reason})." if before and before.holds(context.now) else ""
        )
        shown: list[str | Moment] = [" until ", Moment(at=end, form="date-time")] if end else []
        who = f"{context.actor.name} locked {context.where.name}"
        text = f"{who}: {freeze.reason}"
        return Card(
            state=State.LOCKED,
            title=words(Strong(text=who), *shown, f": {freeze.reason}"),
            summary=f"{text}.{replaced}",
            buttons=(Button(label="Unlock", does=Typed(text=f"unlock --env {context.where.name}")),),
            data={"environment": context.where.name, "freeze": freeze.model_dump(mode="json")},
        )
