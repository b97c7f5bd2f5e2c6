"""A session that somebody wants to end: who it is, how it stands, and the DBA's function that cancels its statement or ends it.

The bot's role may not signal a session. `deploy/database/kill.sql` gives it a function that ends clients' sessions alone, each only while
it is still the session and the transaction that was looked at.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbooks.clients.postgres import activity, errors
from runbooks.clients.postgres.database import Session

Sent = Literal["sent", "gone", "changed", "refused"]
"""What became of a signal, in the function's words."""

_FUNCTION = "omnicare_bot.end_session(integer, timestamptz, timestamptz, boolean)"

_MAY = """
SELECT to_regprocedure(%s) IS NOT NULL AS there,
       CASE WHEN to_regprocedure(%s) IS NOT NULL THEN has_function_privilege(to_regprocedure(%s), 'EXECUTE') END AS mine
"""

_SESSION = """
SELECT a.pid, a.usename AS role, a.application_name AS application, host(a.client_addr) AS client, a.backend_type AS kind, a.state,
       a.backend_start AS began, a.xact_start AS transaction_began, a.datname = current_database() AS here, a.datname AS database,
       a.usename = current_user AS own, r.rolsuper IS NOT FALSE AS superuser, left(a.query, 10000) AS text,
       extract(epoch FROM clock_timestamp() -
         CASE WHEN a.state = 'active' THEN coalesce(a.query_start, a.xact_start) ELSE coalesce(a.state_change, a.backend_start) END)::float8 AS seconds
  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSession:
    """A session that somebody wants to end."""

    pid: int
    role: str
    application: str
    client: str
    kind: str
    """The server's word for the process: a client's, a replica's, an autovacuum worker."""
    state: str
    began: datetime
    transaction_began: datetime | None
    here: bool
    """It is connected to this database."""
    database: str
    own: bool
    """It is the bot's."""
    superuser: bool
    text: str
    seconds: float
    """In this state."""

    @property
    def active(self) -> bool:
        """It runs a statement."""
        return self.state == "active"

    @property
    def holds(self) -> bool:
        """Its transaction may hold locks: it is open, and has not failed."""
        return self.transaction_began is not None and self.state != "idle in transaction (aborted)"


async def may_end(session: Session) -> bool | None:
    """Return whether the role may call the function; None if it is not installed."""
    found = await session.row(_MAY, _FUNCTION, _FUNCTION, _FUNCTION)
    return bool(found["mine"]) if found["there"] else None


async def check_may_end(session: Session, pid: int) -> None:
    """Raise PermanentError, with the line for a DBA, if the role may not call the function."""
    may = await may_end(session)
    if not may:
        raise errors.may_not_end(session.target.user, pid, installed=may is not None)


async def target(session: Session, pid: int) -> TargetSession | None:
    """Return the session of that process; None where there is none. Raises RunbookError."""
    await activity.may_see(session)
    rows = await session.rows(_SESSION, pid)
    if not rows:
        return None
    (row,) = rows
    return TargetSession(
        pid=int(row["pid"]),
        role=str(row["role"] or ""),
        application=activity.application_of(row),
        client=str(row["client"] or ""),
        kind=str(row["kind"] or ""),
        state=str(row["state"] or ""),
        began=row["began"],
        transaction_began=row["transaction_began"],
        here=bool(row["here"]),
        database=str(row["database"] or ""),
        own=bool(row["own"]),
        superuser=bool(row["superuser"]),
        text=str(row["text"] or ""),
        seconds=float(row["seconds"] or 0.0),
    )


async def end(session: Session, found: "SessionKey", *, terminate: bool) -> Sent:
    """Cancel the session's statement, or end the session. Raises PermanentError if the function is missing."""
    await check_may_end(session, found.pid)
    row = await session.row(
        "SELECT omnicare_bot.end_session(%s, %s, %s, %s) AS sent",
        found.pid,
        found.began,
        found.transaction_began,
        terminate,
    )
    said = str(row["sent"])
    return "sent" if said == "sent" else "gone" if said == "gone" else "changed" if said == "changed" else "refused"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What one session in one transaction is known by; process ids are used again."""

    pid: int
    began: datetime
    transaction_began: datetime | None
