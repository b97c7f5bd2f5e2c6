"""`db connect`: proves that the database's credentials work, without showing them, and says what the role can and can't do there."""

import asyncio
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.endings import failure
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import ChoiceType, EnvironmentName
from runbooks.clients.postgres.access import Instance
from runbooks.database import by_hand
from runbooks.database.databases import Database, DatabaseStatus, concerns
from runbooks.database.slow_statements import milliseconds
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.wording import capital, duration, listed

_SLOW = 0.1
"""Seconds, from which a statement that does nothing is slow."""
_SLOWLY = "It answers slowly even to an empty statement: the server or the network is overloaded. `db activity` shows what is running there."


class DbConnect(Observation):
    """Test the database credentials: host, version, role, read-only mode, latency, replica lag, start of the statistics.

    The password comes from the configured Secret or file; it is never shown.
    """

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--on replica"], name="db connect")

    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("only that server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.CONNECT)

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        places: tuple[Instance, ...] = (database.place(self.on),) if self.on else database.settings.places()
        tried = await asyncio.gather(*(_tried(database, place) for place in places))
        well = [each for each in tried if isinstance(each, DatabaseStatus)]
        where = context.where.name
        text = _title(where, list(places), tried)
        if not well:
            raise _nowhere(text, tried)
        body = [part for place, each in zip(places, tried, strict=True) for part in _told(place, each)]
        troubled = any(concerns(each.identity) or each.latency > _SLOW for each in well)
        return Card(
            state=State.FAILED if len(well) < len(tried) else State.WAITING if troubled else State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=(*body, Note(text=words(_source(database)))),
            buttons=(Button(label="Activity", does=Typed(text=f"db activity --env {where}")),) if well else (),
            data={
                "environment": where,
                "ok": len(well) == len(tried),
                "servers": [_data(place, each) for place, each in zip(places, tried, strict=True)],
            },
        )


async def _tried(database: Database, place: Instance) -> DatabaseStatus | RunbookError:
    try:
        return await database.known(place)
    except RunbookError as error:
        return error


def _nowhere(text: str, tried: list[DatabaseStatus | RunbookError]) -> RunbookError:
    """No server takes the bot: a failure, also for who asks in a script. What is the same for both is said once."""
    errors = [each for each in tried if isinstance(each, RunbookError)]
    said = [error.message for error in errors]
    advice = dict.fromkeys(line for error in errors for line in error.advice)
    return PermanentError(f"{text}.", code=errors[0].code, advice=(*said, *advice))


def _title(where: str, places: list[Instance], tried: list[DatabaseStatus | RunbookError]) -> str:
    failed = [place for place, each in zip(places, tried, strict=True) if isinstance(each, RunbookError)]
    if failed:
        return f"The database of {where} can't be used: {listed(failed)}"
    return f"The database of {where} accepts the bot's credentials"


def _told(place: Instance, tried: DatabaseStatus | RunbookError) -> list[Paragraph | Facts]:
    name = capital(place)
    if isinstance(tried, RunbookError):
        return [
            Paragraph(text=words(Strong(text=tried.message))),
            *(Paragraph(text=sentence(line)) for line in tried.advice),
        ]
    who = tried.identity
    line = f"{who.address}, PostgreSQL {who.version}, database {who.database}, up for {_up(tried)}"
    return [
        Paragraph(text=words(Strong(text=f"{name}: "), line)),
        Facts(
            facts=(
                Fact(label="Role", value=words(f"{who.role}, {'read-only' if who.read_only else 'NOT read-only'}")),
                Fact(label="Answers in", value=words(_latency(tried))),
                Fact(label="Kind", value=words(_recovery(tried))),
                Fact(label="Connection", value=words("with TLS" if who.encrypted else "without TLS")),
                Fact(label="Statistics", value=_statistics(tried)),
                Fact(label="Explain", value=words(_by_function(who.function))),
                Fact(label="End sessions", value=words(_by_function(who.ends))),
            )
        ),
        *([Paragraph(text=sentence(_SLOWLY))] if tried.latency > _SLOW else []),
        *(Paragraph(text=sentence(f"{each.says} {each.to_do}")) for each in concerns(who)),
    ]


def _up(known: DatabaseStatus) -> str:
    return duration((known.at - known.identity.started).total_seconds())


def _latency(known: DatabaseStatus) -> str:
    return f"{milliseconds(known.latency * 1000)}, connected in {milliseconds(known.connected * 1000)}"


def _recovery(known: DatabaseStatus) -> str:
    who = known.identity
    if not who.in_recovery:
        return "a primary" if known.place == "primary" else "a primary (no longer a replica?)"
    behind = (
        "nothing replayed yet" if who.lag is None else "up to date" if who.lag < 1 else f"{duration(who.lag)} behind"
    )
    return f"a replica, {behind}" + (" (no longer the primary?)" if known.place == "primary" else "")


def _statistics(known: DatabaseStatus) -> Text:
    who = known.identity
    if who.extension is None:
        return words("pg_stat_statements is not installed")
    if not who.loaded:
        return words("pg_stat_statements is not loaded")
    since = (", since ", Moment(at=who.counted_since, form="date-time", age=True)) if who.counted_since else ()
    return words(f"pg_stat_statements {who.extension}", *since)


def _by_function(may: bool | None) -> str:
    """How it is done, where a function of the DBA's does it."""
    return (
        "by the DBA's function"
        if may
        else "function not installed"
        if may is None
        else "no permission to call the function"
    )


def _source(database: Database) -> str:
    settings = database.settings
    return f"Credentials from {f'file {settings.file}' if settings.file else f'Secret {settings.secret}'}; never shown."


def _data(place: Instance, tried: DatabaseStatus | RunbookError) -> dict[str, object]:
    if isinstance(tried, RunbookError):
        return {"place": place} | failure(tried.code, tried.message)
    who = tried.identity
    return {
        "place": place,
        "ok": True,
        "server": who.address,
        "version": who.version,
        "database": who.database,
        "role": who.role,
        "read_only": who.read_only,
        "tls": who.encrypted,
        "latency_ms": round(tried.latency * 1000, 3),
        "in_recovery": who.in_recovery,
        "lag_seconds": who.lag,
        "extension": who.extension,
        "counted_since": who.counted_since.isoformat() if who.counted_since else None,
        "explains": who.function,
        "ends_sessions": who.ends,
        "concerns": [each.says for each in concerns(who)],
    }
