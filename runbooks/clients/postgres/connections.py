"""Who has connections to a server, in which state, and how many it and each role may have."""

from dataclasses import dataclass

from runbooks.clients.postgres import activity
from runbooks.clients.postgres.database import Session
from runbooks.clients.postgres.usage import DatabaseUsage

MOST = 40
"""Groups of connections, and roles with a limit, that one look returns."""
_RESERVED = 160000
"""PostgreSQL 16 can keep connections for roles with `pg_use_reserved_connections`."""

_SERVER = """
SELECT current_setting('max_connections')::int AS most,
       current_setting('superuser_reserved_connections')::int + {reserved} AS reserved,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_most,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()) AS database_used
"""

_GROUPS = """
SELECT usename AS role, application_name AS application, count(*) AS sessions,
       count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%%') AS in_transaction,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       coalesce(max(extract(epoch FROM clock_timestamp() - state_change)) FILTER (WHERE state = 'idle'), 0)::float8 AS idlest
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
 GROUP BY 1, 2 ORDER BY sessions DESC, 1, 2 LIMIT %s
"""

_ROLES = """
SELECT r.rolname AS role, r.rolconnlimit AS most,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.backend_type = 'client backend') AS used
  FROM pg_roles r WHERE r.rolconnlimit >= 0 AND r.rolcanlogin AND r.rolname <> current_user ORDER BY used DESC, 1 LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionGroup:
    """The connections of one role and application."""

    role: str
    application: str
    sessions: int
    active: int
    in_transaction: int
    """Idle, with a transaction open."""
    idle: int
    idlest: float
    """Seconds that the one that has been idle longest has done nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """All connections of clients to a server."""

    server: DatabaseUsage
    """Of those that are not reserved for superusers."""
    limits: tuple[DatabaseUsage, ...]
    """Of roles, and of the database, where they have one."""
    groups: tuple[ConnectionGroup, ...]


async def connections(session: Session) -> Connections:
    """Return who has connections. Raises RunbookError, also where the role can't see other roles' sessions."""
    await activity.may_see(session)
    reserved = "current_setting('reserved_connections')::int" if session.version >= _RESERVED else "0"
    here = await session.row(_SERVER.format(reserved=reserved))
    limits = [
        DatabaseUsage(str(row["role"]), int(row["used"]), int(row["most"])) for row in await session.rows(_ROLES, MOST)
    ]
    if int(here["database_most"]) >= 0:
        used, most = int(here["database_used"]), int(here["database_most"])
        limits.append(DatabaseUsage(session.target.name, used, most, "database"))
    return Connections(
        server=DatabaseUsage("", int(here["used"]), int(here["most"]) - int(here["reserved"])),
        limits=tuple(limits),
        groups=tuple(
            ConnectionGroup(
                role=str(row["role"] or ""),
                application=activity.application_of(row),
                sessions=int(row["sessions"]),
                active=int(row["active"]),
                in_transaction=int(row["in_transaction"]),
                idle=int(row["idle"]),
                idlest=float(row["idlest"]),
            )
            for row in await session.rows(_GROUPS, MOST)
        ),
    )
