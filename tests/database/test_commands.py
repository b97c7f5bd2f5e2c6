"""The database's commands through the dispatcher: in Slack with its buttons, in a terminal, and what must never come out of either."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.config import load
from bot.doctor import database as doctor
from bot.doctor.findings import DoctorFinding, Severity
from sandbox.cluster.programs import Execution
from sandbox.cluster.resources import SECRET
from sandbox.people import DEPLOYS, STAGING
from sandbox.postgres import schema
from tests.support.databases import Served
from tests.support.shown import shown_text
from tests.support.terminals import ended, started
from tests.support.worlds import APPROVER, AUDITOR, OUTSIDER, Story, story

DBA = "dana"
PLANTED = ("Quartermaine", "MRN8812345", "hunter2-of-the-dba")
"""Somebody's name, their record number, a password: each stands in a statement of this file's."""


@pytest.fixture
async def bot(here: Served, tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", database=here.world) as made:
        await made.inside()
        yield made
        nothing_leaked(made, here)


def nothing_leaked(made: Story, here: Served) -> None:
    said = "\n".join(shown_text(message) for message in [*made.messages(), *made.slack.ephemerals(DBA, "")])
    written = json.dumps([[str(event.name), event.reason, dict(event.details)] for event in made.events()], default=str)
    for secret in (here.world.reader_password, *PLANTED):
        assert secret not in said
        assert secret not in written


async def asked(made: Story, text: str, words: str, who: str = DBA, where: str = DEPLOYS) -> str:
    """What is answered, once it says so."""
    outcome = await made.type(who, f"/omnicare {text}", where)
    assert outcome.ok, outcome.error
    return await made.answered(words)


async def test_slow_queries_and_a_plan_by_its_button(bot: Story):
    answer = await asked(bot, "slow-queries", "Slow queries in production")
    assert "Start with" in answer
    assert "primary, by mean time" in answer
    assert "Statistics since" in answer
    found = re.search(r"Explain (q[0-9a-f]{8})", answer)
    assert found is not None
    name = found[1]
    button = bot.button_named(f"Explain {name}")
    await bot.click(DBA, button)
    plan = await bot.answered(f"lan of {name} in production")
    assert "primary" in plan


async def test_a_plan_names_the_dearest_step_and_one_that_can_not_be_made_says_what_to_run(bot: Story, here: Served):
    ids = dict(
        here.sql(
            "SELECT left(query, 60), lpad(to_hex(queryid), 16, '0') FROM pg_stat_statements WHERE userid = 'omnicare'::regrole"
        )
    )
    search = next(number for text, number in ids.items() if "FROM audit_events" in text)
    plan = await asked(bot, f"db explain q{search[:8]}", "Plan of q")
    assert "Seq Scan on audit_events" in plan
    assert "of the cost is reading all of audit_events" in plan
    count = next(number for text, number in ids.items() if "count(*) FROM encounters" in text)
    refused = await asked(bot, f"db explain q{count}", "No plan of q")
    assert "EXPLAIN select count(*) from encounters" in refused
    assert "interval '1 day'" in refused


async def test_without_the_function_a_server_that_needs_no_values_is_asked_by_what_the_card_says(
    bot: Story, here: Served
):
    found = here.sql(
        "SELECT lpad(to_hex(queryid), 16, '0') FROM pg_stat_statements WHERE userid = 'omnicare'::regrole "
        "AND query LIKE '%FROM audit_events%'"
    )
    here.sql("ALTER FUNCTION omnicare_bot.explain_query(bigint) RENAME TO away")
    try:
        refused = await asked(bot, f"db explain q{found[0][0]}", "is not installed")
    finally:
        here.sql("ALTER FUNCTION omnicare_bot.away(bigint) RENAME TO explain_query")
    (blocks,) = [message.blocks for message in bot.messages() if "is not installed" in shown_text(message)]
    by_hand = next(text for text in texts_of(blocks) if "EXPLAIN" in text and "psql" in text)
    if int(here.sql("SHOW server_version_num")[0][0]) < 160000:
        assert "values in place of $1" in by_hand
        return
    assert "EXPLAIN (GENERIC_PLAN) select id, actor" in refused
    assert "Seq Scan on audit_events" in str(here.sql(by_hand))


async def test_status_says_who_waits_for_a_lock_and_leads_to_who_holds_it(bot: Story, here: Served):
    here.do(here.world.hold())
    try:
        async with asyncio.timeout(60):
            while "4 sessions wait for a lock" not in (said := await asked(bot, "status", "Read at")):  # noqa: ASYNC110 - whoever waits counts after two seconds
                await asyncio.sleep(0.2)
    finally:
        here.mend()
    assert "4 sessions wait for a lock in the database" in said
    assert "🟡" in said
    assert "db activity --env production" in said


async def test_a_session_that_others_wait_for_is_ended_once_somebody_else_approved(bot: Story, here: Served):
    pid = here.do(here.world.leave_open())
    hanging = await bot.ask("deploy v2.1.0-hang")
    await bot.press(APPROVER, "approve", hanging)
    await bot.until(lambda: bot.environment().run, "a deploy has the lease")
    await here.blocked()
    answer = await asked(bot, "db activity", f"4 sessions wait for pid {pid}, idle in transaction")
    assert f"db kill {pid} --on primary --env production" in answer
    run = await bot.ask(f"db kill {pid}", who=DBA)
    plan = await bot.says(run, "Plan", "plan")
    for words in ("4 sessions wait", "omnicare", "where id = ?", "rolled back"):
        assert words in plan
    await bot.press(APPROVER, "approve", run)
    await bot.ended_with(run, f"The session of pid {pid} is ended and its transaction is rolled back")
    assert "Nothing is waiting for a lock now" in bot.describe()
    assert {"step:started", "step:finished"} <= set(bot.event_names(run))
    assert bot.environment().undecided is None
    lease = bot.environment().run
    assert lease is not None
    assert "deploy" in lease.run, "a deploy may be what waits for the session, so it is not waited for"


async def test_the_pool_is_told_by_the_server_and_by_the_application(here: Served, tmp_path: Path):
    async with story(tmp_path / "world", database=here.world, parts=("pool",)) as made:
        await made.inside()
        answer = await asked(made, "db pool", "of 37 connections ")
        assert "1 in use, 3 idle, 0 waiting for one, 4 at most (pod backend-" in answer
        assert answer.startswith("🟢")
        here.do(here.world.exhaust())
        answer = await asked(made, "db pool", "Role omnicare uses 12 of 12 connections that it may have: none is left")
        assert "9 of 12 sessions have a transaction open" in answer
        assert "9 waiting for one" in answer
        nothing_leaked(made, here)


async def test_a_pool_that_is_not_understood_is_unknown_and_not_well(here: Served, tmp_path: Path):
    async def print_log_line(execution: Execution) -> int:
        await execution.out(b'{"level":30,"active":0,"waiting":0}\n')
        return 0

    async with story(tmp_path / "world", database=here.world, parts=("pool",)) as made:
        made.world.cluster.add_scripts({"db:pool:status": print_log_line})
        await made.inside()
        answer = await asked(made, "db pool", "the application's own pool is unknown")
        assert answer.startswith("🟡")
        assert "not understood (the JSON is a log line)" in answer
        nothing_leaked(made, here)


def texts_of(value: Any) -> list[str]:
    """Every text in blocks."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for each in value.values() for text in texts_of(each)]
    return [text for each in value for text in texts_of(each)] if isinstance(value, list | tuple) else []


