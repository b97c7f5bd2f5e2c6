"""The sessions of a server that do something or hold something now, and who waits for whom.

Texts are unchanged; `runbooks.kit.sql` hides their literals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres import errors
from runbooks.clients.postgres.database import Row, Session
from runbooks.redaction.redactor import default_redactor

MOST = 100
"""Sessions that one look returns; those that wait or are waited for come first."""
CLIENT = "client backend"
_QUERY_IDS = 140000
"""PostgreSQL 14 says of which counted statement a session's is."""

_SEES = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees, current_user AS role"

_SESSIONS = """
WITH every AS (
  SELECT a.*, {query_id} AS counted,
         CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{{}}' END AS blocked_by
    FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid())
SELECT a.pid, a.usename AS role, a.application_name AS application, host(a.client_addr) AS client, a.backend_type AS kind,
       a.backend_start AS began, a.state, a.wait_event_type AS waits_for, a.wait_event AS waits, a.counted, a.blocked_by,
       extract(epoch FROM clock_timestamp() -
         CASE WHEN a.state = 'active' THEN coalesce(a.query_start, a.xact_start) ELSE coalesce(a.state_change, a.backend_start) END)::float8 AS seconds,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction,
       CASE WHEN a.wait_event_type = 'Lock' THEN (
         SELECT array_agg(DISTINCT p.gid) FROM pg_locks w
           JOIN pg_locks h ON h.granted AND h.pid IS NULL
            AND (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
                IS NOT DISTINCT FROM
                (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
           JOIN pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = h.virtualtransaction
           JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
          WHERE w.pid = a.pid AND NOT w.granted) END AS prepared,
       left(a.query, 10000) AS text
  FROM every a
 WHERE a.pid IN (SELECT unnest(b.blocked_by) FROM every b WHERE b.datname = current_database())
    OR (a.datname = current_database() AND a.backend_type = 'client backend' AND a.state <> 'idle'
        AND clock_timestamp() - coalesce(a.query_start, a.xact_start) > %s * interval '1 second')
 ORDER BY cardinality(a.blocked_by) > 0 OR a.pid IN (SELECT unnest(b.blocked_by) FROM every b) DESC, a.xact_start LIMIT %s
"""

_STATES = """
SELECT coalesce(state, '') AS state, count(*) AS sessions FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1
"""

_PREPARED = """
SELECT gid, owner, prepared, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
  FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSession:
    """A session that does something, has a transaction open or is waited for."""

    pid: int
    role: str
    state: str
    waits: str
    """What for: `Lock: relation`; empty where it works."""
    seconds: float
    """In this state: since the statement began, or since the last one ended."""
    transaction: float
    """Seconds that its transaction is open; 0 where none is."""
    blocked_by: tuple[int, ...]
    """The sessions that hold what it waits for, or wait for it before this one."""
    prepared: tuple[str, ...]
    """The prepared transactions that do, by their global ids: no session holds those, and ending one is another statement."""
    text: str
    application: str = ""
    client: str = ""
    """Its address; empty on the server itself."""
    kind: str = CLIENT
    """The server's word for the process: a client's, or an autovacuum worker."""
    began: datetime | None = None
    """When it connected: with the pid, what one session is known by, as pids are used again."""
    counted: int | None = None
    """Its statement's `queryid`, where the server tells (PostgreSQL 14)."""

    @property
    def idle(self) -> bool:
        """Its transaction is open and it does nothing."""
        return self.state.startswith("idle in transaction")


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A transaction that somebody prepared and nobody ended. It has no session."""

    gid: str
    owner: str
    prepared: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What goes on in a database now."""

    sessions: tuple[ActiveSession, ...]
    states: Mapping[str, int]
    """Sessions of the database by the server's word for their state."""
    prepared: tuple[PreparedTransaction, ...]


async def activity(session: Session) -> Activity:
    """Return what goes on now. Raises RunbookError, also where the role can't see other roles' sessions."""
    await may_see(session)
    return Activity(
        sessions=await active(session, longer_than=0.0),
        states={str(row["state"]): int(row["sessions"]) for row in await session.rows(_STATES)},
        prepared=tuple(
            PreparedTransaction(str(row["gid"]), str(row["owner"]), row["prepared"], float(row["seconds"]))
            for row in await session.rows(_PREPARED, MOST)
        ),
    )


async def may_see(session: Session) -> None:
    """Raise PermanentError if the role can't see other roles' sessions and statements."""
    who = await session.row(_SEES)
    if not who["sees"]:
        raise errors.may_not_see(str(who["role"]))


async def active(session: Session, *, longer_than: float) -> tuple[ActiveSession, ...]:
    """Return what has been going on for longer than so many seconds and whoever is waited for, the oldest transaction first."""
    query_id = "a.query_id" if session.version >= _QUERY_IDS else "NULL::bigint"
    rows = await session.rows(_SESSIONS.format(query_id=query_id), longer_than, MOST)
    return tuple(map(_active, rows))


def application_of(row: Row) -> str:
    """Return what the session calls itself, redacted: any text that its program has chosen."""
    return default_redactor().text(str(row["application"] or ""))


def _active(row: Row) -> ActiveSession:
    return ActiveSession(
        pid=row["pid"],
        role=row["role"] or "",
        state=row["state"] or "",
        waits=f"{row['waits_for']}: {row['waits']}" if row["waits_for"] not in (None, "Client") else "",
        seconds=float(row["seconds"] or 0.0),
        transaction=float(row["transaction"] or 0.0),
        blocked_by=tuple(dict.fromkeys(pid for pid in row["blocked_by"] or () if pid > 0)),  # 0 is a prepared one
        prepared=tuple(row["prepared"] or ()),
        text=row["text"] or "",
        application=application_of(row),
        client=row["client"] or "",
        kind=row["kind"] or "",
        began=row["began"],
        counted=row["counted"],
    )
