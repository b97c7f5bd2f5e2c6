"""A database's indexes with how often each was used, and how often tables were read from start to end.

Sizes are the catalogue's, from the last vacuum: asking the disk would wait for whoever has a table locked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres.database import Row, Session

MOST = 2000
"""Indexes, and tables, that one look returns, the largest first."""
_PROGRESS = 120000
"""PostgreSQL 12 says which indexes are being built."""

_INDEXES = """
SELECT x.indexrelid::regclass::text AS name, x.indrelid::regclass::text AS tablename, a.amname AS method, x.indisunique AS is_unique,
       x.indisvalid AND x.indisready AS valid, coalesce(s.idx_scan, 0) AS scans,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid) AS is_constraint,
       c.relpages::bigint * current_setting('block_size')::int AS bytes, x.indnkeyatts AS key_count, x.indnatts AS column_count,
       x.indexprs IS NULL AND x.indpred IS NULL AS plain, string_to_array(x.indkey::text, ' ') AS columns,
       string_to_array(x.indclass::text, ' ') AS classes, string_to_array(x.indcollation::text, ' ') AS collations,
       string_to_array(x.indoption::text, ' ') AS options, {building} AS building
  FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
  LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = x.indexrelid
 WHERE c.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%%'
 ORDER BY bytes DESC, 1 LIMIT %s
"""

_SCANS = """
SELECT s.relid::regclass::text AS name, s.seq_scan AS scans, s.seq_tup_read AS read, coalesce(s.idx_scan, 0) AS by_index,
       CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE s.n_live_tup END::bigint AS rows
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid WHERE s.seq_scan > 0 ORDER BY seq_tup_read DESC, 1 LIMIT %s
"""

_SINCE = "SELECT stats_reset AS since FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index and what it was used for."""

    name: str
    table: str
    method: str
    unique: bool
    constraint: bool
    """It belongs to a constraint, such as a primary key."""
    valid: bool
    building: bool
    """Somebody is creating it now."""
    scans: int
    bytes: int
    plain: bool
    """Of columns alone: no expression, no condition."""
    keys: tuple[tuple[str, ...], ...]
    """Each key's column, operator class, collation and order, in the server's numbers."""
    covers: bool
    """It has columns besides its keys (`INCLUDE`)."""


@dataclass(frozen=True, slots=True)
class TableScans:
    """How a table was read."""

    name: str
    scans: int
    """From start to end."""
    read: int
    """Rows read so."""
    by_index: int
    rows: int


@dataclass(frozen=True, slots=True)
class IndexUse:
    """A server's indexes and how they are used there: each server counts only its own statements."""

    indexes: tuple[Index, ...]
    tables: tuple[TableScans, ...]
    since: datetime | None
    """When the counts began; None where nobody ever reset them."""


async def indexes(session: Session) -> IndexUse:
    """Return the indexes and their use. Raises RunbookError."""
    building = (
        "EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid)"
        if session.version >= _PROGRESS
        else "false"
    )
    found = await session.rows(_INDEXES.format(building=building), MOST)
    scans = await session.rows(_SCANS, MOST)
    since = await session.row(_SINCE)
    return IndexUse(tuple(map(_index, found)), tuple(map(_scans, scans)), since["since"])


def _index(row: Row) -> Index:
    return Index(
        name=_plain(row["name"]),
        table=_plain(row["tablename"]),
        method=str(row["method"]),
        unique=bool(row["is_unique"]),
        constraint=bool(row["is_constraint"]),
        valid=bool(row["valid"]),
        building=bool(row["building"]),
        scans=int(row["scans"]),
        bytes=int(row["bytes"]),
        plain=bool(row["plain"]),
        keys=_keys(row),
        covers=int(row["column_count"]) > int(row["key_count"]),
    )


def _keys(row: Mapping[str, list[str]]) -> tuple[tuple[str, ...], ...]:
    parts = (row["columns"], row["classes"], row["collations"], row["options"])
    return tuple(zip(*parts, strict=False))  # only the first has the columns that are no keys


def _scans(row: Row) -> TableScans:
    return TableScans(
        _plain(row["name"]), int(row["scans"]), int(row["read"] or 0), int(row["by_index"]), int(row["rows"] or 0)
    )


def _plain(name: object) -> str:
    return str(name).removeprefix("public.")
