"""The migrations of the invented medical record: `npm run migrate:up`, `migrate:down`, `migrate:list` and `db:test` in the backend's images.

Production's change the sandbox's PostgreSQL where there is one; without it, and in staging, a table in memory stands for it. A pod with a
scratch database of its own gets an empty database in the same server.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sandbox.cluster.images import tag_of
from sandbox.cluster.logs import LOGIN
from sandbox.cluster.programs import Execution, Scripts
from sandbox.postgres import Database
from sandbox.postgres.schema import FIRST_MIGRATIONS
from sandbox.postgres.server import ServerFailed


@dataclass(frozen=True)
class Migration:
    """One change of the schema."""

    name: str
    up: str
    down: str


_OF_2_0 = (
    Migration(
        "20261001_add_encounter_reason",
        "ALTER TABLE encounters ADD COLUMN reason text;",
        "ALTER TABLE encounters DROP COLUMN reason;",
    ),
    Migration(
        "20261015_index_observations_by_code",
        "CREATE INDEX observations_by_code ON observations (code, taken_at);",
        "DROP INDEX observations_by_code;",
    ),
)
_BROKEN = Migration(
    "20261101_ward_as_number", "ALTER TABLE patients ALTER COLUMN ward TYPE bigint USING ward::bigint;", ""
)
_DROPS = Migration(
    "20261120_drop_ward",
    "ALTER TABLE patients DROP COLUMN ward;",
    "ALTER TABLE patients ADD COLUMN ward text NOT NULL DEFAULT '';",
)
BROKEN = "v2.1.0-sqlerror"
"""The version whose migration fails."""
DROPS = "v2.2.0-drops"
"""The version on whose schema no older release runs."""
_READ_BY_ALL = (
    "SELECT id, mrn, family_name, given_name FROM patients LIMIT 1",
    "SELECT id, patient_id, status, started_at FROM encounters LIMIT 1",
)
_READ_BEFORE = "SELECT id, ward FROM patients LIMIT 1"
"""By all releases but the one that drops the column."""
_SCRATCH = "@127.0.0.1:"


def contained(version: str) -> tuple[Migration, ...]:
    """Return what an image of that version contains, oldest first."""
    first = tuple(Migration(name, sql, "SELECT 1;") for name, sql in FIRST_MIGRATIONS.items())
    if version.startswith("v1"):
        return first
    return (*first, *_OF_2_0, *((_BROKEN,) if version == BROKEN else (_DROPS,) if version == DROPS else ()))


class Schemas:
    """Each namespace's applied migrations, and those of scratch databases."""

    def __init__(self, database: Database | None, real: str = "omnicare-prod") -> None:
        self._database, self._real = database, real
        self._memory: dict[str, list[str]] = {}
        self.ran: list[tuple[str, str]] = []
        """(namespace, program) of each that changed something or tried to; not in a scratch database."""

    def scripts(self) -> Scripts:
        """What `npm run` knows of them."""
        return {
            "migrate:up": self._up,
            "migrate:down": self._down,
            "migrate:list": self._list,
            "db:test": self._test,
        }

    async def reset(self) -> None:
        """Undo what was applied since the beginning."""
        self._memory.clear()
        ran, self.ran = self.ran, []
        if any(self._is_real(namespace) for namespace, _ in ran):
            known = {each.name: each for version in (DROPS, BROKEN) for each in contained(version)}
            for name in reversed(await self.applied(self._real)):
                if name in known and name not in FIRST_MIGRATIONS:
                    await self._change(self._real, known[name], up=False)

    async def applied(self, place: str) -> list[str]:
        """Return the names, oldest first; `place`: a namespace, or a scratch database's name."""
        if self._database is None or not (self._is_real(place) or _is_scratch(place)):
            return list(self._remembered(place))
        async with self._connected(place) as connection:
            sql = "SELECT version FROM schema_migrations ORDER BY version"
            found = await (await connection.execute(sql)).fetchall()
        return [next(iter(row.values())) if isinstance(row, dict) else row[0] for row in found]

    async def trouble(self, execution: Execution) -> str:
        """Return why the container's release does not run on the schema that its database has; empty where it does."""
        place, drops = _place(execution), _version(execution) == DROPS
        if self._database is None or not (self._is_real(place) or _is_scratch(place)):
            return "" if drops or _DROPS.name not in self._remembered(place) else 'column "ward" does not exist'
        try:
            async with self._connected(place) as connection:
                for sql in (*_READ_BY_ALL, *(() if drops else (_READ_BEFORE,))):
                    await connection.execute(sql)
        except ServerFailed:
            return ""  # a sandbox without PostgreSQL
        except Exception as error:  # noqa: BLE001 - the server's own words are what the program prints
            return str(error).partition("\n")[0]
        return ""

    def _is_real(self, place: str) -> bool:
        return self._database is not None and place == self._real

    def _remembered(self, place: str) -> list[str]:
        return self._memory.setdefault(place, [] if _is_scratch(place) else list(FIRST_MIGRATIONS))

    @asynccontextmanager
    async def _connected(self, place: str) -> AsyncIterator[Any]:
        assert self._database is not None
        await self._database.ready()
        connecting = self._database.scratch(place) if _is_scratch(place) else self._database.connect("postgres")
        connection = await connecting
        try:
            yield connection
        finally:
            await connection.close()

    async def _change(self, place: str, migration: Migration, *, up: bool) -> str:
        """Return why it failed; empty where it did not."""
        if self._database is None or not (self._is_real(place) or _is_scratch(place)):
            if migration is _BROKEN:
                return 'invalid input syntax for type bigint: "ICU"'
            applied = self._remembered(place)
            if up:
                applied.append(migration.name)
            else:
                applied.remove(migration.name)
            return ""
        kept = "INSERT INTO schema_migrations VALUES (%s)" if up else "DELETE FROM schema_migrations WHERE version = %s"
        try:
            async with self._connected(place) as connection:
                await connection.execute(migration.up if up else migration.down)
                await connection.execute(kept, (migration.name,))
        except Exception as error:  # noqa: BLE001 - the server's own words are what the program prints
            return str(error).partition("\n")[0]
        return ""

    async def _up(self, execution: Execution) -> int:
        place = _place(execution)
        if not _is_scratch(place):
            self.ran.append((place, "migrate:up"))
        login = "postgres@127.0.0.1" if _is_scratch(place) else f"{LOGIN}@postgres-primary"
        await execution.out(f"connecting to postgres://{login}:5432/omnicare_emr\n".encode())
        applied = await self.applied(place)
        left = [each for each in contained(_version(execution)) if each.name not in applied]
        if not left:
            await execution.out(b"no migrations to run\n")
        return await self._each(execution, left, up=True)

    async def _down(self, execution: Execution) -> int:
        place = _place(execution)
        self.ran.append((place, "migrate:down"))
        applied = await self.applied(place)
        known = {each.name: each for each in contained(_version(execution))}
        if not applied or applied[-1] not in known:
            await execution.err(f"Error: {applied[-1] if applied else 'no migration'} is not in this image\n".encode())
            return 1
        return await self._each(execution, [known[applied[-1]]], up=False)

    async def _each(self, execution: Execution, migrations: list[Migration], *, up: bool) -> int:
        for each in migrations:
            why = await self._change(_place(execution), each, up=up)
            if why:
                await execution.err(f"Error: {each.name} failed: {why}\n".encode())
                return 1
            await execution.out(f"{'applied' if up else 'undid'} {each.name}\n".encode())
        return 0

    async def _list(self, execution: Execution) -> int:
        told = [{"name": each.name, "sql": each.up} for each in contained(_version(execution))]
        await execution.out(json.dumps(told).encode() + b"\n")
        return 0

    async def _test(self, execution: Execution) -> int:
        if why := await self.trouble(execution):
            await execution.err(f"Error: the database test failed: {why}\n".encode())
            return 1
        await execution.out(b"database connection ok (3 ms)\n")
        return 0


def _place(execution: Execution) -> str:
    """The namespace, or the name of the pod's own scratch database."""
    if _SCRATCH in execution.environment.get("DATABASE_URL", ""):
        return "scratch_" + str(execution.pod["metadata"]["uid"]).replace("-", "")[:16]
    return execution.namespace


def _is_scratch(place: str) -> bool:
    return place.startswith("scratch_")


def _version(execution: Execution) -> str:
    return tag_of(execution.image).partition(":")[2]
