"""PostgreSQL as runbooks use it: one environment's servers, a role that reads statistics, read-only transactions, short deadlines.

    async with database.asked("primary") as session:
        rows = await session.rows("SELECT …")

A connection is made when it is needed and closed after it, at most two at once: so a failover, a new password or a restart needs no
care here, and a production server keeps no idle guest. The driver is imported with the first connection.
"""

import asyncio
import codecs
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runbooks.clients.postgres import errors
from runbooks.clients.postgres.access import DatabaseCredentials, DatabaseSettings, Instance, Target
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
Row = Mapping[str, Any]

CONNECTIONS = 2
"""At once, to all of an environment's servers together."""
_WAIT = 4.0
"""Seconds for one of the two to come free."""
_LOCK_WAIT = 1.0
"""Seconds that a statement of the bot's waits for a lock; it would rather not know than stand in a queue."""
_GRACE = 1.5
"""Seconds on top of the statement's own time limit, which the server keeps; after it the line is dead."""
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 8000}


_ANSWER = """
SELECT pg_catalog.pg_is_in_recovery() AS recovering,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND clock_timestamp() - query_start > interval '2 seconds') AS waiting
"""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Whether a server answers; made for `status`, so it is never an exception."""

    place: Instance
    address: str
    """Empty where not even that is known."""
    seconds: float
    """One statement's way there and back; how long was waited where no answer came."""
    connected: float = 0.0
    """Seconds for the connection before it: name, TLS, login."""
    why: str = ""
    """Why there was no answer, as a sentence."""
    code: ReasonCode | None = None
    in_recovery: bool = False
    waiting: int = 0
    """Sessions that have waited for a lock for two seconds; 0 where the role may not see it, too."""

    @property
    def trouble(self) -> str:
        """Why, where the server was named before: `did not answer within 1.2 s`."""
        named = f"The {self.place} ({self.address})"
        return self.why.removeprefix(named).lstrip(": ").rstrip(".")

    @property
    def well(self) -> bool:
        """It answered."""
        return not self.why


def limits(seconds: float) -> dict[str, str]:
    """Return what the bot asks of each session of its own, by setting; times in milliseconds."""
    return {
        "search_path": "pg_catalog",
        "statement_timeout": f"{seconds * 1000:.0f}",
        "lock_timeout": f"{min(_LOCK_WAIT, seconds) * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{(seconds + 5) * 1000:.0f}",
    }


def _encoding(server: str | None) -> str:
    """Return Python's name for a server's encoding; UTF-8 where it has none of its own, or Python does not know it."""
    try:
        return codecs.lookup((server or "").replace("WIN", "cp")).name if server != "SQL_ASCII" else "utf-8"
    except LookupError:
        return "utf-8"


class CredentialsSource(Protocol):
    """Where credentials come from."""

    async def __call__(self, *, fresh: bool = False) -> DatabaseCredentials:
        """What is known, or with `fresh` read anew. Raises RunbookError."""
        ...


class Session:
    """One connection in one read-only transaction."""

    def __init__(self, connection: "psycopg.AsyncConnection[Row]", target: Target, limit: float) -> None:
        self._connection = connection
        self.limit = limit
        """Seconds that a statement may take."""
        self._encoding = _encoding(connection.info.parameter_status("server_encoding"))
        self.target = target
        self.version: int = connection.info.server_version
        """As the server counts: 150004, 180006."""
        self.encrypted: bool = bool(connection.pgconn.ssl_in_use)

    async def rows(self, sql: str, *values: object) -> list[Row]:
        """A statement's rows. `%s` stands for a value. Raises RunbookError."""
        return await self.said(sql, values or None)

    async def row(self, sql: str, *values: object) -> Row:
        """The one row of a statement that always has one."""
        (found,) = await self.rows(sql, *values)
        return found

    async def latency(self) -> float:
        """Seconds for one statement there and back."""
        began = time.monotonic()
        await self.rows("SELECT 1")
        return time.monotonic() - began

    async def said(self, sql: str, values: tuple[object, ...] | None = None, *, bare: bool = False) -> list[Row]:
        """As `rows`. `bare`: the driver's own error is let through, for who knows what it means; nothing else ever sees it."""
        import psycopg

        async def ask() -> list[Row]:
            cursor = await self._connection.execute(sql.encode(), values)
            found = await cursor.fetchall() if cursor.description else []
            return [{name: self._text(value) for name, value in row.items()} for row in found]

        began = time.monotonic()

        try:
            return await self._within(ask())
        except psycopg.Error as error:
            if bare and error.sqlstate and not error.sqlstate.startswith(("08", "57", "53", "55")):
                raise
            raise self.refused(error, time.monotonic() - began) from None

    def refused(self, error: "psycopg.Error", took: float = 0.0) -> RunbookError:
        """Return the driver's error as this project's."""
        return errors.asking(error, self.target.label, self.target.user, self.limit, took)

    async def limited(self) -> None:
        """Begin the transaction with the bot's limits. A pooler may have dropped those that came with the connection."""
        settings = [f"SET LOCAL {name} = '{value}'" for name, value in limits(self.limit).items()]
        await self.rows("; ".join(settings))

    def _text(self, value: Any) -> Any:
        """Return a text of the server's as it can be read: nothing is converted on its way, so no byte of it ends a whole list."""
        if isinstance(value, bytes):
            return value.decode(self._encoding, errors="replace")
        return [self._text(each) for each in value] if isinstance(value, list) else value

    async def _within(self, doing: Coroutine[Any, Any, T]) -> T:
        """The driver, told to stop, waits for the server first; here nobody does: the line is cut, so whatever it did ends at once."""
        task = asyncio.ensure_future(doing)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.limit + _GRACE)
        except asyncio.CancelledError:
            await self._cut(task)
            raise
        if not done:
            await self._cut(task)
            raise errors.timed_out(self.target.label, self.limit)
        return task.result()

    async def _cut(self, task: "asyncio.Future[Any]") -> None:
        """Seen to its end: a descriptor that is closed while the loop still watches it is another connection's a moment later."""
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
        await asyncio.wait({task}, timeout=1.0)


