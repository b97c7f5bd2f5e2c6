"""A real primary and its replica: what each tells of how far the replica is behind, and of slots that nobody reads."""

import asyncio

import pytest

from runbooks.clients.postgres.replication import Replica, ReplicationState, Slot
from runbooks.database import replication
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from tests.support.databases import Served

PAUSED = "The replica does not replay what it receives: somebody paused it"


async def test_a_replica_that_replays_nothing_is_behind_in_bytes_and_says_that_it_is_paused(here: Served):
    here.sql("UPDATE sync_items SET queued_at = now() WHERE id = 1")
    while not here.sql("SELECT pg_last_xact_replay_timestamp() IS NOT NULL", place="replica")[0][0]:
        pass
    assert (await here.database().replication()).troubles == ()
    here.do(here.world.fall_behind())
    async with asyncio.timeout(60):
        while True:
            found = await here.database().replication()
            primary, replica = found.servers["primary"], found.servers["replica"]
            assert isinstance(primary, ReplicationState)
            assert isinstance(replica, ReplicationState)
            # each server is asked at a moment of its own: they agree once nothing is written any more
            behind = (primary.replicas[0].behind or 0) if primary.replicas else 0
            if behind >= (replica.unplayed or 0) > 10_000:
                break
    assert primary.replicas[0].state == "streaming"
    assert (replica.recovering, replica.paused, replica.streaming) == (True, True, True)
    assert replica.seconds is not None
    assert found.troubles[0].says.startswith(PAUSED)
    assert "pg_wal_replay_resume" in found.troubles[0].to_do
    here.mend()
    async with asyncio.timeout(60):
        while (await here.database().replication()).troubles:
            pass


async def test_a_slot_without_a_reader_is_told_with_what_it_keeps(here: Served):
    here.sql("SELECT pg_create_physical_replication_slot('nightly', true)", "UPDATE sync_items SET queued_at = now()")
    try:
        found = await here.database().replication()
        state = found.servers["primary"]
        assert isinstance(state, ReplicationState)
        (slot,) = state.slots
    finally:
        here.sql("SELECT pg_drop_replication_slot('nightly')")
    assert (slot.name, slot.active, slot.kind) == ("nightly", False, "physical")
    assert (slot.retained or 0) > 10_000
    assert slot.wal_status == "reserved"
    assert found.troubles[0].says == "Slot nightly has no reader, so WAL is kept for it"


async def test_a_server_that_does_not_answer_is_part_of_the_answer(here: Served):
    here.call(here.world.replica.fall_silent)
    found = await here.database(connect_timeout=5).replication()
    assert isinstance(found.servers["primary"], ReplicationState)
    assert "The replica" in found.troubles[0].says


def state(*, slots: tuple[Slot, ...] = (), replicas: tuple[Replica, ...] = ()) -> ReplicationState:
    return ReplicationState(
        recovering=False, unplayed=None, seconds=None, paused=False, streaming=False, replicas=replicas, slots=slots
    )


def slot(retained: int, *, active: bool = True, status: str = "extended") -> Slot:
    return Slot(name="s", kind="logical", active=active, retained=retained, wal_status=status, room=None, why="")


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (state(), "No replica is connected, and none is configured"),
        (state(replicas=(Replica("a", "", "streaming", "async", 0, None),)), "Replica a is up to date"),
        (state(replicas=(Replica("a", "", "streaming", "async", 2048, 1.0),)), "Replica a is 2 KiB and 1 s behind"),
        (state(replicas=(Replica("a", "", "streaming", "async", 2048, 45.0),)), "Replica a is 2 KiB and 45 s behind"),
        (
            state(slots=(slot(3 << 30, active=False),)),
            "Slot s has no reader and keeps 3 GiB",
        ),
        (state(slots=(slot(0, status="lost"),)), "Slot s has lost WAL that its reader needs"),
    ],
)
def test_the_worst_is_said_first(told: ReplicationState, says: str) -> None:
    assert replication.answer(replication.read({"primary": told})).startswith(says)


def test_two_findings_are_counted() -> None:
    away = PermanentError("The replica is away.", code=ReasonCode.DATABASE_UNREACHABLE)
    found = replication.answer(replication.read({"primary": state(), "replica": away}))
    assert found == "No replica is connected to the primary, and 1 more finding"
