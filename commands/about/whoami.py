"""`whoami`: what may I do, and why."""

from collections.abc import Sequence

from commands.kit.card import Card, Code, Note, Paragraph, Strong, Table, Text, words
from commands.kit.command import Query
from commands.kit.context import Context, Grant
from commands.kit.spec import QueryMeta
from runbooks.wording import listed


class Whoami(Query):
    """Show who you are to the bot, what you may do, and through which role."""

    meta = QueryMeta(permission=None, examples=[""], private=True)

    async def answer(self, context: Context) -> Card:
        actor = context.actor
        grants = await context.authority.grants(actor)
        text = f"You are {actor.name}"
        rows = _rows(grants)
        table = (Table(columns=("Where", "Role", "Through", "Permissions"), rows=rows),) if rows else ()
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


def _rows(grants: Sequence[Grant]) -> tuple[tuple[Text, ...], ...]:
    """Return a row for each role; environments in which it grants the same share one."""
    granted: dict[tuple[str, str, str], list[str]] = {}
    for grant in grants:
        granted.setdefault((grant.environment, grant.role, grant.through), []).append(grant.permission)
    alike: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (environment, role, through), permissions in granted.items():
        alike.setdefault((role, through, tuple(permissions)), []).append(environment)
    return tuple(
        (
            words(listed(environments)),
            words(role),
            words(through),
            words(*[part for each in permissions for part in (" ", Code(text=each))][1:]),
        )
        for (role, through, permissions), environments in alike.items()
    )