class DatabaseClient:
    """The servers of one environment. Made without any I/O."""

    def __init__(self, settings: DatabaseSettings, credentials: CredentialsSource) -> None:
        self.settings = settings
        self._credentials = credentials
        self._places = asyncio.Semaphore(CONNECTIONS)

    @asynccontextmanager
    async def asked(
        self, place: Instance, *, connect: float | None = None, limit: float | None = None
    ) -> AsyncIterator[Session]:
        """A session there. Raises RunbookError, each with what to do."""
        target, fresh = await self._target(place, fresh=False), False
        limit = limit or self.settings.statement_timeout
        try:
            async with asyncio.timeout(_WAIT):
                await self._places.acquire()
        except TimeoutError:
            raise errors.busy(target.label, _WAIT) from None
        try:
            while True:
                try:
                    connection = await self._connect(target, connect or self.settings.connect_timeout, limit)
                    break
                except RunbookError as error:
                    if fresh or error.code is not ReasonCode.DATABASE_REFUSED:
                        raise
                    # perhaps the password is a new one since the Secret was read
                    target, fresh = await self._target(place, fresh=True), True
            try:
                if connection.info.server_version < errors.OLDEST:
                    raise errors.too_old(target.label, connection.info.server_version)
                session = Session(connection, target, limit)
                await session.limited()
                yield session
            finally:
                await connection.close()  # which waits for nobody
        finally:
            self._places.release()

    async def answers(self, place: Instance) -> QueryResult:
        """Whether it answers, and in how long. Never raises, and never takes longer than `answer_timeout`."""
        began, address, label, connected = time.monotonic(), "", "", 0.0
        limit = self.settings.answer_timeout
        try:
            async with asyncio.timeout(limit):
                target = await self._target(place, fresh=False)
                address, label = target.address, target.label
                async with self.asked(place, connect=limit, limit=limit) as session:
                    connected = time.monotonic() - began
                    found = await session.row(_ANSWER)
                    return QueryResult(
                        place,
                        address,
                        time.monotonic() - began - connected,
                        connected,
                        in_recovery=bool(found["recovering"]),
                        waiting=int(found["waiting"]),
                    )
        except TimeoutError:
            error = errors.timed_out(label, limit) if label else errors.no_credentials_in_time(limit)
        except RunbookError as known:
            error = known
        return QueryResult(place, address, time.monotonic() - began, connected, error.message, error.code)

    async def _target(self, place: Instance, *, fresh: bool) -> Target:
        return (await self._credentials(fresh=fresh)).target(self.settings, place)

    async def _connect(self, target: Target, seconds: float, limit: float) -> "psycopg.AsyncConnection[Row]":
        import psycopg
        from psycopg.rows import dict_row
        from psycopg.types.string import TextLoader

        try:
            async with asyncio.timeout(seconds):
                connection = await psycopg.AsyncConnection.connect(
                    **self._how(target, seconds, limit), row_factory=dict_row, prepare_threshold=None
                )
        except TimeoutError:
            raise errors.timed_out(target.label, seconds) from None
        except psycopg.errors.ConnectionTimeout:
            raise errors.timed_out(target.label, seconds) from None
        except psycopg.Error as error:
            raise errors.connecting(error, target.label, target.user, target.name, target.password) from None
        connection.adapters.register_loader("json", TextLoader)  # its bytes are in the server's encoding too
        await connection.set_read_only(True)
        return connection

    def _how(self, target: Target, seconds: float, limit: float) -> dict[str, Any]:
        """By keywords, each said: nothing is taken from `PG…` variables, a password file or a service file."""
        settings = self.settings
        options = ["default_transaction_read_only=on", *(f"{name}={value}" for name, value in limits(limit).items())]
        how: dict[str, Any] = {
            "host": target.host,
            "port": target.port,
            "dbname": target.name,
            "user": target.user,
            "password": target.password,
            "passfile": "/dev/null",
            "sslmode": settings.tls,
            "gssencmode": "disable",
            "target_session_attrs": "any",
            "client_encoding": "SQL_ASCII",  # nothing is converted: see Session
            "application_name": "omnicare-bot",
            "connect_timeout": max(2, round(seconds)),
            "options": " ".join(f"-c {option}" for option in options),
            **_KEEPALIVE,
        }
        if settings.tls in ("verify-full", "verify-ca"):
            how["sslrootcert"] = str(settings.root_certificate or "system")
        else:
            # nobody vouches for who that is: the password itself is never sent
            how["require_auth"] = "scram-sha-256,md5"
        return how
