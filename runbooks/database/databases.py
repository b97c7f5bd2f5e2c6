"""An environment's database, for people who look after it: whether it answers, who the bot is there, what is slow, and a query's plan.

It is only ever looked at. What comes out has no literal of a statement in it (`runbooks.kit.sql`), and passes redaction like everything
else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from runbooks.clients.postgres import (
    activity,
    connections,
    indexes,
    locks,
    migrations,
    query_plans,
    replication,
    signals,
    sizes,
    statements,
    table_counts,
)
from runbooks.clients.postgres.access import DatabaseSettings, Instance
from runbooks.clients.postgres.activity import ActiveSession
from runbooks.clients.postgres.connections import Connections
from runbooks.clients.postgres.database import DatabaseClient, QueryResult, Session
from runbooks.clients.postgres.identity import DatabaseIdentity, identity
from runbooks.clients.postgres.migrations import TableSize
from runbooks.clients.postgres.query_plans import QueryPlan
from runbooks.clients.postgres.signals import Sent, SessionKey, TargetSession
from runbooks.clients.postgres.sizes import Storage
from runbooks.clients.postgres.statements import By, Counted, Statement
from runbooks.clients.postgres.table_counts import TableCount
from runbooks.database import activity as activities
from runbooks.database import indexes as index_reading
from runbooks.database import locks as lock_reading
from runbooks.database import replication as replications
from runbooks.database.activity import ActivityReading
from runbooks.database.indexes import IndexReading
from runbooks.database.locks import LockReading
from runbooks.database.replication import ReplicationReading
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.sql import masked
from runbooks.wording import counted

U = TypeVar("U")

_CONTENT = """
SELECT count(*) AS tables, coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
"""

_SLOW_NOW = 2.0
"""Running statements are listed with the slow ones from this number of seconds."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Who the bot is on a server, and how quickly that server says so."""

    place: Instance
    latency: float
    """Seconds for one statement there and back."""
    connected: float
    """Seconds for the connection before it: name, TLS, login."""
    identity: DatabaseIdentity
    at: datetime


@dataclass(frozen=True, slots=True)
class Slow:
    """What is slow on a server: what it has counted, and what runs there now."""

    place: Instance
    address: str
    counted: Counted
    running: tuple[ActiveSession, ...]


