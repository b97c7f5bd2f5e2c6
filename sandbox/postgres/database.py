"""The sandbox's database: a primary and a replica behind two doors, filled and used, with the reader's role and the DBA's function.

The doors are there at once, so the bot's configuration can name them; the servers come up behind them side by side with everything else,
and where they can't, everything else works. The two SQL files are those that `deploy/database/` ships, run with psql as a DBA would.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.cluster import Cluster
from sandbox.postgres import schema
from sandbox.postgres.door import Door
from sandbox.postgres.server import Binaries, Server, ServerFailed

SQL = Path(__file__).parents[2] / "deploy" / "database"
_log = logging.getLogger(__name__)
_POOL = 12
"""Connections that the backend's role may have, where that is what is wrong."""
_LISTED = "SELECT id, status FROM {table} WHERE patient_id = {patient} ORDER BY started_at"
_SEARCHES = schema.statements([(*schema.DAY[0][:2], 60)], schema.APPLICATION)
_WAITS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'migrate' AND wait_event_type = 'Lock'"


class Database:
    """A primary, and with `replica` a replica that follows it."""

    def __init__(self, binaries: Binaries | None = None, *, replica: bool = True) -> None:
        self.reader_password = f"reader-{secrets.token_hex(12)}"
        self.trouble = ""
        """Why there is none, where there is none."""
        self._passwords = {role: secrets.token_hex(12) for role in (schema.APPLICATION, schema.REPORTS)}
        self._binaries = binaries
        self._wants_replica = replica
        self._up: asyncio.Task[None] | None = None
        self._stood: dict[str, asyncio.Event] = {"primary": asyncio.Event(), "replica": asyncio.Event()}
        self.servers: dict[str, Server] = {}
        self.primary = Door(lambda: self._port("primary"))
        self.replica = Door(lambda: self._port("replica"))
        self._scratch: set[str] = set()
        self.wanted: set[str] = set()
        """How it is to be broken."""
        self.broken: set[str] = set()
        """How it is broken, once it is."""
        self._following: asyncio.Task[None] | None = None
        self._held: dict[str, list[Any]] = {}
        """By how it is broken: the connections that do it, the one that all others wait for first."""
        self._paused = False
        self.limited = False
        """The backend's role may have only so many connections, and has them."""
        self.waiting_since = 0.0
        """When somebody last began to wait for a lock (time.monotonic)."""
        self._waiting: dict[str, list[asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Database]:
        """The doors are open when it gives itself; the servers come up behind them."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.primary.serve())
            await stack.enter_async_context(self.replica.serve())
            self._up = asyncio.create_task(self._come_up())
            try:
                yield self
            finally:
                await self.mend()
                self._up.cancel()
                await asyncio.gather(self._up, return_exceptions=True)
                await asyncio.gather(*(server.stop() for server in self.servers.values()), return_exceptions=True)

    async def ready(self) -> None:
        """Once all of it is there. Raises ServerFailed."""
        assert self._up is not None, "it is served"
        await asyncio.shield(self._up)
        if self.trouble:
            raise ServerFailed(self.trouble)

    def settings(self, folder: Path | None = None) -> dict[str, object]:
        """Its table of `omnicare.toml`. The credentials are in a Secret, or with `folder` in a file there."""
        plain: dict[str, object] = {
            "primary": self.primary.address,
            "replica": self.replica.address,
            "name": schema.NAME,
            "tls": "disable",
        }
        if folder is None:
            return plain
        path = folder / "database-url"
        path.touch(mode=0o600)
        path.write_text(
            f"postgresql://{schema.READER}:{self.reader_password}@{self.primary.address}/{schema.NAME}\n", "utf-8"
        )
        return {**plain, "file": str(path)}

    def hand_out(self, cluster: Cluster, namespace: str = "omnicare-prod") -> None:
        """The reader's Secret, as the cluster's people would make it."""
        data = {"username": schema.READER, "password": self.reader_password}
        metadata = {"name": "omnicare-bot-database", "namespace": namespace}
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    async def connect(self, role: str, *, place: str = "primary") -> Any:
        """A connection of psycopg's as that role, straight to the server."""
        password = self.reader_password if role == schema.READER else self._passwords.get(role)
        return await self.servers[place].connect(user=role, password=password, name=schema.NAME)

    async def scratch(self, name: str) -> Any:
        """A connection of psycopg's to the empty database of that name, which is made where it does not exist; it stays as long as the server."""
        server = self.servers["primary"]
        if name not in self._scratch:
            self._scratch.add(name)
            admin = await server.connect()
            await admin.execute(f'CREATE DATABASE "{name}"')
            await admin.close()
            made = await server.connect(name=name)
            await made.execute(schema.BOOKKEEPING)
            await made.close()
        return await server.connect(name=name)

    # breaking it

    def want(self, how: str, *, broken: bool) -> None:
        """It is to be broken in that way too, or no longer; that follows as soon as the database is up (`settled`)."""
        (self.wanted.add if broken else self.wanted.discard)(how)
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())

    async def settled(self) -> None:
        """Once it is broken as it is wanted, and in no other way."""
        while self._following is not None and not self._following.done():
            await asyncio.shield(self._following)

    async def _follow(self) -> None:
        assert self._up is not None, "it is served"
        await asyncio.wait([self._up])
        while not self.trouble and self.broken != self.wanted:
            for how in sorted(self.broken - self.wanted):
                await self.mend(how)
            for how in sorted(self.wanted - self.broken):
                await self.break_it(how)

    async def break_it(self, how: str) -> None:
        """As a scenario wants it, once the database is up."""
        await self.ready()
        if how == "lock":
            await self.hold()
        elif how == "blocked":
            await self.leave_open()
        elif how == "lag":
            await self.fall_behind()
        elif how == "full":
            await self.exhaust()
        elif how == "heavy":
            await self.search()
        elif how == "slow":
            self.slow_down(0.15)
        else:
            self.vanish()
        self.broken.add(how)

    async def hold(self, table: str = "encounters", waiting: int = 4) -> None:
        """Somebody's migration has a table locked and does not end; the application's sessions wait behind it."""
        await self.ready()
        holder = await self.connect("postgres")
        self._held.setdefault("lock", []).append(holder)
        await holder.execute("BEGIN")
        await self._do_or_wait("lock", holder, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        self.waiting_since = time.monotonic()
        for number in range(waiting):
            waits = await self._as_application()
            self._wait("lock", waits, _LISTED.format(table=table, patient=number + 1))

    async def leave_open(self) -> int:
        """A session of the application's left a transaction open; a migration waits for it, and the application behind the migration.

        Returns that session's pid.
        """
        await self.ready()
        holder = await self._as_application()
        held = self._held.setdefault("blocked", [])
        held.append(holder)
        await holder.execute("SET application_name = 'backend'")
        await holder.execute("BEGIN")
        await self._do_or_wait("blocked", holder, "UPDATE encounters SET status = 'finished' WHERE id = 4711")
        migration = await self.connect("postgres")
        await migration.execute("SET application_name = 'migrate'")
        self._wait("blocked", migration, "ALTER TABLE encounters ADD COLUMN IF NOT EXISTS status text")
        observer = await self.connect("postgres")
        held.append(observer)
        while not await (await observer.execute(_WAITS)).fetchone():  # noqa: ASYNC110 - those after it are to stand behind it
            await asyncio.sleep(0.02)
        for number in range(3):
            waits = await self._as_application()
            await waits.execute("SET application_name = 'backend'")
            self._wait("blocked", waits, _LISTED.format(table="encounters", patient=number + 1))
        self.waiting_since = time.monotonic()
        return int(holder.info.backend_pid)

    async def exhaust(self, most: int = _POOL) -> None:
        """The backend's role has used all connections that it may have; most of them do nothing, in an open transaction."""
        await self.ready()
        for number in range(most):
            connection = await self.connect(schema.APPLICATION)
            self._held.setdefault("full", []).append(connection)
            await connection.execute("SET application_name = 'backend'")
            if number % 4:
                await connection.execute("BEGIN")
            await connection.execute("SELECT count(*) FROM sync_items WHERE state = 'pending'")
        await self._limit(most)

    async def search(self) -> None:
        """The application searches where there is no index, again and again; its statistics stay."""
        await self.ready()
        connection = await self._as_application()
        async with connection:
            for sql in _SEARCHES:
                await connection.execute(sql)

    async def _as_application(self) -> Any:
        """A connection of the application's, also where its role may have no more."""
        if not self.limited:
            return await self.connect(schema.APPLICATION)
        await self._limit(-1)
        try:
            return await self.connect(schema.APPLICATION)
        finally:
            await self._limit(_POOL)

    async def _limit(self, most: int) -> None:
        owner = await self.connect("postgres")
        async with owner:
            await owner.execute(f"ALTER ROLE {schema.APPLICATION} CONNECTION LIMIT {most}")
        self.limited = most >= 0

    async def fall_behind(self) -> None:
        """Somebody paused the replica, and the application goes on writing."""
        await self.ready()
        await self._replay("pause")
        writes = await self.connect(schema.APPLICATION)
        async with writes:
            await writes.execute("UPDATE sync_items SET queued_at = now()")

    async def _replay(self, what: str) -> None:
        replica = await self.connect("postgres", place="replica")
        async with replica:
            await replica.execute(f"SELECT pg_wal_replay_{what}()")
        self._paused = what == "pause"

    async def _do_or_wait(self, how: str, connection: Any, sql: str) -> None:
        """Where the table is held in another way too, this waits behind it."""
        if self.broken & {"lock", "blocked"} - {how}:
            self._wait(how, connection, sql)
        else:
            await connection.execute(sql)

    def _wait(self, how: str, connection: Any, sql: str) -> None:
        self._held[how].append(connection)
        self._waiting.setdefault(how, []).append(asyncio.ensure_future(_quietly(connection, sql)))

    def slow_down(self, seconds: float) -> None:
        """Every answer takes so long."""
        self.primary.delay = self.replica.delay = seconds

    def vanish(self) -> None:
        """Neither answers any more."""
        self.primary.fall_silent()
        self.replica.fall_silent()

    async def mend(self, only: str = "") -> None:
        """As it was: in every way, or in this one alone."""
        ways = {only} if only else {"lock", "blocked", "lag", "full", "slow", "gone"}
        if not only:
            self.wanted.clear()
            await self.settled()
        self.broken -= ways
        if "slow" in ways:
            self.primary.delay = self.replica.delay = 0.0
        if "gone" in ways:
            self.primary.speak()
            self.replica.speak()
        for how in ways & self._held.keys():
            await self._let_go(how)
        if "full" in ways and self.limited:
            await self._limit(-1)
        if "lag" in ways and self._paused:
            await self._replay("resume")

    async def _let_go(self, how: str) -> None:
        held = self._held.pop(how)
        owner = await self.connect("postgres")
        async with owner:
            for connection in held:  # the holder first; who still waits for somebody else ends too
                await owner.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        await asyncio.gather(*self._waiting.pop(how, []))
        for connection in held:
            await connection.close()

    # coming up

    async def _port(self, place: str) -> int:
        await self._stood[place].wait()
        if self.trouble:
            raise ConnectionRefusedError
        return self.servers[place].port

    async def _come_up(self) -> None:
        try:
            binaries = self._binaries or Binaries.of_the_wheel()
            primary = self.servers["primary"] = Server(binaries)
            await primary.start()
            await self._furnish(primary)
            self._stood["primary"].set()
            await self._use("primary", schema.DAY)
            if self._wants_replica:
                replica = self.servers["replica"] = Server(binaries, name="replica")
                await replica.follow(primary)
                self._stood["replica"].set()
                await self._use("replica", schema.ON_REPLICA)
        except (ServerFailed, OSError) as error:
            self.trouble = str(error) or type(error).__name__
            _log.warning("the sandbox has no database: %s", self.trouble)
        except Exception as error:  # noqa: BLE001 - whatever it is, everything else in the sandbox works without a database
            self.trouble = f"{type(error).__name__}: {error}"
            _log.exception("the sandbox has no database")
        finally:
            for event in self._stood.values():
                event.set()

    async def _furnish(self, server: Server) -> None:
        admin = await server.connect()
        await admin.execute(f'CREATE DATABASE "{schema.NAME}"')
        for role, password in self._passwords.items():
            await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        await admin.close()
        owner = await server.connect(name=schema.NAME)
        await owner.execute(schema.TABLES)
        await owner.execute(schema.ROWS)
        await owner.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {schema.APPLICATION}"
        )
        await owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {schema.REPORTS}")
        await owner.execute(f"ALTER ROLE {schema.REPORTS} SET work_mem = '256kB'")
        await owner.execute("SELECT pg_stat_force_next_flush()")  # else the rows are counted again, after ANALYZE
        await owner.execute("ANALYZE")
        await server.psql(SQL / "reader.sql", name=schema.NAME)
        for table, column in schema.DRILL_TABLES.items():
            await owner.execute(f"GRANT SELECT ({column}) ON {table} TO {schema.READER}")
        await owner.execute(f"ALTER ROLE {schema.READER} PASSWORD '{self.reader_password}'")
        for role in (schema.APPLICATION, schema.REPORTS):
            await server.psql(SQL / "explain.sql", name=schema.NAME, application=role)
        await server.psql(SQL / "kill.sql", name=schema.NAME)
        await owner.execute("SELECT pg_stat_statements_reset()")
        await owner.close()

    async def _use(self, place: str, day: Any) -> None:
        """A day of the application's, in a second. Each statement stands alone, with its values in it, as drivers send them."""
        for role in (schema.APPLICATION, schema.REPORTS):
            connection = await self.connect(role, place=place)
            for sql in schema.statements(day, role):
                await connection.execute(sql)
            await connection.close()


async def _quietly(connection: Any, sql: str) -> None:
    with contextlib.suppress(Exception):
        await connection.execute(sql)
