"""A server's statistics about statements (pg_stat_statements).

The query depends on the extension's columns: they were renamed in PostgreSQL 13 (`mean_time` became `mean_exec_time`), and an
upgraded server may still have the older extension. Texts are unchanged; `runbooks.kit.sql` hides their literals.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbooks.clients.postgres import activity, errors
from runbooks.clients.postgres.database import Row, Session
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode

By = Literal["mean", "total", "calls"]

_LONGEST = 10_000
"""Maximum characters of a text; more than anybody reads."""
_BESIDE = 5
"""Number of statements with the most total time that are always included."""

_EXTENSION = """
SELECT e.extversion AS version, n.nspname AS schema, has_schema_privilege(n.oid, 'USAGE') AS usable,
       has_table_privilege(v.oid, 'SELECT') AS readable,
       (SELECT array_agg(a.attname::text) FROM pg_attribute a
         WHERE a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       EXISTS (SELECT FROM pg_class i WHERE i.relnamespace = n.oid AND i.relname = 'pg_stat_statements_info') AS info
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  LEFT JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = 'pg_stat_statements'
 WHERE e.extname = 'pg_stat_statements'
"""

_ROLE = "SELECT current_user AS role"

# Excludes statements that only come from the driver; COMMIT stays, since it shows a slow disk.
_NOISE = r"^\s*(begin|start\s+transaction|set|show|discard|deallocate|savepoint|release|rollback|close|fetch|unlisten|listen)\M"

_COUNTED = """
WITH counted AS (
  SELECT queryid, sum(calls)::bigint AS calls, sum({total})::float8 AS total, sum({total})::float8 / sum(calls) AS mean,
         max({longest})::float8 AS longest, sum(rows)::bigint AS rows, sum(shared_blks_hit)::bigint AS hit,
         sum(shared_blks_read)::bigint AS read, sum(temp_blks_written)::bigint AS spilled, {since} AS since,
         {outermost} AS outermost, min(left(query, {characters})) AS text, array_agg(DISTINCT userid::regrole::text) AS roles
    FROM {source}
   WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user) AND queryid IS NOT NULL
   GROUP BY queryid)
SELECT * FROM (
  SELECT *, row_number() OVER (ORDER BY {by} DESC, queryid) AS place,
         row_number() OVER (ORDER BY total DESC, queryid) AS by_total
    FROM (SELECT *, coalesce(total / nullif(sum(outermost) OVER (), 0), 0) AS share, count(*) OVER () AS statements,
                 sum(outermost) OVER () AS all_total, sum(calls) OVER ()::bigint AS all_calls,
                 sum(hit) OVER ()::float8 / nullif(sum(hit + read) OVER (), 0)::float8 AS all_cache
            FROM counted) compared
   WHERE coalesce(text, '') !~* %s AND {where}) placed
 WHERE place <= %s OR by_total <= %s ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Extension:
    """pg_stat_statements as it is in this database."""

    version: str
    schema: str
    columns: frozenset[str]
    info: bool
    """It reports the start of the statistics (1.9, PostgreSQL 14)."""
    usable: bool = True
    """The role has access to its schema."""
    readable: bool = True
    """The role has access to the view."""

    @property
    def renamed(self) -> bool:
        """`mean_exec_time` instead of `mean_time` (1.8, PostgreSQL 13)."""
        return "total_exec_time" in self.columns

    def quoted(self) -> str:
        return '"' + self.schema.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A normalised statement with the statistics of all its calls. Times in milliseconds."""

    id: int
    """The server's `queryid`: any 64 bits, so it may be negative."""
    text: str
    calls: int
    mean: float
    total: float
    longest: float
    """Of one call."""
    share: float
    """Share of the total time of all statements, 0 to 1."""
    rows: int
    cache: float | None
    """Share of its reads that were in the server's memory, 0 to 1; None if it read nothing."""
    spilled: int
    """Blocks of 8 KiB written to temporary files."""
    since: datetime | None
    """When this one was first counted, where the server tells (PostgreSQL 17)."""
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The statements that come first by one measure, and what they are compared with."""

    statements: tuple[Statement, ...]
    others: tuple[Statement, ...]
    """Those that are not among them and yet take most of the time."""
    of: int
    """So many shapes are counted."""
    total: float
    """Milliseconds of all of them."""
    calls: int
    cache: float | None
    since: datetime | None
    """None: the server does not tell (before PostgreSQL 14)."""
    texts: bool
    """They can be shown. The server keeps those of all databases together, and can't write each in every encoding."""
    forgotten: int
    """So often the least used ones were dropped to make room: with many, sums are too low."""