class Database:
    """One environment's. Reader beware: each call may raise RunbookError, with what to do; `answers` never does."""

    def __init__(self, environment: str, client: DatabaseClient) -> None:
        self._environment = environment
        self._client = client

    @property
    def settings(self) -> DatabaseSettings:
        return self._client.settings

    def place(self, wanted: str | None = None) -> Instance:
        """The server that is meant; the configuration's `reader` where nobody said. Raises where there is no replica."""
        if wanted == "replica" and self.settings.replica is None:
            raise PermanentError(
                f"No replica is configured for {self._environment}'s database.",
                code=ReasonCode.NOT_CONFIGURED,
                advice=(f"Add `replica` to `[environments.{self._environment}.database]`, or use `--on primary`.",),
            )
        return self.settings.reader if wanted is None else ("replica" if wanted == "replica" else "primary")

    async def answers(self, on: Instance | None = None) -> QueryResult:
        """Whether it answers, and in how many seconds. Never raises, and is over within `answer_timeout` whatever happens."""
        return await self._client.answers(on or self.settings.reader)

    async def known(self, on: Instance) -> DatabaseStatus:
        """Who the bot is there; proves that the credentials work without showing them."""
        began = time.monotonic()
        async with self._client.asked(on) as session:
            connected = time.monotonic() - began
            return DatabaseStatus(on, await session.latency(), connected, await identity(session), datetime.now(UTC))

    def elsewhere(self, host: str, port: int) -> "Database":
        """Return the same database on another server, for the same role: restored from a snapshot of this one."""
        return Database(self._environment, self._client.elsewhere(host, port))

    async def content(self) -> tuple[int, int]:
        """Return how many tables it has, and about how many rows, as its statistics count them; none of them is read."""
        async with self._client.asked("primary") as session:
            found = await session.row(_CONTENT)
            return int(found["tables"]), int(found["rows"])

    async def table_counts(self, columns: Mapping[str, str], seconds: float) -> tuple[TableCount, ...]:
        """Return how many rows these tables have, and when each one's newest was written; `columns`: a table's column with a time.

        Each table is read within `seconds`.
        """
        async with self._client.asked("primary", limit=seconds) as session:
            return tuple([await table_counts.counted(session, table, column) for table, column in columns.items()])

    @asynccontextmanager
    async def _asked(self, on: Instance) -> AsyncIterator[Session]:
        """Where that server does not answer, the other one is named."""
        try:
            async with self._client.asked(on) as session:
                yield session
        except TemporaryError as error:
            others = [place for place in self.settings.places() if place != on]
            if error.code is not ReasonCode.DATABASE_UNREACHABLE or not others:
                raise
            raise TemporaryError(
                error.message,
                code=error.code,
                retry_after=error.retry_after,
                advice=(*error.advice, f"Use `--on {others[0]}` for the {others[0]}; `db connect` tests both."),
            ) from None

    async def slow(self, on: Instance, *, by: By, limit: int) -> Slow:
        """The statements that come first by one measure, and what has been running for some seconds."""
        async with self._asked(on) as session:
            running = await activity.active(session, longer_than=_SLOW_NOW)
            counted = await statements.counted(session, by, limit)
        return await asyncio.to_thread(_shown, Slow(on, session.target.address, counted, running))

    async def activity(self, on: Instance) -> ActivityReading:
        """What goes on there now, and who waits for whom."""
        async with self._asked(on) as session:
            found = await activity.activity(session)
            address = session.target.address
        return activities.read(on, address, replace(found, sessions=tuple(map(_bare, found.sessions))))

    async def locks(self, on: Instance) -> LockReading:
        """The locks that somebody waits for, or that keep others out."""
        async with self._asked(on) as session:
            return lock_reading.read(on, session.target.address, await locks.locks(session))

    async def connections(self, on: Instance) -> Connections:
        """Who has connections there, against the limits."""
        async with self._asked(on) as session:
            return await connections.connections(session)

    async def storage(self) -> Storage:
        """How large the database and its tables are, and how its clean-up stands. The same on each server, so the primary is asked."""
        async with self._asked("primary") as session:
            return await sizes.storage(session)

    async def replication(self) -> ReplicationReading:
        """The replication as each server tells it; one that can't be asked is part of the answer."""
        return replications.read(await self._each(replication.replication))

    async def indexes(self) -> IndexReading:
        """The indexes, and how each server uses them; only the primary must answer."""
        found = await self._each(indexes.indexes)
        if isinstance(error := found["primary"], RunbookError):
            raise error
        return index_reading.read(found)

    async def _each(self, ask: Callable[[Session], Awaitable[U]]) -> dict[Instance, U | RunbookError]:
        """What each server tells, asked side by side, or why it does not."""

        async def told(place: Instance) -> U | RunbookError:
            try:
                async with self._client.asked(place) as session:
                    return await ask(session)
            except RunbookError as error:
                return error

        places = self.settings.places()
        return dict(zip(places, await asyncio.gather(*map(told, places)), strict=True))

    async def session(self, on: Instance, pid: int) -> TargetSession | None:
        """The session of that process; None where there is none."""
        async with self._asked(on) as session:
            found = await signals.target(session, pid)
        return replace(found, text=masked(found.text)) if found is not None else None

    async def check_may_end(self, on: Instance, pid: int) -> None:
        """Raises PermanentError if the bot may not end that session."""
        async with self._asked(on) as session:
            await signals.check_may_end(session, pid)

    async def end_session(self, on: Instance, key: SessionKey, *, terminate: bool) -> Sent:
        """Cancels the session's statement, or ends the session; only while it is in the transaction that the key names."""
        async with self._asked(on) as session:
            return await signals.end(session, key, terminate=terminate)

    async def applied_migrations(self, table: str, column: str) -> tuple[str, ...]:
        """The names in the table of applied migrations, the newest first; none where there is no such table yet."""
        async with self._client.asked("primary") as session:
            return await migrations.applied(session, table, column)

    async def sizes(self, tables: Sequence[str]) -> tuple[TableSize, ...]:
        """How large these tables are, and how much is written to them."""
        async with self._client.asked("primary") as session:
            return await migrations.sizes(session, tables)

    async def explained(self, on: Instance, name: str) -> tuple[Statement, QueryPlan]:
        """The plan of a counted statement, by the beginning of its id."""
        async with self._asked(on) as session:
            found = await statements.named(session, name)
            if len(found) != 1:
                raise _not_one(name, len(found), on)
            plan = await query_plans.plan(session, found[0])
        return _bare(found[0]), plan


def _shown(found: Slow) -> Slow:
    """With no literal in any text: beyond this module nobody has one to forget about. In a thread, since texts may be long."""
    counted = replace(
        found.counted,
        statements=tuple(map(_bare, found.counted.statements)),
        others=tuple(map(_bare, found.counted.others)),
    )
    return replace(found, counted=counted, running=tuple(map(_bare, found.running)))


