"""`sheet`: one page to print for the bad night on which neither Slack nor the bot answer."""

from commands.kit.card import Attachment, Button, Card, Note, Strong, Typed, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.deployments.places import for_rollback
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan, versions
from runbooks.release.plans import plan_rollback
from runbooks.release.sheet import Running, Sheet
from runbooks.release.steps import images_of
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
        reached = await for_rollback(context.places, ())
        states = [state for each in reached.states for state in each]
        plan, why_not = await _way_back(context)
        back = images_of(plan) if plan is not None else ()
        sheet = Sheet(
            environment=where,
            at=context.now,
            running=tuple(Running(service=each.named, image=each.image, pods=each.ready) for each in states),
            back=back,
            back_lines=tuple(line for step in plan.steps for line in step.by_hand()) if plan is not None else (),
            why_not=why_not,
            contacts=where.contacts,
        )
        runs = listed(dict.fromkeys((each.image.tag or "untagged") if each.image else "unknown" for each in states))
        to = versions(change.after for change in back) if back else ""
        summary = f"{where.name} runs {runs}; " + (f"a rollback goes to {to}" if to else "nothing to go back to")
        return Card(
            title=words(Strong(text=f"Sheet for a bad night: {where.name}")),
            summary=summary,
            body=(
                Note(text=words(summary)),
                Attachment(
                    filename=f"sheet-{where.name}.txt", content=sheet.text, summary="The page, to print or to keep:"
                ),
            ),
            buttons=(Button(label="Status", does=Typed(text=f"status --env {where.name}")),),
            data={"environment": where.name, "to": to, "text": sheet.text},
        )


async def _way_back(context: Context) -> tuple[Plan | None, str]:
    """The rollback's plan, or why there is none: the page is worth printing all the same."""
    try:
        return await plan_rollback(
            context.cluster, context.registry, context.fleet, context.where, places=context.places
        ), ""
    except RunbookError as error:
        return None, f"There is no rollback: {error.message}"
