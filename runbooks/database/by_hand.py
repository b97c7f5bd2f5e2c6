"""The `psql` lines with which a person sees in a terminal what a `db` command showed.

They read the server's statistics only, and leave out the texts of running statements, whose literals may be patient data. The password
is psql's own business (`~/.pgpass`, or it asks).
"""

from runbooks.clients.postgres.access import PORT, DatabaseSettings, Instance
from runbooks.redaction.shell import quoted

_ACTIVITY = """
SELECT pid, usename, application_name, state, now() - xact_start AS in_transaction, now() - state_change AS in_state,
       wait_event_type, wait_event, pg_blocking_pids(pid) AS waits_for
  FROM pg_stat_activity WHERE backend_type = $$client backend$$ AND datname = current_database()
 ORDER BY cardinality(pg_blocking_pids(pid)) DESC, xact_start
"""
_LOCKS = """
SELECT l.pid, a.usename, l.locktype, l.mode, l.granted, l.relation::regclass, now() - a.xact_start AS in_transaction
  FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.pid <> pg_backend_pid() ORDER BY l.granted, a.xact_start
"""
_SESSIONS = """
SELECT usename, application_name, state, count(*)
  FROM pg_stat_activity WHERE backend_type = $$client backend$$ GROUP BY 1, 2, 3 ORDER BY 4 DESC
"""
_REPLICAS = """
SELECT application_name, client_addr, state, replay_lag,
       pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) AS behind FROM pg_stat_replication
"""
_SLOTS = """
SELECT slot_name, slot_type, active, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) AS keeps
  FROM pg_replication_slots
"""
_REPLAY = """
SELECT pg_is_in_recovery() AS replica, now() - pg_last_xact_replay_timestamp() AS last_replayed,
       pg_last_wal_receive_lsn() AS received, pg_last_wal_replay_lsn() AS replayed
"""
_INDEXES = """
SELECT indexrelid::regclass, relid::regclass, idx_scan, pg_size_pretty(pg_relation_size(indexrelid)) AS size
  FROM pg_stat_user_indexes ORDER BY idx_scan, pg_relation_size(indexrelid) DESC LIMIT 50
"""
_TABLES = """
SELECT relid::regclass, pg_size_pretty(pg_total_relation_size(relid)) AS size, n_live_tup, n_dead_tup, last_autovacuum
  FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT
"""
_SLOW = """
SELECT queryid, calls, mean_exec_time, total_exec_time, rows, left(query, 200) AS query FROM pg_stat_statements ORDER BY
"""
_SINCE = "SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()"

CONNECT = ("SELECT version(), current_user, inet_server_addr(), pg_is_in_recovery() AS replica", _SINCE)
ACTIVITY = (_ACTIVITY, "SELECT gid, owner, prepared FROM pg_prepared_xacts ORDER BY prepared")
LOCKS = (_LOCKS,)
POOL = (_SESSIONS, "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolconnlimit >= 0", "SHOW max_connections")
REPLICATION = (_REPLICAS, _SLOTS)
REPLAY = (_REPLAY,)
INDEXES = ("SELECT indexrelid::regclass AS invalid FROM pg_index WHERE NOT indisvalid", _INDEXES)


def sizes(limit: int) -> tuple[str, ...]:
    """Return the statements for `db size`."""
    return (
        "SELECT pg_size_pretty(pg_database_size(current_database()))",
        f"{_TABLES} {limit}",
        "SELECT datname, age(datfrozenxid) FROM pg_database ORDER BY 2 DESC",
    )


def slow(by: str, limit: int) -> tuple[str, ...]:
    """Return the statements for `slow-queries`; before PostgreSQL 13 the columns are `mean_time` and `total_time`."""
    order = {"mean": "mean_exec_time", "total": "total_exec_time", "calls": "calls"}[by]
    return f"{_SLOW} {order} DESC LIMIT {limit}", _SINCE


def statement(query: str) -> tuple[str, ...]:
    """Return the statement that finds a counted one by its id (`q3f9ac1d2`). Its constants are `$1`, `$2`."""
    id_ = "lpad(to_hex(queryid), 16, $$0$$)"
    return (f"SELECT query FROM pg_stat_statements WHERE {id_} LIKE $${query.removeprefix('q')}%$$",)  # noqa: S608 - hexadecimal digits


def psql(settings: DatabaseSettings, place: Instance, statements: tuple[str, ...]) -> tuple[str, ...]:
    """Return a line for each statement; what the configuration does not say comes from `PGHOST`, `PGPORT` and `PGDATABASE`."""
    address = settings.replica if place == "replica" else settings.primary
    words = ["psql", "-X"]
    if address is not None:
        host, _, port = address.rpartition(":") if not address.endswith("]") and ":" in address else (address, "", "")
        words += ["-h", host.strip("[]"), "-p", port or str(PORT)]
    words += ["-d", settings.name] if settings.name else []
    return tuple(quoted([*words, "-c", " ".join(each.split())]) for each in statements)
