"""How large a database and its tables are, how many of their rows are dead, and how old their oldest transaction ids.

A table's size is asked of the disk, which takes a lock that every reader takes; where somebody has a table locked against that, or waits to,
the size is the catalogue's, from the last vacuum or analyze. So the look waits for nobody.
"""

from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres import activity
from runbooks.clients.postgres.database import Row, Session

MOST = 100
"""Tables that one look returns, the largest first."""
_OLDEST = 5

_DATABASE = """
SELECT pg_database_size(current_database()) AS bytes, current_setting('autovacuum_freeze_max_age')::bigint AS freeze_at,
       current_setting('autovacuum') = 'on' AS autovacuum, (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS since
"""

_AGES = """
SELECT datname AS name, age(datfrozenxid)::bigint AS age, mxid_age(datminmxid)::bigint AS multi
  FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT %s
"""

_TABLE_AGES = """
SELECT coalesce(o.oid, c.oid)::regclass::text AS name, age(c.relfrozenxid)::bigint AS age, mxid_age(c.relminmxid)::bigint AS multi
  FROM pg_class c LEFT JOIN pg_class o ON o.reltoastrelid = c.oid
 WHERE c.relkind IN ('r', 'm', 't') AND c.relfrozenxid <> '0'::xid
 ORDER BY greatest(age(c.relfrozenxid), mxid_age(c.relminmxid)) DESC LIMIT %s
"""

_HOLDS = """
SELECT * FROM (
  SELECT 'pid ' || pid AS who, age(backend_xmin)::bigint AS age FROM pg_stat_activity
   WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
  UNION ALL SELECT 'prepared transaction ' || gid, age(transaction)::bigint FROM pg_prepared_xacts
  UNION ALL SELECT 'replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin))::bigint FROM pg_replication_slots
   WHERE coalesce(xmin, catalog_xmin) IS NOT NULL) held
 ORDER BY age DESC LIMIT 1
"""

_TABLES = """
WITH every AS (
  SELECT c.oid, c.relpages, c.relpages::bigint + coalesce(t.relpages, 0)
           + coalesce((SELECT sum(i.relpages) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), 0) AS pages,
         s.n_live_tup AS live, s.n_dead_tup AS dead, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed,
         greatest(s.last_analyze, s.last_autoanalyze) AS analyzed,
         EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
                    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS locked
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
   WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%%'),
largest AS (SELECT *, count(*) OVER () AS tables FROM every ORDER BY greatest(pages, live / 200) DESC LIMIT %s)
SELECT oid::regclass::text AS name, tables, live, dead, vacuumed, analyzed, locked,
       CASE WHEN locked THEN pages * current_setting('block_size')::int ELSE pg_total_relation_size(oid) END::bigint AS total,
       CASE WHEN locked THEN relpages::bigint * current_setting('block_size')::int ELSE pg_relation_size(oid) END::bigint AS heap,
       CASE WHEN locked THEN NULL ELSE pg_indexes_size(oid) END::bigint AS indexes
  FROM largest ORDER BY total DESC, name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTable:
    """A table as it lies on the disk."""

    name: str
    total: int
    """Bytes, with its indexes and what is stored out of line."""
    heap: int
    """Bytes of its rows alone."""
    indexes: int | None
    live: int
    """Rows, as the statistics estimate them."""
    dead: int
    """Rows that nobody sees any more and vacuum has not cleaned up."""
    vacuumed: datetime | None
    analyzed: datetime | None
    locked: bool
    """Its size is the catalogue's."""


@dataclass(frozen=True, slots=True)
class TransactionAge:
    """How many transactions ago the oldest id was given that a database or table still holds."""

    name: str
    age: int
    multi: int
    """The same for ids of groups of transactions (multixacts)."""

    @property
    def worst(self) -> int:
        """Return the larger of the two."""
        return max(self.age, self.multi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What a database stores, and how its clean-up stands."""

    bytes: int
    tables: tuple[StoredTable, ...]
    """The largest first."""
    of: int
    """So many tables there are."""
    freeze_at: int
    """`autovacuum_freeze_max_age`: at this age autovacuum begins to freeze a table whatever happens."""
    autovacuum: bool
    databases: tuple[TransactionAge, ...]
    """Of the whole server, the oldest first: it stops as a whole."""
    oldest: tuple[TransactionAge, ...]
    """Tables of this database, the oldest first."""
    held_by: str
    """What keeps vacuum from cleaning up further; empty where nothing does."""
    held_age: int
    """In transactions."""


async def storage(session: Session) -> Storage:
    """Return what is stored. Raises RunbookError."""
    await activity.may_see(session)
    here = await session.row(_DATABASE)
    tables = await session.rows(_TABLES, MOST)
    held = await session.rows(_HOLDS)
    return Storage(
        bytes=int(here["bytes"]),
        tables=tuple(map(_table, tables)),
        of=int(tables[0]["tables"]) if tables else 0,
        freeze_at=int(here["freeze_at"]),
        autovacuum=bool(here["autovacuum"]),
        databases=tuple(map(_age, await session.rows(_AGES, _OLDEST))),
        oldest=tuple(map(_age, await session.rows(_TABLE_AGES, _OLDEST))),
        held_by=str(held[0]["who"]) if held else "",
        held_age=int(held[0]["age"] or 0) if held else 0,
    )


def _table(row: Row) -> StoredTable:
    return StoredTable(
        name=str(row["name"]).removeprefix("public."),
        total=int(row["total"]),
        heap=int(row["heap"]),
        indexes=row["indexes"],
        live=int(row["live"] or 0),
        dead=int(row["dead"] or 0),
        vacuumed=row["vacuumed"],
        analyzed=row["analyzed"],
        locked=bool(row["locked"]),
    )


def _age(row: Row) -> TransactionAge:
    return TransactionAge(str(row["name"]).removeprefix("public."), int(row["age"]), int(row["multi"]))
