"""`whoami`: what may I do, and why."""

from commands.kit.card import Card, Code, Note, Paragraph, Strong, Table, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import QueryMeta


class Whoami(Query):
    """Show who you are to the bot, what you may do, and through which role."""

    meta = QueryMeta(permission=None, examples=[""], private=True)

    async def answer(self, context: Context) -> Card:
        actor = context.actor
        grants = await context.authority.grants(actor)
        text = f"You are {actor.name}"
        rows = tuple(
            (words(grant.environment), words(Code(text=grant.permission)), words(grant.role), words(grant.through))
            for grant in grants
        )
        table = (Table(columns=("Environment", "Permission", "Role", "Through"), rows=rows),) if rows else ()
        nothing = (
            ()
            if rows
            else (
                Paragraph(text=words("None of your roles grants a permission. Ask the maintainers of omnicare.toml.")),
            )
        )
        shared = (
            (Note(text=words("This account is shared: it may look, but not change or approve anything.")),)
            if actor.shared
            else ()
        )
        return Card(
            title=words(Strong(text=text), f" ({actor.surface} account {actor.account})"),
            summary=text,
            body=(*table, *nothing, *shared),
            data={"person": actor.key, "account": actor.account, "grants": [grant.model_dump() for grant in grants]},
        )