T = TypeVar("T", Statement, ActiveSession)


def _bare(statement: T) -> T:
    return replace(statement, text=masked(statement.text))


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that is not as it should be with the role or its server."""

    says: str
    to_do: str
    fatal: bool = False
    """`slow-queries` can't work with it, or patients' data is at stake."""


def concerns(who: DatabaseIdentity) -> tuple[Concern, ...]:
    """What a DBA should hear, the worst first; empty where all is well."""
    return tuple(sorted(_concerns(who), key=lambda each: not each.fatal))


def _concerns(who: DatabaseIdentity) -> Iterator[Concern]:
    role = who.role
    if who.superuser:
        yield Concern(
            f"Role {role} is a superuser.",
            "Create a separate role for the bot with `deploy/database/reader.sql`.",
            fatal=True,
        )
        return
    if not who.read_only:
        yield Concern(
            f"Transactions of {role} are not read-only.",
            f"`ALTER ROLE {role} SET default_transaction_read_only = on;`",
            fatal=True,
        )
    if who.unlimited:
        yield Concern(
            f"The bot's limits are not in effect: {', '.join(who.unlimited)}.",
            "Configure the server itself in `[environments.….database]`, not the pooler in front of it.",
            fatal=True,
        )
    elif who.dropped:
        yield Concern(
            "A pooler in front of the server drops the limits that the bot sets when it connects; the bot sets them again in each transaction.",
            "Configure the server itself in `[environments.….database]`, or remove `options` from PgBouncer's `ignore_startup_parameters`.",
        )
    if who.writable:
        yield Concern(
            f"Role {role} can change {_tables(who.writable)}.",
            f"`REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public FROM {role}, PUBLIC;`",
            fatal=True,
        )
    if who.readable:
        yield Concern(
            f"Role {role} can read {_tables(who.readable)} and needs none of them.",
            f"`REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {role}, PUBLIC;` and remove it from roles that can.",  # noqa: S608
        )
    if who.creates:
        where = ", ".join(who.creates)
        yield Concern(
            f"Role {role} can create functions in {where} that others might call.",
            f"`REVOKE CREATE ON SCHEMA {where} FROM PUBLIC;`",
        )
    yield from _statistics(who)
    yield from _functions(who)


def _functions(who: DatabaseIdentity) -> Iterator[Concern]:
    if who.function is None:
        yield Concern(
            "The function for query plans is not installed, so no statement can be explained.",
            "Install it with `deploy/database/explain.sql`.",
        )
    elif not who.function:
        yield Concern(
            f"Role {who.role} has no permission to call the function for query plans.",
            f"`GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO {who.role};`",
        )
    if who.ends is False:  # that it is not installed at all is somebody's choice
        yield Concern(
            f"Role {who.role} has no permission to call the function that ends sessions.",
            "Run `deploy/database/kill.sql` again.",
        )


def _statistics(who: DatabaseIdentity) -> Iterator[Concern]:
    if who.extension is None:
        yield Concern(
            "pg_stat_statements is not installed in this database.",
            "`CREATE EXTENSION pg_stat_statements;`",
            fatal=True,
        )
    elif not who.statistics_usable:
        yield Concern(
            f"Role {who.role} has no access to pg_stat_statements.",
            "`deploy/database/reader.sql` grants what is missing: `USAGE` on its schema, `SELECT` on its views.",
            fatal=True,
        )
    elif not who.loaded:
        yield Concern(
            "The server does not load pg_stat_statements.",
            "Add it to `shared_preload_libraries` (on RDS: in the parameter group) and restart the server.",
            fatal=True,
        )
    if not who.sees_statistics:
        yield Concern(
            f"Role {who.role} can't see other roles' statements.",
            f"`GRANT pg_read_all_stats TO {who.role};`",
            fatal=True,
        )


def _tables(count: int) -> str:
    return f"{counted(count, 'table')}"


def _not_one(name: str, count: int, on: Instance) -> RunbookError:
    if count:
        return PermanentError(
            f"More than one statement id begins with q{name}.",
            code=ReasonCode.NO_SUCH_QUERY,
            advice=("Type more of the id.",),
        )
    return PermanentError(
        f"The {on} has no statistics for a statement with id q{name}.",
        code=ReasonCode.NO_SUCH_QUERY,
        advice=(
            "`slow-queries` lists all ids. Each server counts only its own statements, and a reset or restart can clear them.",
        ),
    )
