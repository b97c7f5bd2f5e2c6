"""A real PostgreSQL for a whole test session, in a thread and a loop of its own: 18 from the wheel, 15 from Debian.

`Served` is the sandbox's database as a test sees it; what a test breaks it mends. Each call is passed to the server's own loop.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from runbooks.clients.postgres.access import DatabaseCredentials, DatabaseSettings
from runbooks.clients.postgres.database import DatabaseClient
from runbooks.database.databases import Database
from sandbox.postgres import Binaries, schema
from sandbox.postgres import Database as World

T = TypeVar("T")
PATIENCE = 90.0
"""Seconds for the servers to come up: on this machine 5, and it may be busy."""


def debian(version: int = 15) -> Path:
    return Path(os.environ.get(f"POSTGRES_{version}") or f"/usr/lib/postgresql/{version}/bin")


class Served:
    """Primary and replica, filled and used."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self._loop = loop

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """In the servers' loop; waits for it."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    def call(self, what: Any, *arguments: object) -> None:
        async def called() -> None:
            what(*arguments)

        self.do(called())

    def settings(self, **more: Any) -> DatabaseSettings:
        plain = {key: value for key, value in self.world.settings().items() if key not in more}
        return DatabaseSettings.model_validate({**plain, **more})

    def database(self, *, user: str = schema.READER, password: str | None = None, **settings: Any) -> Database:
        """As the bot has it, in the test's own loop."""

        async def credentials(*, fresh: bool = False) -> DatabaseCredentials:
            return DatabaseCredentials(user, password or self.world.reader_password)

        return Database("production", DatabaseClient(self.settings(**settings), credentials))

    def sql(
        self, *statements: str | bytes, role: str = "postgres", place: str = "primary", name: str | None = None
    ) -> list[Any]:
        """Runs them on one connection of that role's; the last one's rows."""

        async def run() -> list[Any]:
            rows: list[Any] = []
            if name is None:
                connection = await self.world.connect(role, place=place)
            else:
                connection = await self.world.servers[place].connect(name=name)
            async with connection:
                for statement in statements:
                    cursor = await connection.execute(statement)
                    rows = await cursor.fetchall() if cursor.description else []
            return rows

        return self.do(run())

    async def blocked(self, sessions: int = 4) -> None:
        """Waits until so many sessions wait for a lock: they begin to a little after the world says that it is broken."""
        async with asyncio.timeout(60):
            while (await self.database().locks("primary")).waiting < sessions:
                pass

    def mend(self) -> None:
        self.do(self.world.mend())


@contextmanager
def served(binaries: Path | None = None) -> Iterator[Served]:
    """Until the block ends."""
    begun, ended, holder = threading.Event(), asyncio.Event(), dict[str, Any]()

    async def live() -> None:
        try:
            async with World(Binaries(binaries) if binaries else None).serve() as world:
                await world.ready()
                holder["served"] = Served(world, asyncio.get_running_loop())
                begun.set()
                await ended.wait()
        except BaseException as error:
            holder["error"] = error
            raise
        finally:
            begun.set()

    def run() -> None:
        asyncio.run(live())

    thread = threading.Thread(target=run, name="postgres", daemon=True)
    thread.start()
    assert begun.wait(PATIENCE), "the servers never came up"
    if "error" in holder:
        raise holder["error"]
    here: Served = holder["served"]
    try:
        yield here
    finally:
        here._loop.call_soon_threadsafe(ended.set)
        thread.join(30.0)


@contextmanager
def session(here: Served, *statements: str, role: str = schema.APPLICATION) -> Iterator[Any]:
    """A connection of that role's that has run these; what it left open ends with it."""
    connection = here.do(here.world.connect(role))
    try:
        for statement in statements:
            here.do(connection.execute(statement))
        yield connection
    finally:
        here.do(connection.close())
