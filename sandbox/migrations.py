"""The migrations of the invented medical record: `npm run migrate:up`, `migrate:down` and `migrate:list` in the backend's images.

Production's change the sandbox's PostgreSQL where there is one; without it, and in staging, a table in memory stands for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sandbox.cluster.images import tag_of
from sandbox.cluster.logs import LOGIN
from sandbox.cluster.programs import Execution, Scripts
from sandbox.postgres import Database
from sandbox.postgres.schema import FIRST_MIGRATIONS


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
BROKEN = "v2.1.0-sqlerror"
"""The version whose migration fails."""


def contained(version: str) -> tuple[Migration, ...]:
    """Return what an image of that version contains, oldest first."""
    first = tuple(Migration(name, "SELECT 1;", "SELECT 1;") for name in FIRST_MIGRATIONS)
    if version.startswith("v1"):
        return first
    return (*first, *_OF_2_0, *((_BROKEN,) if version == BROKEN else ()))


class Schemas:
    """Each namespace's applied migrations."""

    def __init__(self, database: Database | None, real: str = "omnicare-prod") -> None:
        self._database, self._real = database, real
        self._memory: dict[str, list[str]] = {}
        self.ran: list[tuple[str, str]] = []
        """(namespace, program) of each that changed something or tried to."""

    def scripts(self) -> Scripts:
        """What `npm run` knows of them."""
        return {"migrate:up": self._up, "migrate:down": self._down, "migrate:list": self._list}

    async def reset(self) -> None:
        """Undo what was applied since the beginning."""
        self._memory.clear()
        ran, self.ran = self.ran, []
        if any(self._is_real(namespace) for namespace, _ in ran):
            known = {each.name: each for each in contained("v2")}
            for name in reversed(await self.applied(self._real)):
                if name in known and name not in FIRST_MIGRATIONS:
                    await self._change(self._real, known[name], up=False)

    async def applied(self, namespace: str) -> list[str]:
        """Return the names, oldest first."""
        if not self._is_real(namespace):
            return list(self._memory.setdefault(namespace, list(FIRST_MIGRATIONS)))
        assert self._database is not None
        await self._database.ready()
        connection = await self._database.connect("postgres")
        try:
            found = await (
                await connection.execute("SELECT version FROM schema_migrations ORDER BY version")
            ).fetchall()
        finally:
            await connection.close()
        return [next(iter(row.values())) if isinstance(row, dict) else row[0] for row in found]

    def _is_real(self, namespace: str) -> bool:
        return self._database is not None and namespace == self._real

    async def _change(self, namespace: str, migration: Migration, *, up: bool) -> str:
        """Return why it failed; empty where it did not."""
        if not self._is_real(namespace):
            if migration is _BROKEN:
                return 'invalid input syntax for type bigint: "ICU"'
            applied = self._memory.setdefault(namespace, list(FIRST_MIGRATIONS))
            if up:
                applied.append(migration.name)
            else:
                applied.remove(migration.name)
            return ""
        assert self._database is not None
        connection = await self._database.connect("postgres")
        kept = "INSERT INTO schema_migrations VALUES (%s)" if up else "DELETE FROM schema_migrations WHERE version = %s"
        try:
            await connection.execute(migration.up if up else migration.down)
            await connection.execute(kept, (migration.name,))
        except Exception as error:  # noqa: BLE001 - the server's own words are what the program prints
            return str(error).partition("\n")[0]
        finally:
            await connection.close()
        return ""

    async def _up(self, execution: Execution) -> int:
        namespace = execution.namespace
        self.ran.append((namespace, "migrate:up"))
        await execution.out(f"connecting to postgres://{LOGIN}@postgres-primary:5432/omnicare_emr\n".encode())
        applied = await self.applied(namespace)
        left = [each for each in contained(_version(execution)) if each.name not in applied]
        if not left:
            await execution.out(b"no migrations to run\n")
        return await self._each(execution, left, up=True)

    async def _down(self, execution: Execution) -> int:
        namespace = execution.namespace
        self.ran.append((namespace, "migrate:down"))
        applied = await self.applied(namespace)
        known = {each.name: each for each in contained(_version(execution))}
        if not applied or applied[-1] not in known:
            await execution.err(f"Error: {applied[-1] if applied else 'no migration'} is not in this image\n".encode())
            return 1
        return await self._each(execution, [known[applied[-1]]], up=False)

    async def _each(self, execution: Execution, migrations: list[Migration], *, up: bool) -> int:
        for each in migrations:
            why = await self._change(execution.namespace, each, up=up)
            if why:
                await execution.err(f"Error: {each.name} failed: {why}\n".encode())
                return 1
            await execution.out(f"{'applied' if up else 'undid'} {each.name}\n".encode())
        return 0

    async def _list(self, execution: Execution) -> int:
        told = [{"name": each.name, "sql": each.up} for each in contained(_version(execution))]
        await execution.out(json.dumps(told).encode() + b"\n")
        return 0


def _version(execution: Execution) -> str:
    return tag_of(str(execution.pod["spec"]["containers"][0]["image"])).partition(":")[2]
