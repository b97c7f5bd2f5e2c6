"""A client for one environment's PostgreSQL servers: a role that reads statistics, read-only transactions, short deadlines.

    async with database.asked("primary") as session:
        rows = await session.rows("SELECT …")

A connection is opened when it is needed and closed afterwards, at most two at once, so a failover, a new password or a restart needs no
handling here, and a production server has no idle connections. The driver is imported with the first connection.
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
from runbooks.clients.postgres.usage import DatabaseUsage
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
Row = Mapping[str, Any]

CONNECTIONS = 2
"""Maximum number of connections at once, to all servers of an environment together."""
_WAIT = 4.0
"""Seconds to wait for a free connection."""
_LOCK_WAIT = 1.0
"""Seconds that the bot's statements wait for a lock; failing is better than joining a queue."""
_GRACE = 1.5
"""Seconds in addition to the statement's time limit on the server; after that the connection is considered dead."""
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 8000}


REPLAY_AGE = """
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8"""
"""Of a replica: the age in seconds of the last transaction that it has replayed while there is more to replay; 0 where there is none."""

_ANSWER = f"""
WITH may AS (SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS see)
SELECT pg_catalog.pg_is_in_recovery() AS recovering,
       CASE WHEN may.see THEN (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') END AS used,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS most,
       {REPLAY_AGE} AS replayed,
       CASE WHEN may.see AND pg_is_in_recovery()
            THEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') END AS streaming,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused,
       tight.role, tight.used AS role_used, tight.most AS role_most,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND clock_timestamp() - query_start > interval '2 seconds') AS waiting
  FROM may LEFT JOIN LATERAL (
    SELECT r.rolname AS role, r.rolconnlimit AS most, count(a.pid) AS used
      FROM pg_roles r LEFT JOIN pg_stat_activity a ON a.usesysid = r.oid AND a.backend_type = 'client backend'
     WHERE r.rolconnlimit > 0 AND r.rolcanlogin AND r.rolname <> current_user
     GROUP BY 1, 2 ORDER BY count(a.pid)::float8 / r.rolconnlimit DESC, 1 LIMIT 1) tight ON may.see
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Whether a server answers. Made for `status`, so it is never an exception."""

    place: Instance
    address: str
    """Empty if not even that is known."""
    seconds: float
    """One statement's round trip, or how long the bot waited for an answer."""
    connected: float = 0.0
    """Seconds for connecting: name look-up, TLS, login."""
    why: str = ""
    """Why there was no answer, as a sentence."""
    code: ReasonCode | None = None
    in_recovery: bool = False
    waiting: int = 0
    """Sessions that have waited for a lock for two seconds; also 0 if the role can't see them."""
    connections: DatabaseUsage | None = None
    """Of clients, of those that are not kept for superusers; None: not known, or the role can't see them."""
    tightest: DatabaseUsage | None = None
    """Of the role that has used most of a limit of its own."""
    replayed: float | None = None
    """Of a replica: how many seconds ago what it shows was written; None where it is none, or nobody knows."""
    streaming: bool | None = None
    """Of a replica: it receives from the primary; None where it is none, or the role can't see it."""
    paused: bool = False
    """Of a replica: it replays nothing, because somebody paused it."""

    @property
    def trouble(self) -> str:
        """Why, without naming the server: `did not answer within 1.2 s`."""
        named = f"The {self.place} ({self.address})"
        return self.why.removeprefix(named).lstrip(": ").rstrip(".")

    @property
    def well(self) -> bool:
        """Return whether it answered."""
        return not self.why


def _usage(name: str, used: int | None, most: int | None) -> DatabaseUsage | None:
    return DatabaseUsage(name, used, most) if used is not None and most is not None else None


def limits(seconds: float) -> dict[str, str]:
    """Return the settings for each of the bot's sessions; times in milliseconds."""
    return {
        "search_path": "pg_catalog",
        "statement_timeout": f"{seconds * 1000:.0f}",
        "lock_timeout": f"{min(_LOCK_WAIT, seconds) * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{(seconds + 5) * 1000:.0f}",
    }


def _encoding(server: str | None) -> str:
    """Return Python's name for a server's encoding, or UTF-8 if it has none or Python does not know it."""
    try:
        return codecs.lookup((server or "").replace("WIN", "cp")).name if server != "SQL_ASCII" else "utf-8"
    except LookupError:
        return "utf-8"


