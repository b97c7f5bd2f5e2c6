"""`unlock`: ends a lock, one's own or somebody else's."""

from commands.kit.card import Card, State, Strong, words
from commands.kit.command import EnvironmentDecision
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, DecisionMeta, option
from commands.kit.types import EnvironmentName, Words


class Unlock(EnvironmentDecision):
    """Unlock an environment; the answer names who locked it."""

    meta = DecisionMeta(
        permission="lock:write", examples=["", "--env staging"], private=False, audit_event="lock:released"
    )

    reason: Words | None = option("why, if the lock is somebody else's")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def decide(self, context: Context) -> Card:
        before = await context.fleet.unfreeze(context.where)
        where = context.where.name
        if before is None or not before.holds(context.now):
            text = f"{where} was not locked"
        else:
            whose = (
                "" if before.person == context.actor.key else f" {before.name}'s lock ({before.reason}) was removed."
            )
            text = f"{context.actor.name} unlocked {where}.{whose}"
        return Card(
            state=State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            data={"environment": where, "was_locked": before is not None},
        )
