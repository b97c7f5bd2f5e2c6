"""The locks of a database that somebody waits for, or that keep others out, and who holds them."""

from dataclasses import dataclass

from runbooks.clients.postgres import activity
from runbooks.clients.postgres.database import Row, Session

MOST = 200
"""Locks that one look returns; those that somebody waits for come first."""
_WAIT_START = 140000
"""PostgreSQL 14 says since when somebody waits for a lock."""

_LOCKS = """
WITH every AS (
  SELECT l.*, {wait_start} AS waits_since,
         concat_ws('/', l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid) AS key,
         coalesce(l.relation, (SELECT t.relation FROM pg_locks t WHERE t.pid = l.pid AND t.locktype = 'tuple' AND t.granted LIMIT 1)) AS about
    FROM pg_locks l
   WHERE l.pid IS DISTINCT FROM pg_backend_pid()
     AND (l.database IS NULL OR l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))),
wanted AS (SELECT DISTINCT key FROM every WHERE NOT granted)
SELECT e.key, e.locktype AS kind, e.about::regclass::text AS relation, e.objid AS number, e.mode, e.granted, e.pid, a.usename AS role,
       a.application_name AS application, a.state, a.backend_type AS process, w.key IS NOT NULL AS wanted,
       (SELECT p.gid FROM pg_locks x JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
         WHERE e.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = e.virtualtransaction LIMIT 1) AS gid,
       extract(epoch FROM clock_timestamp() -
         CASE WHEN e.granted THEN coalesce(a.xact_start, a.backend_start) ELSE coalesce(e.waits_since, a.query_start) END)::float8 AS seconds
  FROM every e LEFT JOIN wanted w USING (key) LEFT JOIN pg_stat_activity a ON a.pid = e.pid
 WHERE w.key IS NOT NULL OR e.locktype = 'advisory'
    OR (e.locktype = 'relation' AND e.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND e.relation >= 16384)
 ORDER BY w.key IS NOT NULL DESC, e.key, e.granted DESC, seconds DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """A lock that a session or a prepared transaction has, or waits for."""

    key: str
    """The same for all locks on one thing."""
    kind: str
    """The server's word: relation, transactionid, tuple, advisory …"""
    relation: str
    """The table or index that it is about; empty where there is none."""
    number: int | None
    """An advisory lock's."""
    mode: str
    granted: bool
    wanted: bool
    """Somebody waits for a lock on the same thing."""
    pid: int | None
    """None: a prepared transaction's."""
    gid: str
    role: str
    application: str
    state: str
    process: str
    seconds: float
    """Since its transaction began, or since it waits."""


async def locks(session: Session) -> tuple[HeldLock, ...]:
    """Return the locks that matter now. Raises RunbookError, also where the role can't see other roles' sessions."""
    await activity.may_see(session)
    wait_start = "l.waitstart" if session.version >= _WAIT_START else "NULL::timestamptz"
    return tuple(map(_lock, await session.rows(_LOCKS.format(wait_start=wait_start), MOST)))


def _lock(row: Row) -> HeldLock:
    return HeldLock(
        key=str(row["key"]),
        kind=str(row["kind"]),
        relation=str(row["relation"] or "").removeprefix("public."),
        number=row["number"],
        mode=str(row["mode"]),
        granted=bool(row["granted"]),
        wanted=bool(row["wanted"]),
        pid=row["pid"],
        gid=str(row["gid"] or ""),
        role=str(row["role"] or ""),
        application=activity.application_of(row),
        state=str(row["state"] or ""),
        process=str(row["process"] or ""),
        seconds=float(row["seconds"] or 0.0),
    )