async def extension(session: Session) -> Extension | None:
    """None where it is not created in this database."""
    found = await session.rows(_EXTENSION)
    if not found:
        return None
    row = found[0]
    return Extension(
        version=str(row["version"]),
        schema=str(row["schema"]),
        columns=frozenset(row["columns"] or ()),
        info=bool(row["info"]),
        usable=bool(row["usable"]),
        readable=bool(row["readable"]),
    )


async def counted_since(session: Session, found: Extension | None) -> tuple[bool, datetime | None]:
    """Whether the server counts at all, and since when where it tells. The last thing to ask of a session: a refusal ends it."""
    if found is None or not (found.usable and found.readable):
        return False, None
    what = "pg_stat_statements_info" if found.info else "pg_stat_statements"
    columns = "stats_reset AS since" if found.info else "NULL::timestamptz AS since"
    try:
        rows = await session.rows(f"SELECT {columns} FROM {found.quoted()}.{what} LIMIT 1")  # noqa: S608 - quoted
    except PermanentError as error:
        if error.code is ReasonCode.STATISTICS_MISSING:
            return False, None
        raise
    return True, rows[0]["since"] if rows else None


async def counted(session: Session, by: By, limit: int) -> Counted:
    """The first `limit` statements by mean time, total time or calls. Raises RunbookError."""
    found = await _ready(session)
    since, forgotten = None, 0
    if found.info:
        info = await session.row(f"SELECT stats_reset, dealloc FROM {found.quoted()}.pg_stat_statements_info")  # noqa: S608
        since, forgotten = info["stats_reset"], int(info["dealloc"])
    rows, texts = await _rows(session, found, by, limit)
    first: Row = rows[0] if rows else {"statements": 0, "all_total": 0.0, "all_calls": 0, "all_cache": None}
    return Counted(
        statements=tuple(_statement(row) for row in rows if row["place"] <= limit),
        others=tuple(_statement(row) for row in rows if row["place"] > limit),
        of=int(first["statements"]),
        total=float(first["all_total"] or 0.0),
        calls=int(first["all_calls"] or 0),
        cache=first["all_cache"],
        since=since,
        texts=texts,
        forgotten=forgotten,
    )


async def _rows(session: Session, found: Extension, by: By, limit: int) -> tuple[list[Row], bool]:
    """Return the statements, and whether with their texts: one that can't be converted would end the whole list."""
    import psycopg

    await session.rows("SAVEPOINT with_texts")
    try:
        return await session.said(_sql(found, by), (_NOISE, limit, _BESIDE), bare=True), True
    except (psycopg.errors.UntranslatableCharacter, psycopg.errors.CharacterNotInRepertoire):
        await session.rows("ROLLBACK TO with_texts")
        return await session.rows(_sql(found, by, texts=False), _NOISE, limit, _BESIDE), False
    except psycopg.Error as error:
        raise session.refused(error) from None


async def named(session: Session, name: str) -> tuple[Statement, ...]:
    """Those whose id begins so, in hexadecimal digits, or is that number. Raises RunbookError."""
    found = await _ready(session)
    where = "(lpad(to_hex(queryid), 16, '0') LIKE %s OR queryid::text = %s)"
    rows = await session.rows(_sql(found, "total", where), "^$", f"{name}%", name, 3, 0)
    return tuple(map(_statement, rows))


async def _ready(session: Session) -> Extension:
    """The extension, once it is there and the role may see everybody's statements."""
    found = await extension(session)
    if found is None:
        raise errors.no_statistics(loaded=True)
    if not (found.usable and found.readable):
        role = str((await session.row(_ROLE))["role"])
        raise (errors.no_select if found.usable else errors.no_usage)(role, found.quoted())
    await activity.may_see(session)
    return found


def _sql(found: Extension, by: By, where: str = "true", *, texts: bool = True) -> str:
    total = "total_exec_time" if found.renamed else "total_time"
    # with pg_stat_statements.track = all a function's time is counted once more in the statements inside of it
    filtered = " FILTER (WHERE toplevel)" if "toplevel" in found.columns else ""
    return _COUNTED.format(
        total=total,
        outermost=f"coalesce(sum({total}){filtered}, 0)::float8",
        longest="max_exec_time" if found.renamed else "max_time",
        since="min(stats_since)" if "stats_since" in found.columns else "NULL::timestamptz",
        source=f"{found.quoted()}.pg_stat_statements{'' if texts else '(false)'}",
        characters=_LONGEST,
        where=where,
        by=by,
    )


def _statement(row: Row) -> Statement:
    read = row["hit"] + row["read"]
    return Statement(
        id=row["queryid"],
        text=row["text"] or "",
        calls=row["calls"],
        mean=row["mean"],
        total=row["total"],
        longest=row["longest"],
        share=row["share"],
        rows=row["rows"],
        cache=row["hit"] / read if read else None,
        spilled=row["spilled"],
        since=row["since"],
        roles=tuple(row["roles"] or ()),
    )
