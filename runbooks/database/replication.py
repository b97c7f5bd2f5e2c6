"""What is wrong with the replication of a database, the worst first: from what its servers tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.replication import Replica, ReplicationState, Slot
from runbooks.kit.errors import RunbookError
from runbooks.wording import by_count, counted, duration, size

LATE, VERY_LATE = 30.0, 300.0
"""Seconds behind, from which people read old data, and from which a failover would lose much."""
BEHIND = 64 << 20
"""Bytes of WAL behind, from which a replica is late whatever its clock says."""
KEPT = 1 << 30
"""Bytes of WAL that a slot without a reader may keep."""
_LOST = frozenset({"unreserved", "lost"})


@dataclass(frozen=True, slots=True)
class ReplicationTrouble:
    """Something that is not as it should be."""

    says: str
    """A sentence without its full stop."""
    to_do: str
    grave: bool
    late: bool = False
    """A replica is behind."""


@dataclass(frozen=True, slots=True)
class ReplicationReading:
    """The replication as each server tells it."""

    servers: Mapping[Instance, ReplicationState | RunbookError]
    troubles: tuple[ReplicationTrouble, ...]


def read(servers: Mapping[Instance, ReplicationState | RunbookError]) -> ReplicationReading:
    """Return the reading of what the servers told; a server that could not be asked is told as that."""
    found: list[ReplicationTrouble] = []
    for place, state in servers.items():
        if isinstance(state, RunbookError):
            found.append(ReplicationTrouble(state.message.rstrip("."), " ".join(state.advice), grave=True))
        elif place == "replica":
            found += _of_replica(state)
        else:
            found += _of_primary(state, expected="replica" in servers)
    return ReplicationReading(servers, tuple(sorted(found, key=lambda each: not each.grave)))


def replica_name(each: Replica) -> str:
    """Return what a replica is called: its own name, else its address."""
    return each.name or each.client or "a replica"


def _of_primary(state: ReplicationState, *, expected: bool) -> Iterator[ReplicationTrouble]:
    if state.recovering:
        yield ReplicationTrouble(
            "The server configured as primary is a replica",
            "After a failover, correct `primary` in `[environments.….database]`.",
            grave=True,
        )
    if expected and not state.replicas and not state.recovering:
        yield ReplicationTrouble(
            "No replica is connected to the primary",
            "Check that the replica runs and reaches the primary; `db connect` asks both.",
            grave=True,
        )
    for each in state.replicas:
        if (each.behind or 0) >= BEHIND or (each.seconds or 0) >= LATE:
            yield ReplicationTrouble(
                f"Replica {replica_name(each)} is {_lag(each.behind, each.seconds)} behind",
                "Look for a long query on the replica, and for heavy writing on the primary.",
                grave=(each.seconds or 0) >= VERY_LATE,
                late=True,
            )
    yield from _of_slots(state.slots)


def _of_replica(state: ReplicationState) -> Iterator[ReplicationTrouble]:
    if not state.recovering:
        yield ReplicationTrouble(
            "The server configured as replica is a primary",
            "After a failover, correct `replica` in `[environments.….database]`.",
            grave=True,
        )
        return
    if state.paused:
        yield ReplicationTrouble(
            f"The replica does not replay what it receives: somebody paused it, and {size(state.unplayed or 0)} of WAL wait to be replayed"
            if state.unplayed
            else "The replica does not replay what it receives: somebody paused it",
            "As the DBA, on the replica: `SELECT pg_wal_replay_resume();`",
            grave=True,
        )
    elif (state.seconds or 0) >= LATE:
        yield ReplicationTrouble(
            f"The replica shows the data of {duration(state.seconds or 0)} ago",
            "Look for a long query there with `db activity --on replica`: it holds up the replay.",
            grave=(state.seconds or 0) >= VERY_LATE,
            late=True,
        )
    if not state.streaming:
        yield ReplicationTrouble(
            "The replica receives nothing from the primary",
            "Check the network between them, and the replica's log.",
            grave=True,
        )


def _of_slots(slots: Sequence[Slot]) -> Iterator[ReplicationTrouble]:
    for each in slots:
        drop = f"If nobody needs it: `SELECT pg_drop_replication_slot('{each.name}');`, as the DBA."
        if each.wal_status in _LOST or each.why:
            what = "has lost" if each.wal_status == "lost" or each.why else "is about to lose"
            yield ReplicationTrouble(
                f"Slot {each.name} {what} WAL that its reader needs",
                f"Its reader must be set up again. {drop}",
                grave=True,
            )
        elif not each.active and (each.retained or 0) >= KEPT:
            yield ReplicationTrouble(
                f"Slot {each.name} has no reader and keeps {size(each.retained or 0)} of WAL, which can fill the disk",
                f"Start its reader. {drop}",
                grave=True,
            )
        elif not each.active:
            yield ReplicationTrouble(
                f"Slot {each.name} has no reader, so WAL is kept for it", f"Start its reader. {drop}", grave=False
            )


def _lag(behind: int | None, seconds: float | None) -> str:
    parts = [size(behind)] if behind is not None else []
    if seconds is not None:
        parts.append(duration(seconds))
    return " and ".join(parts) or "an unknown amount"


def lag(each: Replica) -> str:
    """Return how far a replica is behind: bytes, and seconds where something was written."""
    if each.behind == 0:
        return "up to date"
    return _lag(each.behind, each.seconds)


def answer(reading: ReplicationReading) -> str:
    """Return the answer in one sentence, without its full stop."""
    if reading.troubles:
        more = len(reading.troubles) - 1
        return reading.troubles[0].says + (f", and {counted(more, 'more finding')}" if more else "")
    replicas = [
        each for state in reading.servers.values() if isinstance(state, ReplicationState) for each in state.replicas
    ]
    if not replicas:
        return "No replica is connected, and none is configured"
    if len(replicas) == 1:
        return f"Replica {replica_name(replicas[0])} is {'up to date' if replicas[0].behind == 0 else lag(replicas[0]) + ' behind'}"
    late = max(each.behind or 0 for each in replicas)
    return f"{counted(len(replicas), 'replica')} {by_count(len(replicas), 'is', 'are')} connected, at most {size(late)} behind"