async def test_credentials_are_proved_and_not_shown(bot: Story):
    answer = await asked(bot, "db connect", "accepts the bot's credentials")
    for words in (
        "omnicare_reader, read-only",
        "PostgreSQL 1",
        "a replica",
        "Answers in",
        "pg_stat_statements 1.",
        "by the DBA's function",
    ):
        assert words in answer


async def test_a_wrong_password_is_told_and_a_new_one_works_by_itself(bot: Story, here: Served):
    cluster = bot.world.cluster

    def secret(password: str) -> None:
        found = cluster.store.get(SECRET, "omnicare-prod", "omnicare-bot-database")
        assert found is not None
        cluster.store.remove(SECRET, found)
        data = {"username": schema.READER, "password": password}
        metadata = {"name": "omnicare-bot-database", "namespace": "omnicare-prod"}
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    secret("not-the-password")
    await bot.type(DBA, "/omnicare db connect")
    said = await bot.whispered(DBA, "rejects the reader's name or password")
    assert "not-the-password" not in shown_text(said)
    secret(here.world.reader_password)
    await asked(bot, "db connect", "accepts the bot's credentials")


async def test_who_may_not_look_is_refused_and_where_there_is_none_it_says_so(bot: Story):
    for who in (AUDITOR, OUTSIDER):
        await bot.type(who, "/omnicare slow-queries")
        await bot.whispered(who, "database:read" if who == AUDITOR else "not listed")
    await bot.type(DBA, "/omnicare slow-queries", STAGING)
    await bot.whispered(DBA, "staging has no database configured")


