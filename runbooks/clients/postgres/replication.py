"""How far replicas are behind, and what replication slots keep: as a primary tells it, and as a replica tells it of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from runbooks.clients.postgres import activity
from runbooks.clients.postgres.database import REPLAY_AGE, Row, Session

MOST = 50
"""Replicas, and slots, that one look returns."""
_WAL_STATUS = 130000
"""PostgreSQL 13 says what becomes of a slot's WAL."""
_INVALIDATION = 170000
"""PostgreSQL 17 says why a slot is of no use any more."""

_HERE = f"""
SELECT pg_is_in_recovery() AS recovering,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS position,
       CASE WHEN pg_is_in_recovery() THEN greatest(0, pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()))::bigint END AS unplayed,
       {REPLAY_AGE} AS seconds,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streaming
"""  # noqa: S608 - a constant

_REPLICAS = """
SELECT application_name AS name, host(client_addr) AS client, state, sync_state AS sync,
       greatest(0, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, replay_lsn))::bigint AS behind,
       extract(epoch FROM replay_lag)::float8 AS seconds
  FROM pg_stat_replication ORDER BY behind DESC NULLS FIRST, pid LIMIT %s
"""

_SLOTS = """
SELECT slot_name AS name, slot_type AS kind, database, active,
       greatest(0, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn))::bigint AS retained,
       {wal_status} AS wal_status, {room} AS room, {why} AS why
  FROM pg_replication_slots ORDER BY retained DESC NULLS LAST, slot_name LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica that is connected, as the server that it follows tells it."""

    name: str
    client: str
    state: str
    """The server's word: streaming, catchup, backup …"""
    sync: str
    behind: int | None
    """Bytes of WAL that it has not replayed; None where it has said nothing yet."""
    seconds: float | None
    """How long WAL takes until it is replayed there; None where nothing was written for a while."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot: a promise to keep WAL until somebody has read it."""

    name: str
    kind: str
    active: bool
    """Somebody reads from it now."""
    retained: int | None
    """Bytes of WAL that are kept for it."""
    wal_status: str
    """The server's word: reserved, extended, unreserved, lost; empty before PostgreSQL 13."""
    room: int | None
    """Bytes until it is cut off; None where nothing limits it."""
    why: str
    """Why it is of no use any more (PostgreSQL 17)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationState:
    """One server's part in the replication."""

    recovering: bool
    """It is a replica itself."""
    unplayed: int | None
    """Bytes that it has received and not replayed, where it is a replica."""
    seconds: float | None
    """The age of the last transaction that it has replayed while there is more to replay; 0 where there is none."""
    paused: bool
    streaming: bool
    """It receives WAL from another server."""
    replicas: tuple[Replica, ...]
    slots: tuple[Slot, ...]


async def replication(session: Session) -> ReplicationState:
    """Return the server's part. Raises RunbookError, also where the role can't see the replicas' positions."""
    await activity.may_see(session)
    here = await session.row(_HERE)
    columns: Mapping[str, str] = {
        "wal_status": "wal_status" if session.version >= _WAL_STATUS else "NULL::text",
        "room": "safe_wal_size" if session.version >= _WAL_STATUS else "NULL::bigint",
        "why": "invalidation_reason" if session.version >= _INVALIDATION else "NULL::text",
    }
    return ReplicationState(
        recovering=bool(here["recovering"]),
        unplayed=here["unplayed"],
        seconds=here["seconds"],
        paused=bool(here["paused"]),
        streaming=bool(here["streaming"]),
        replicas=tuple(map(_replica, await session.rows(_REPLICAS, MOST))),
        slots=tuple(map(_slot, await session.rows(_SLOTS.format(**columns), MOST))),
    )


def _replica(row: Row) -> Replica:
    return Replica(
        name=str(row["name"] or ""),
        client=str(row["client"] or ""),
        state=str(row["state"] or ""),
        sync=str(row["sync"] or ""),
        behind=row["behind"],
        seconds=row["seconds"],
    )


def _slot(row: Row) -> Slot:
    return Slot(
        name=str(row["name"]),
        kind=str(row["kind"] or ""),
        active=bool(row["active"]),
        retained=row["retained"],
        wal_status=str(row["wal_status"] or ""),
        room=row["room"],
        why=str(row["why"] or ""),
    )
