"""`logs stop NAME`: ends a log that is being followed; the typed form of its button."""

from typing import Annotated

from commands.kit.card import Card, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, TextType
from runbooks.wording import cited


class LogsStop(Query):
    """Stop following a log; anybody who may read it may stop it."""

    meta = QueryMeta(permission="logs:read", examples=["k3v9q"], name="logs stop", private=True)

    follow: Annotated[str, TextType(longest=12, name="name", example="k3v9q")] = argument("as its message names it")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        stopped = context.follows.stop(self.follow.lower(), context.where.name, context.actor.name)
        text = (
            f"Stopped following {self.follow}."
            if stopped
            else f"Nothing named {cited(self.follow)} is being followed in {context.where.name}: it has ended."
        )
        return Card(title=words(text), summary=text, data={"stopped": stopped})