async def test_nothing_that_was_written_into_a_statement_leaves(bot: Story, here: Served):
    here.sql(
        f"COMMENT ON TABLE patients IS '{PLANTED[0]}, {PLANTED[1]}'",
        f"CREATE ROLE temporary_dba PASSWORD '{PLANTED[2]}'",
        "DROP ROLE temporary_dba",
        f"SELECT '{PLANTED[0]}' AS said /* for {PLANTED[0]} */",
    )
    here.do(here.world.hold(waiting=1))
    connection = here.do(here.world.connect(schema.APPLICATION))
    sql = f"SELECT id FROM encounters WHERE status = '{PLANTED[0]}' OR status = E'{PLANTED[1]}'"
    waiting = asyncio.run_coroutine_threadsafe(_executed(connection, sql), here._loop)
    try:
        answer = ""
        async with asyncio.timeout(60):
            while "2 sessions wait for a lock now" not in answer:
                answer = await asked(bot, "slow-queries --limit 50", "Slow queries in production")
                await asyncio.sleep(0.5)
        assert "select id from encounters where" in await asked(bot, "db activity", "2 sessions wait for pid")
        assert "create role temporary_dba password" in answer
    finally:
        here.mend()
        waiting.result(30)
        here.sql("COMMENT ON TABLE patients IS NULL", "SELECT pg_stat_statements_reset()")
        here.do(here.world._use("primary", schema.DAY))


async def _executed(connection: Any, sql: str) -> None:
    async with connection:
        await connection.execute(sql)


# the terminal


async def test_in_a_terminal_and_for_scripts(here: Served, tmp_path: Path):
    async with story(tmp_path / "world", database=here.world) as made:
        await made.start()
        status, out = await ended(
            await started(made.config, "--as", DBA, "--json", "slow-queries", "--by", "total", "--limit", "3")
        )
        found = json.loads(out)["data"]
        assert (status, found["by"], found["on"], len(found["statements"])) == (0, "total", "primary", 3)
        assert found["statements"][0]["total_ms"] >= found["statements"][1]["total_ms"]
        status, out = await ended(await started(made.config, "--as", DBA, "db", "slow", "--on", "replica"))
        assert (status, "only statements that the replica ran" in " ".join(out.split())) == (0, True), out
        status, out = await ended(
            await started(made.config, "--as", DBA, "db", "explain", found["statements"][0]["id"])
        )
        assert (status, "not executed" in out) == (0, True), out
        here.call(here.world.vanish)
        status, out = await ended(await started(made.config, "--as", DBA, "db", "connect"))
        assert (status, "did not answer within 4 s" in out) == (1, True), out
        assert here.world.reader_password not in (made.world.folder / "bot.log").read_text()


# doctor


async def all_of(made: Story) -> list[DoctorFinding]:
    return [each async for each in doctor.database(load(made.config), "production")]


async def test_doctor_looks_at_each_server(bot: Story, here: Served):
    told = await all_of(bot)
    assert {each.level for each in told} == {Severity.FINE}, told
    assert len(told) == 4
    here.sql("REVOKE pg_read_all_stats FROM omnicare_reader", "GRANT SELECT ON patients TO omnicare_reader")
    try:
        told = [each for each in await all_of(bot) if each.level is not Severity.FINE]
    finally:
        here.sql("GRANT pg_read_all_stats TO omnicare_reader", "REVOKE ALL ON patients FROM omnicare_reader")
    assert [each.level for each in told if "primary" in each.sentence] == [Severity.FAILED, Severity.WARNING]
    assert all(each.to_do for each in told)


async def test_doctor_says_what_is_wrong_with_a_server_that_does_not_answer(bot: Story, here: Served):
    here.call(here.world.vanish)
    told = await all_of(bot)
    assert [each.level for each in told] == [Severity.FAILED, Severity.FAILED]
    assert "The primary" in told[0].sentence
    assert "The replica" in told[1].sentence
