"""`db pool`: whether connections to the database run out, who has them, and what the application says of its own pool."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Element,
    Fact,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import ChoiceType, EnvironmentName
from runbooks.clients.postgres.connections import ConnectionGroup, Connections
from runbooks.database import by_hand, pool
from runbooks.database.databases import Database
from runbooks.database.pool import FULL, HIGH, ApplicationPool, PoolStatus
from runbooks.kit.errors import RunbookError
from runbooks.wording import capital, counted, duration, shortened

_ROWS = 12
_FORGOTTEN = 600.0
"""Seconds idle, from which a connection is more than a pool needs to keep."""


class DbPool(Observation):
    """Show who has connections to the database against its limits, and what the application says of its own pool."""

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--on replica"], name="db pool", refreshes=True)

    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.POOL)

    async def answer(self, context: Context) -> Card:
        database, application = context.use(Database, "database"), context.find(ApplicationPool)
        place = database.place(self.on)
        found, own = await asyncio.gather(database.connections(place), _asked(application))
        where = context.where.name
        on = f" --on {place}" if len(database.settings.places()) > 1 else ""
        share = pool.tightest(found).share
        exhausted = isinstance(own, PoolStatus) and own.exhausted
        answer = pool.answer(found)
        if exhausted and share < HIGH:
            answer = f"The application's own pool is used up; on the server {answer}"
        unknown = isinstance(own, RunbookError) or (own is not None and bool(own.not_understood))
        if unknown:
            answer = f"{answer}; the application's own pool is unknown"
        answer = capital(answer)
        worth_a_look = share >= HIGH or unknown
        return Card(
            state=State.FAILED if share >= FULL or exhausted else State.WAITING if worth_a_look else State.DONE,
            title=words(Strong(text=answer), f" · {where}, {place}"),
            summary=f"{answer} ({where}, {place}).",
            body=(*_advice(found, share), *_groups(found), *_limits(found), *_own(own)),
            buttons=(Button(label="Activity", does=Typed(text=f"db activity{on} --env {where}")),),
            data=_data(found, own, where, place),
        )


async def _asked(application: ApplicationPool | None) -> PoolStatus | RunbookError | None:
    if application is None:
        return None
    try:
        return await application.status()
    except RunbookError as error:
        return error


def _advice(found: Connections, share: float) -> Iterator[Element]:
    """What the connections are there for, where they run out."""
    if share < HIGH:
        return
    sessions = sum(each.sessions for each in found.groups)
    stuck, idle = (sum(each.in_transaction for each in found.groups), sum(each.idle for each in found.groups))
    if stuck * 4 >= sessions:
        yield Paragraph(
            text=sentence(
                f"{stuck} of {counted(sessions, 'session')} have a transaction open and do nothing: the code probably waits for something "
                "else inside of a transaction. `db activity` shows which."
            )
        )
    elif idle * 2 >= sessions:
        yield Paragraph(
            text=sentence(
                f"{idle} of {counted(sessions, 'session')} are idle: the pools of all pods together are larger than needed. "
                "Make each smaller, or put a pooler in between."
            )
        )
    else:
        yield Paragraph(
            text=sentence(
                "Most of them work: `slow-queries` shows on what, and `db activity` whether they wait for each other."
            )
        )


def _groups(found: Connections) -> Iterator[Element]:
    if found.groups:
        yield Table(
            columns=("Who", "Sessions", "Active", "In transaction", "Idle"), rows=tuple(map(_row, found.groups[:_ROWS]))
        )
    if (left := sum(each.sessions for each in found.groups[_ROWS:])) > 0:
        yield Note(text=words(f"{counted(left, 'more session')} of others."))
    for each in found.groups[:_ROWS]:
        if each.idlest >= _FORGOTTEN:
            yield Note(text=words(f"A session of {_who(each)} has been idle for {duration(each.idlest)}."))
            break


def _row(each: ConnectionGroup) -> tuple[Text, ...]:
    counts = (each.sessions, each.active, each.in_transaction, each.idle)
    return (words(_who(each)), *(words(str(count)) for count in counts))


def _who(each: ConnectionGroup) -> str:
    return " · ".join(part for part in (each.role, shortened(each.application, 30)) if part) or "unknown"


def _limits(found: Connections) -> Iterator[Element]:
    facts = [
        Fact(
            label="Server",
            value=words(f"{found.server.used} of {found.server.most}, without those kept for superusers"),
        )
    ]
    facts += [Fact(label=f"Limit of {each.whose}", value=words(f"{each.used} of {each.most}")) for each in found.limits]
    yield Facts(facts=tuple(facts))


def _own(own: PoolStatus | RunbookError | None) -> Iterator[Element]:
    if own is None:
        yield Note(text=sentence("The application's own pool: not configured (`[environments.….pool]`)."))
    elif isinstance(own, RunbookError):
        yield Paragraph(text=words(Strong(text="The application's own pool: "), own.message))
        yield from (Paragraph(text=sentence(line)) for line in own.advice)
    elif own.not_understood:
        yield Paragraph(
            text=words(
                Strong(text="The application's own pool: "),
                f"not understood ({own.not_understood}). Pod {own.pod} printed:",
            )
        )
        yield Preformatted(text=own.text or "nothing")
    else:
        counts = (("in use", own.used), ("idle", own.idle), ("waiting for one", own.waiting), ("at most", own.most))
        told = ", ".join(f"{count} {what}" for what, count in counts if count is not None)
        yield Paragraph(text=words(Strong(text="The application's own pool: "), f"{told} (pod {own.pod})"))


def _data(found: Connections, own: PoolStatus | RunbookError | None, where: str, place: str) -> dict[str, object]:
    return {
        "environment": where,
        "on": place,
        "used": found.server.used,
        "max": found.server.most,
        "limits": [{"name": each.name, "used": each.used, "max": each.most} for each in found.limits],
        "groups": [
            {
                "role": each.role,
                "application": each.application,
                "sessions": each.sessions,
                "active": each.active,
                "idle_in_transaction": each.in_transaction,
                "idle": each.idle,
            }
            for each in found.groups
        ],
        "application_pool": own.model_dump(mode="json", exclude={"text"})
        if isinstance(own, PoolStatus)
        else {"message": own.message}
        if isinstance(own, RunbookError)
        else None,
    }
