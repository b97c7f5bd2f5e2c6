"""`db locks`: which tables and rows are locked now, by whom, for how long, and who waits for them."""

from collections.abc import Iterator
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Code,
    Fact,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Typed,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import ChoiceType, EnvironmentName
from runbooks.clients.postgres.locks import HeldLock
from runbooks.database import by_hand
from runbooks.database.databases import Database
from runbooks.database.locks import LockedThing, LockReading, meaning
from runbooks.wording import age, by_count, counted, shortened

_THINGS, _SESSIONS = 8, 6
"""So many are shown: locked things, sessions of each."""


class DbLocks(Observation):
    """Show which tables and rows are locked now, by whom, for how long, and who waits for them.

    Locks that every statement takes and nothing is waiting for are left out.
    """

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--on replica"], name="db locks", refreshes=True)

    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.LOCKS)

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        found = await database.locks(database.place(self.on))
        where = context.where.name
        on = f" --on {found.place}" if len(database.settings.places()) > 1 else ""
        answer = _answer(found)
        return Card(
            state=State.FAILED if found.waiting else State.DONE,
            title=words(Strong(text=answer), f" · {where}, {found.place}"),
            summary=f"{answer} ({where}, {found.place}).",
            body=(
                *(each for thing in found.things[:_THINGS] for each in _told(thing)),
                *(
                    [Note(text=words(f"{counted(len(found.things) - _THINGS, 'more locked object')} not shown."))]
                    if len(found.things) > _THINGS
                    else []
                ),
                Facts(facts=(Fact(label="Server", value=words(f"{found.place} {found.address}")),)),
                Note(text=words("Locks that every statement takes are shown only if somebody waits for them.")),
            ),
            buttons=(Button(label="Activity", does=Typed(text=f"db activity{on} --env {where}")),),
            data={
                "environment": where,
                "on": found.place,
                "server": found.address,
                "waiting": found.waiting,
                "locks": [_data(thing) for thing in found.things],
            },
        )


def _answer(found: LockReading) -> str:
    if found.waiting:
        thing = found.things[0]
        others = len([each for each in found.things if each.waiting]) - 1
        more = f" and {counted(others, 'other object')}" if others else ""
        return f"{counted(found.waiting, 'session')} {by_count(found.waiting, 'waits', 'wait')} for a lock on {thing.name}{more}"
    if found.things:
        held = len(found.things)
        return f"Nothing is waiting for a lock; {counted(held, 'object')} {by_count(held, 'has', 'have')} one that could keep others out"
    return "Nothing is waiting for a lock, and none is held that could keep others out"


def _told(thing: LockedThing) -> Iterator[Paragraph | Preformatted]:
    waiting = (
        f": {counted(len(thing.waiting), 'session')} {by_count(len(thing.waiting), 'waits', 'wait')}"
        if thing.waiting
        else ""
    )
    yield Paragraph(text=words(Strong(text=thing.name), waiting))
    yield Preformatted(text="\n".join(_lines(thing)))
    for each in thing.holders:
        if each.gid:
            yield Paragraph(
                text=words("Held by the prepared transaction ", Code(text=each.gid), ", which has no session.")
            )


def _lines(thing: LockedThing) -> Iterator[str]:
    for held in (thing.holders, thing.waiting):
        for each in held[:_SESSIONS]:
            yield f"{'has  ' if each.granted else 'waits'} {_who(each)} {age(each.seconds)}"
            yield f"      {meaning(each)}"
        if len(held) > _SESSIONS:
            yield f"      and {len(held) - _SESSIONS} more"


def _who(lock: HeldLock) -> str:
    if lock.pid is None:
        return "a prepared transaction"
    return f"{lock.pid} {shortened(lock.application or lock.role or lock.process, 16)}"


def _data(thing: LockedThing) -> dict[str, object]:
    return {
        "object": thing.name,
        "held_by": [_lock_data(each) for each in thing.holders],
        "waiting": [_lock_data(each) for each in thing.waiting],
    }


def _lock_data(each: HeldLock) -> dict[str, object]:
    return {
        "process": each.pid,
        "prepared": each.gid or None,
        "role": each.role,
        "application": each.application,
        "state": each.state,
        "mode": each.mode,
        "seconds": round(each.seconds, 1),
    }
