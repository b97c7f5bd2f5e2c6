"""The bot's identity on a server, and the server's properties: proof that credentials work, and input for `doctor`."""

from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres import signals, statements
from runbooks.clients.postgres.database import Session, limits

_FUNCTION = "omnicare_bot.explain_query(bigint)"

_WHO = """
SELECT current_user AS role, current_database() AS database, current_setting('server_version') AS version,
       current_setting('transaction_read_only') = 'on' AS read_only, pg_is_in_recovery() AS in_recovery,
       pg_postmaster_start_time() AS started, r.rolsuper AS superuser,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_statistics,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END AS lag,
       (SELECT array_agg(array[s.name, s.setting, s.reset_val]) FROM pg_settings s WHERE s.name = ANY(%s)) AS settings,
       to_regprocedure(%s) AS function_there,
       CASE WHEN to_regprocedure(%s) IS NOT NULL THEN has_function_privilege(to_regprocedure(%s), 'EXECUTE') END AS may_explain
  FROM pg_roles r WHERE r.rolname = current_user
"""

_RIGHTS = """
SELECT count(*) FILTER (WHERE has_table_privilege(c.oid, 'SELECT') AND c.relname <> 'schema_migrations') AS readable,
       count(*) FILTER (WHERE has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS writable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg\\_toast%%' AND has_schema_privilege(n.oid, 'USAGE')
"""

_CREATES = """
SELECT n.nspname FROM pg_namespace n
 WHERE n.nspname NOT LIKE 'pg\\_%%' AND has_schema_privilege(n.oid, 'CREATE') ORDER BY 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseIdentity:
    """What the server reports about itself and the role. Nothing in it is secret."""

    address: str
    role: str
    database: str
    version: str
    read_only: bool
    """The bot's transactions can't write."""
    encrypted: bool
    in_recovery: bool
    """It is a replica."""
    lag: float | None
    """Replica lag in seconds; None on a primary, and if a replica has replayed nothing yet."""
    started: datetime
    superuser: bool
    sees_statistics: bool
    """Of all roles' statements."""
    readable: int
    """Tables whose rows the role can read, without that of the applied migrations. There should be none."""
    writable: int
    creates: tuple[str, ...]
    """Schemas in which the role can create functions. There should be none."""
    function: bool | None
    """Whether the bot may call the DBA's function for query plans; None if it does not exist."""
    ends: bool | None
    """Whether the bot may call the DBA's function that ends sessions; None if it does not exist."""
    extension: str | None
    """pg_stat_statements' version; None if it is not created."""
    loaded: bool
    """Whether the server loads it, as far as the role can tell."""
    statistics_usable: bool
    """The role has access to pg_stat_statements' schema and view."""
    unlimited: tuple[str, ...]
    """The bot's settings that are not in effect. There should be none."""
    dropped: tuple[str, ...]
    """The settings that a pooler dropped from the connection."""
    counted_since: datetime | None


async def identity(session: Session) -> DatabaseIdentity:
    """Return the identity. Raises RunbookError."""
    wanted = limits(session.limit)
    who = await session.row(_WHO, list(wanted), _FUNCTION, _FUNCTION, _FUNCTION)
    rights = await session.row(_RIGHTS)
    creates = await session.rows(_CREATES)
    ends = await signals.may_end(session)
    extension = await statements.extension(session)
    loaded, since = await statements.counted_since(session, extension)
    return DatabaseIdentity(
        address=session.target.address,
        role=str(who["role"]),
        database=str(who["database"]),
        version=str(who["version"]).split(" ", 1)[0],
        read_only=bool(who["read_only"]),
        encrypted=session.encrypted,
        in_recovery=bool(who["in_recovery"]),
        lag=None if who["lag"] is None else max(0.0, float(who["lag"])),
        started=who["started"],
        superuser=bool(who["superuser"]),
        sees_statistics=bool(who["sees_statistics"]),
        readable=int(rights["readable"]),
        writable=int(rights["writable"]),
        creates=tuple(str(each["nspname"]) for each in creates),
        function=None if who["function_there"] is None else bool(who["may_explain"]),
        ends=ends,
        extension=extension.version if extension else None,
        loaded=loaded,
        statistics_usable=extension is None or (extension.usable and extension.readable),
        unlimited=tuple(name for name, now, _ in who["settings"] if now != wanted[name]),
        dropped=tuple(name for name, _, began in who["settings"] if began != wanted[name]),
        counted_since=since,
    )