class CredentialsProvider(Protocol):
    """A source of credentials."""

    async def __call__(self, *, fresh: bool = False) -> DatabaseCredentials:
        """Return the known credentials, or with `fresh` reread ones. Raises RunbookError."""
        ...


class Session:
    """One connection in one read-only transaction."""

    def __init__(self, connection: "psycopg.AsyncConnection[Row]", target: Target, limit: float) -> None:
        self._connection = connection
        self.limit = limit
        """Time limit for a statement in seconds."""
        self._encoding = _encoding(connection.info.parameter_status("server_encoding"))
        self.target = target
        self.version: int = connection.info.server_version
        """The server's version number: 150004, 180006."""
        self.encrypted: bool = bool(connection.pgconn.ssl_in_use)

    async def rows(self, sql: str, *values: object) -> list[Row]:
        """Return a statement's rows. `%s` stands for a value. Raises RunbookError."""
        return await self.said(sql, values or None)

    async def row(self, sql: str, *values: object) -> Row:
        """Return the row of a statement that always has exactly one."""
        (found,) = await self.rows(sql, *values)
        return found

    async def latency(self) -> float:
        """Return the seconds for one statement's round trip."""
        began = time.monotonic()
        await self.rows("SELECT 1")
        return time.monotonic() - began

    async def said(self, sql: str, values: tuple[object, ...] | None = None, *, bare: bool = False) -> list[Row]:
        """Like `rows`. `bare`: raise the driver's own error, for callers that can interpret it and never pass it on."""
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
        """Return a text from the server in readable form: the driver converts nothing, so no single byte can make a whole list fail."""
        if isinstance(value, bytes):
            return value.decode(self._encoding, errors="replace")
        return [self._text(each) for each in value] if isinstance(value, list) else value

    async def _within(self, doing: Coroutine[Any, Any, T]) -> T:
        """Cut the connection at once: the driver's own close would wait for the server first."""
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
        """Wait for the end: a descriptor that is closed while the loop watches it would soon belong to another connection."""
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
        await asyncio.wait({task}, timeout=1.0)


class DatabaseClient:
    """The servers of one environment. Creating it does no I/O."""

    def __init__(self, settings: DatabaseSettings, credentials: CredentialsProvider) -> None:
        self.settings = settings
        self._credentials = credentials
        self._places = asyncio.Semaphore(CONNECTIONS)

    def elsewhere(self, host: str, port: int) -> "DatabaseClient":
        """Return a client of another server, with the same settings and credentials."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        settings = self.settings.model_copy(update={"primary": address, "replica": None})
        return DatabaseClient(settings, self._credentials)

    @asynccontextmanager
    async def asked(
        self, place: Instance, *, connect: float | None = None, limit: float | None = None
    ) -> AsyncIterator[Session]:
        """Open a session. Raises RunbookError with advice."""
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
                    # the password may have changed since the Secret was read
                    target, fresh = await self._target(place, fresh=True), True
            try:
                if connection.info.server_version < errors.OLDEST:
                    raise errors.too_old(target.label, connection.info.server_version)
                session = Session(connection, target, limit)
                await session.limited()
                yield session
            finally:
                await connection.close()  # this does not wait
        finally:
            self._places.release()

    async def answers(self, place: Instance) -> QueryResult:
        """Return whether it answers, and how fast. Never raises, and never takes longer than `answer_timeout`."""
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
                        connections=_usage("", found["used"], found["most"]),
                        tightest=_usage(str(found["role"]), found["role_used"], found["role_most"]),
                        replayed=found["replayed"],
                        streaming=found["streaming"],
                        paused=bool(found["paused"]),
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
        connection.adapters.register_loader("json", TextLoader)  # its bytes are also in the server's encoding
        await connection.set_read_only(True)
        return connection

    def _how(self, target: Target, seconds: float, limit: float) -> dict[str, Any]:
        """Return all connection keywords explicitly: nothing comes from `PG…` variables, a password file or a service file."""
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
            # the server's identity is not verified, so the password itself is never sent
            how["require_auth"] = "scram-sha-256,md5"
        return how
