"""`diagnose` on a real database: each way to be broken is named, a healthy one is found well, and what can't be reached says how far it got."""

import asyncio
from collections.abc import Callable

import pytest

from runbooks.database.databases import Database
from runbooks.troubleshooting.asking import ranked
from runbooks.troubleshooting.databases import Databases
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, Trouble, explains
from sandbox.postgres import schema
from tests.support.cases import case
from tests.support.databases import Served


async def looked(here: Served, **settings: object) -> RuleAnswer:
    async with case({Database: here.database(**settings)}) as asked:  # type: ignore[arg-type] # settings of the table
        return await Databases().look(asked)


async def until(here: Served, seen: Callable[[RuleAnswer], object]) -> RuleAnswer:
    async with asyncio.timeout(60):
        while not seen(found := await looked(here)):
            pass
    return found


def one(answer: RuleAnswer, kind: Trouble) -> Finding:
    (finding,) = (each for each in answer.found if each.kind is kind)
    return finding


async def test_a_healthy_database_is_found_well_and_one_that_is_not_there_is_no_trouble(here: Served):
    answer = await until(here, lambda found: found.well)
    assert "primary in" in answer.details
    assert "replica in" in answer.details
    async with case() as asked:
        assert (await Databases().look(asked)).not_configured


async def test_the_blocker_is_named_with_its_statement_and_how_to_end_it(here: Served):
    here.do(here.world.leave_open())
    answer = await until(here, lambda found: any(each.kind is Trouble.BLOCKED_SESSIONS for each in found.found))
    blocked = one(answer, Trouble.BLOCKED_SESSIONS)
    assert "sessions of the database wait for pid" in blocked.cause
    assert f"({schema.APPLICATION} · backend), idle in transaction" in blocked.cause
    assert any("It last ran: update encounters set status" in line for line in blocked.evidence)
    assert "4711" not in "".join(blocked.evidence), "no literal of a statement"
    assert [each.command.split()[:2] for each in blocked.to_do] == [["db", "activity"], ["db", "kill"]]
    assert blocked.since is not None


async def test_connections_that_run_out_are_named_with_who_has_them(here: Served):
    here.do(here.world.exhaust())
    answer = await until(here, lambda found: any(each.kind is Trouble.POOL_EXHAUSTED for each in found.found))
    full = one(answer, Trouble.POOL_EXHAUSTED)
    assert "role omnicare uses 12 of 12 connections that it may have: none is left" in full.cause
    assert full.confidence is Confidence.CERTAIN
    assert any("9 idle in a transaction" in line for line in full.evidence)
    assert any("has had its transaction open the longest" in line for line in full.evidence)
    assert [each.command.split()[:2] for each in full.to_do if each.command] == [
        ["restart", "backend"],
        ["db", "kill"],
        ["db", "pool"],
        ["db", "activity"],
    ]
    assert Trouble.POOL_EXHAUSTED in full.explains, "as the application's pool shows it"


async def test_a_paused_replica_is_named(here: Served):
    here.do(here.world.fall_behind())
    answer = await until(here, lambda found: found.found)
    paused = one(answer, Trouble.REPLICATION_LAG)
    assert "somebody paused it" in paused.cause
    assert paused.to_do[0].text == "As the DBA, on the replica: `SELECT pg_wal_replay_resume();`"
    assert paused.evidence == ()


async def test_a_server_that_answers_slowly_is_named_though_not_all_can_be_asked(here: Served):
    here.call(here.world.slow_down, 0.15)

    def slowly(found: RuleAnswer) -> bool:
        return any(each.cause.startswith("The primary answers slowly") for each in found.found)

    assert await until(here, slowly)


@pytest.mark.parametrize("how", ["silent", "refused", "no name"])
async def test_what_can_not_be_reached_says_how_far_it_got(here: Served, how: str):
    settings: dict[str, object] = {"connect_timeout": 0.5, "replica": None}
    says = {
        "silent": "but PostgreSQL does not answer there",
        "refused": "the connection is refused",
        "no name": "The name of the primary, postgres-primary.invalid, does not resolve",
    }
    if how == "silent":
        here.call(here.world.primary.fall_silent)
    elif how == "refused":
        here.do(here.world.primary.shut())
    else:
        settings["primary"] = "postgres-primary.invalid:5432"
    try:
        answer = await looked(here, **settings)
    finally:
        if how == "refused":
            here.do(here.world.primary.open())
    away = one(answer, Trouble.DATABASE_UNREACHABLE)
    assert says[how] in away.cause
    likely = how == "silent"  # it may only be slow
    assert away.confidence is (Confidence.LIKELY if likely else Confidence.CERTAIN)
    assert Trouble.ERRORS in away.explains
    assert not answer.unknown


async def test_a_replica_that_takes_a_connection_and_says_nothing_is_not_called_the_cause_of_what_is_certain(
    here: Served,
):
    here.call(here.world.replica.fall_silent)
    answer = await looked(here, connect_timeout=0.5)
    silent = next(each for each in answer.found if "replica" in each.cause)
    assert silent.kind is Trouble.DATABASE_UNREACHABLE
    stuck = Finding(kind=Trouble.SYNC_STUCK, cause="Offline sync is stuck", confidence=Confidence.CERTAIN)
    assert not explains(silent, stuck)
    assert ranked((silent, stuck))[0] is stuck


async def test_credentials_that_no_longer_work_are_named_and_not_shown(here: Served):
    async with case({Database: here.database(password="not-the-password-of-tonight")}) as asked:
        answer = await Databases().look(asked)
    refused = next(each for each in answer.found if each.kind is Trouble.DATABASE_CREDENTIALS)
    assert "rejects the reader's name or password" in refused.cause
    assert "not-the-password-of-tonight" not in refused.model_dump_json()
