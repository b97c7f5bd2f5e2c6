"""Sessions of a real server that are cancelled or ended, and those that are not: each bound to the transaction that was looked at."""

import asyncio

import pytest

from runbooks.database.databases import Database, concerns
from runbooks.database.ending import CancelStatement, EndSession, SessionEnd, plan_end
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, Results, StepContext, done
from runbooks.kit.targets import Environment
from sandbox.postgres import schema
from tests.support.databases import Served, session


async def ended(database: Database, plan: Plan) -> tuple[str, SessionEnd]:
    """What became of the statement, and of the session."""
    environment = Environment(
        name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=()
    )
    context = StepContext(
        pulse=PlainPulse("run"), environment=environment, services={Database: database}, results=Results()
    )
    results = await done(plan.steps, context)
    return results.only(CancelStatement, SessionEnd).how, results.only(EndSession, SessionEnd)


async def refused(here: Served, pid: int) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        await plan_end(here.database(), "primary", pid, "production")
    return caught.value


async def test_a_session_that_is_idle_in_a_transaction_is_ended_and_those_behind_it_go_on(here: Served):
    pid = here.do(here.world.leave_open())
    await here.blocked()
    plan = await plan_end(here.database(), "primary", pid, "production")
    (row,) = [step.shown().rows[0] for step in plan.steps if isinstance(step, CancelStatement)]
    assert row[2].text == "4 sessions wait"
    assert row[3].text == "update encounters set status = '…' where id = ?"
    assert "rolled back" in plan.warnings[0]
    how, result = await ended(here.database(), plan)
    assert (how, result.how, result.waiting) == ("not-running", "terminated", 0)
    assert here.sql("SELECT 1 FROM encounters WHERE id = 4711 AND status = 'finished' AND ended_at IS NULL") == []


async def test_a_statement_is_cancelled_and_its_session_goes_on(here: Served):
    with session(here, "BEGIN") as busy:
        running = asyncio.run_coroutine_threadsafe(busy.execute("SELECT pg_sleep(50)"), here._loop)
        pid = busy.info.backend_pid
        async with asyncio.timeout(60):
            while (found := await here.database().session("primary", pid)) is None or not found.active:
                pass
        plan = await plan_end(here.database(), "primary", pid, "production")
        how, result = await ended(here.database(), plan)
        assert (how, result.how) == ("cancelled", "over")
        assert "canceling statement" in str(running.exception(30))
        here.do(busy.execute("ROLLBACK"))
        assert here.do(busy.execute("SELECT 1")) is not None


async def test_what_a_session_does_after_the_transaction_that_was_looked_at_is_left_alone(here: Served):
    with session(here, "BEGIN", "SELECT 1") as connection:
        pid = connection.info.backend_pid
        plan = await plan_end(here.database(), "primary", pid, "production")
        for statement in ("COMMIT", "BEGIN", "SELECT 2"):
            here.do(connection.execute(statement))
        again = await plan_end(here.database(), "primary", pid, "production")
        assert again.digest({}) != plan.digest({}), "another transaction is another approval"
        assert await ended(here.database(), plan) == ("over", SessionEnd(how="over", waiting=0))
        assert here.do(connection.execute("SELECT 1")) is not None
    async with asyncio.timeout(60):
        while await here.database().session("primary", pid) is not None:  # the server's process ends a moment later
            pass
    plan = await plan_end(here.database(), "primary", pid, "production")
    assert (plan.steps, "nothing to end" in plan.title) == ((), True)


async def test_a_session_without_an_open_transaction_is_not_ended(here: Served):
    with session(here, "BEGIN", "SELECT 1") as connection:
        pid = connection.info.backend_pid
        open_still = await plan_end(here.database(), "primary", pid, "production")
        here.do(connection.execute("COMMIT"))
        plan = await plan_end(here.database(), "primary", pid, "production")
        assert (plan.steps, "has no open transaction" in plan.title) == ((), True)
        assert "pg_advisory_lock" in plan.notes[0]
        stored = tuple(step.model_copy(update={"transaction_began": None}) for step in open_still.steps)
        approved_before = open_still.model_copy(update={"steps": stored})
        assert await ended(here.database(), approved_before) == ("over", SessionEnd(how="over", waiting=0))
        assert here.do(connection.execute("SELECT 1")) is not None


async def test_protected_sessions_are_refused_by_the_plan_and_by_the_servers_function(here: Served):
    processes = dict(here.sql("SELECT backend_type, pid FROM pg_stat_activity WHERE backend_type <> 'client backend'"))
    superuser, own = here.do(here.world.connect("postgres")), here.do(here.world.connect(schema.READER))
    try:
        for pid, why in (
            (processes["walsender"], "replication"),
            (processes["checkpointer"], "a process of the server"),
            (superuser.info.backend_pid, "a superuser"),
            (own.info.backend_pid, "the bot's own"),
        ):
            error = await refused(here, pid)
            assert (error.code, why in error.message) == (ReasonCode.SESSION_PROTECTED, True), error.message
            by_function = (
                "SELECT omnicare_bot.end_session(pid, backend_start, xact_start, true) "
                f"FROM pg_stat_activity WHERE pid = {pid}"
            )
            assert here.sql(by_function, role=schema.READER) == [("refused",)]
        with pytest.raises(Exception, match=r"permission denied|must be a superuser"):
            here.sql(f"SELECT pg_terminate_backend({processes['walsender']})", role=schema.READER)
    finally:
        here.do(superuser.close())
        here.do(own.close())


async def test_without_the_function_a_dba_is_told_what_to_run(here: Served):
    assert (await here.database().known("primary")).identity.ends is True
    function = "FUNCTION omnicare_bot.end_session(int, timestamptz, timestamptz, boolean)"
    with session(here, "BEGIN", "SELECT 1") as connection:
        pid = connection.info.backend_pid
        here.sql(f"REVOKE EXECUTE ON {function} FROM omnicare_reader")
        try:
            error = await refused(here, pid)
            (concern,) = concerns((await here.database().known("primary")).identity)
        finally:
            here.sql(f"GRANT EXECUTE ON {function} TO omnicare_reader")
    assert error.code is ReasonCode.DATABASE_RIGHTS
    assert f"pg_terminate_backend({pid})" in error.advice[-1]
    assert "kill.sql" in concern.to_do
