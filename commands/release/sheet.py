"""`sheet`: one page to print for the bad night on which neither Slack nor the bot answer."""

from commands.kit.card import Attachment, Button, Card, Note, Strong, Typed, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.kit.plan import versions
from runbooks.release.sheet_making import sheet_of
from runbooks.wording import listed


class ShowSheet(Query):
    """Show a page to print for a bad night: what runs, what to go back to, the exact lines, and whom to call.

    It needs neither Slack nor the bot when it is read. Print it after each release, or keep it where you can read it without a network:
    `omnicare sheet > sheet.txt`.
    """

    meta = QueryMeta(permission="fleet:read", name="sheet", examples=["", "--env staging"])

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        where = context.where
        sheet = await sheet_of(context.places, context.registry, context.fleet, where, context.now)
        images = (each.image for each in sheet.running)
        runs = listed(dict.fromkeys((image.tag or "untagged") if image else "unknown" for image in images))
        to = versions(change.after for change in sheet.back) if sheet.back else ""
        summary = f"{where.name} runs {runs}; " + (f"a rollback goes to {to}" if to else "nothing to go back to")
        return Card(
            title=words(Strong(text=f"Sheet for a bad night: {where.name}")),
            summary=summary,
            body=(
                Note(text=words(summary)),
                Attachment(
                    filename=f"sheet-{where.name}.txt", content=sheet.text, summary="The page, to print or to keep"
                ),
            ),
            buttons=(Button(label="Status", does=Typed(text=f"status --env {where.name}")),),
            data={"environment": where.name, "to": to, "text": sheet.text},
        )
