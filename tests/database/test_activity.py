"""What goes on in a real server now: who waits for whom, what is idle in a transaction, what was prepared and left, who has connections."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runbooks.database.activity import ActivityReading
from runbooks.database.locks import meaning
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from sandbox.postgres import schema
from tests.support.databases import Served, session


async def until(
    look: Callable[[], Awaitable[ActivityReading]], seen: Callable[[ActivityReading], object]
) -> ActivityReading:
    async with asyncio.timeout(60):
        while not seen(found := await look()):
            pass
    return found


async def test_who_waits_for_whom_is_a_tree(here: Served):
    here.do(here.world.hold())

    def waiting(found: ActivityReading) -> bool:
        return sum(len(tree.pids) for tree in found.trees) == 4

    found = await until(lambda: here.database().activity("primary"), waiting)
    (tree,) = found.trees
    assert tree.session is not None
    assert (tree.session.state, tree.session.role) == ("idle in transaction", "postgres")
    assert tree.session.text == "lock table encounters in access exclusive mode"
    assert tree.session.began is not None
    assert {each.session.waits for each in tree.behind if each.session} == {"Lock: relation"}
    assert found.activity.states["active"] == 4
    assert found.others == ()


async def test_a_session_that_is_idle_in_a_transaction_is_seen_and_with_no_literal(here: Served):
    with session(
        here, "SET application_name = 'ward-list'", "BEGIN", "SELECT * FROM patients WHERE family_name = 'Quartermaine'"
    ):
        found = await here.database().activity("primary")
    (idle,) = [each for each in found.others if each.idle]
    assert (idle.role, idle.application) == (schema.APPLICATION, "ward-list")
    assert idle.text == "select * from patients where family_name = '…'"
    assert idle.transaction >= idle.seconds >= 0
    with_ids = int(here.sql("SHOW server_version_num")[0][0]) >= 140000
    assert (idle.counted is not None) == with_ids
    assert found.trees == ()


async def test_a_prepared_transaction_is_waited_for_by_its_id_and_not_as_process_0(here: Served):
    here.sql(
        "BEGIN",
        "LOCK TABLE encounters IN ACCESS EXCLUSIVE MODE",
        "PREPARE TRANSACTION 'order o''brien'",
        name=schema.NAME,
    )
    try:
        waiting = asyncio.create_task(
            asyncio.to_thread(here.sql, "SET lock_timeout = '55s'", "SELECT count(*) FROM encounters", name=schema.NAME)
        )
        found = await until(lambda: here.database().activity("primary"), lambda found: found.trees)
        (tree,) = found.trees
        assert (tree.holder, tree.session, len(tree.pids)) == ("order o'brien", None, 1)
        assert [(each.gid, each.owner) for each in found.activity.prepared] == [("order o'brien", "postgres")]
    finally:
        here.sql("ROLLBACK PREPARED 'order o''brien'", name=schema.NAME)
    await waiting


async def test_locks_are_told_by_what_they_are_on_and_who_waits_for_them(here: Served):
    here.do(here.world.leave_open())
    async with asyncio.timeout(60):
        while (found := await here.database().locks("primary")).waiting < 4:
            pass
    first = found.things[0]
    assert (first.name, len(first.waiting)) == ("encounters", 4)
    assert {(each.application, meaning(each)) for each in first.holders} == {("backend", "writes rows")}
    assert first.waiting[0].application == "migrate"
    assert meaning(first.waiting[0]) == "keeps out reading and writing"


async def test_a_row_and_an_advisory_lock_are_told_by_their_names(here: Served):
    changes = "UPDATE sync_items SET state = 'done' WHERE id = 7"
    with (
        session(here, "BEGIN", changes, "SELECT pg_advisory_lock(4711)"),
        session(here, "SET lock_timeout = '50s'") as other,
    ):
        waiting = asyncio.run_coroutine_threadsafe(other.execute(changes), here._loop)
        async with asyncio.timeout(60):
            while not (found := await here.database().locks("primary")).waiting:
                pass
        assert [thing.name for thing in found.things] == ["a row of sync_items", "advisory lock 4711"]
        here.do(other.cancel_safe())
        assert waiting.exception(30) is not None


async def test_connections_are_counted_by_who_has_them_and_against_the_roles_limit(here: Served):
    here.do(here.world.exhaust(8))
    found = await here.database().connections("primary")
    assert (found.server.most, found.server.used >= 9) == (37, True)
    limit = next(each for each in found.limits if each.name == schema.APPLICATION)
    assert (limit.used, limit.most, limit.left) == (8, 8, 0)
    group = found.groups[0]
    assert (group.role, group.application, group.sessions) == (schema.APPLICATION, "backend", 8)
    assert (group.active, group.in_transaction, group.idle) == (0, 6, 2)
    here.mend()
    assert all(each.name != schema.APPLICATION for each in (await here.database().connections("primary")).limits)


async def test_a_role_that_can_not_see_other_sessions_is_told_which_right_is_missing(here: Served):
    here.sql("REVOKE pg_read_all_stats FROM omnicare_reader")
    try:
        with pytest.raises(RunbookError) as caught:
            await here.database().activity("primary")
    finally:
        here.sql("GRANT pg_read_all_stats TO omnicare_reader")
    assert caught.value.code is ReasonCode.DATABASE_RIGHTS
    assert "GRANT pg_read_all_stats" in caught.value.advice[0]
