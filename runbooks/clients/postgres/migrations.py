"""What a database knows of its own schema's changes: the table of applied migrations, and how large and busy other tables are."""

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.clients.postgres.database import Session

MOST = 5000
"""Applied migrations that are read, the newest."""
_LONGEST = 200
_TABLES = """
SELECT s.relname AS name, greatest(s.n_live_tup, c.reltuples::bigint, 0) AS rows,
       ((s.n_tup_ins + s.n_tup_upd + s.n_tup_del)
        / greatest(extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, pg_postmaster_start_time())), 1))::float8 AS writes
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
  JOIN pg_stat_database d ON d.datname = current_database()
 WHERE s.relname = ANY(%s) ORDER BY 2 DESC LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table: how much waits behind a lock on it."""

    name: str
    rows: int
    """As the server estimates it."""
    writes: float
    """Rows written a second, on average since its statistics were reset."""


async def applied(session: Session, table: str, column: str) -> tuple[str, ...]:
    """Return the names of the applied migrations, the newest first; none where the table does not exist yet. Raises RunbookError.

    `table` and `column` are plain names from the configuration.
    """
    schema, _, name = table.rpartition(".")
    found = await session.row("SELECT to_regclass(%s) IS NOT NULL AS there", f'"{schema or "public"}"."{name}"')
    if not found["there"]:
        return ()
    sql = f'SELECT left("{column}"::text, {_LONGEST}) AS name FROM "{schema or "public"}"."{name}"'  # noqa: S608 - of the configuration
    rows = await session.rows(f'{sql} ORDER BY "{column}" DESC LIMIT {MOST}')
    return tuple(str(row["name"]) for row in rows)


async def sizes(session: Session, tables: Sequence[str]) -> tuple[TableSize, ...]:
    """Return how large and busy these tables are. Raises RunbookError."""
    rows = await session.rows(_TABLES, list(tables))
    return tuple(TableSize(str(row["name"]), int(row["rows"]), float(row["writes"] or 0.0)) for row in rows)
