"""What servers count, in either naming of the extension's columns; what is missing is told with what to do."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.postgres.statements import Counted, Statement
from runbooks.database import slow_statements
from runbooks.database.databases import concerns
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.sql import masked
from sandbox.postgres import schema
from tests.support.databases import Served

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


async def refused(here: Served, **settings: Any) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        await here.database(**settings).slow("primary", by="mean", limit=10)
    assert caught.value.advice
    return caught.value


def texts(counted: Counted) -> list[str]:
    return [masked(each.text) for each in counted.statements]


async def test_statements_are_counted_compared_and_ordered(here: Served):
    database = here.database()
    by_mean, by_total, by_calls = [
        (await database.slow("primary", by=by, limit=50)).counted for by in ("mean", "total", "calls")
    ]
    assert [each.mean for each in by_mean.statements] == sorted(
        (each.mean for each in by_mean.statements), reverse=True
    )
    assert [each.total for each in by_total.statements] == sorted(
        (each.total for each in by_total.statements), reverse=True
    )
    assert [each.calls for each in by_calls.statements] == sorted(
        (each.calls for each in by_calls.statements), reverse=True
    )
    (lookup,) = [each for each in by_calls.statements if "where mrn = $1" in masked(each.text)]
    assert (lookup.calls, lookup.rows) == (250, 0)
    assert lookup.roles == (schema.APPLICATION,)
    assert abs(lookup.mean - lookup.total / lookup.calls) < 1e-6
    assert 0.9 < sum(each.share for each in by_total.statements) <= 1.0001
    report = next(each for each in by_mean.statements if each.roles == (schema.REPORTS,))
    assert report.spilled > 0
    assert report.cache is not None
    assert by_mean.since is not None
    assert abs((datetime.now(UTC) - by_mean.since).total_seconds()) < 3600


async def test_a_short_list_still_knows_what_takes_the_time(here: Served):
    counted = (await here.database().slow("primary", by="calls", limit=1)).counted
    assert len(counted.statements) == 1
    heaviest = max((*counted.statements, *counted.others), key=lambda each: each.share)
    whole = (await here.database().slow("primary", by="total", limit=1)).counted.statements[0]
    assert heaviest.id == whole.id


async def test_the_bots_own_statements_are_left_out(here: Served):
    for _ in range(3):
        counted = (await here.database().slow("primary", by="calls", limit=50)).counted
    assert not [each for each in counted.statements if schema.READER in each.roles]


async def test_time_inside_of_a_function_is_not_counted_twice_in_the_whole(here: Served):
    here.sql(
        "CREATE FUNCTION public.nested() RETURNS bigint LANGUAGE plpgsql AS "
        "$f$ BEGIN PERFORM pg_sleep(0.3); RETURN (SELECT count(*) FROM public.audit_events); END $f$"
    )
    before = (await here.database().slow("primary", by="total", limit=50)).counted.total
    try:
        here.sql("SET pg_stat_statements.track = 'all'", "SELECT public.nested() AS asked_from_outside")
        counted = (await here.database().slow("primary", by="total", limit=50)).counted
    finally:
        here.sql("DROP FUNCTION public.nested()")
    outer = next(each for each in counted.statements if "asked_from_outside" in each.text)
    inner = next(each for each in counted.statements if "pg_sleep" in each.text and each.mean >= 300)
    assert inner.total <= outer.total
    assert counted.total - before < outer.total + inner.total / 2, (
        "the inner statement is no more of the whole than the outer one"
    )


async def test_a_replica_counts_what_it_ran_itself(here: Served):
    counted = (await here.database().slow("replica", by="total", limit=50)).counted
    assert counted.of >= 3
    assert not [text for text in texts(counted) if text.startswith("update")]


@pytest.fixture
def old_names(here: Served) -> Any:
    """The extension as PostgreSQL 12 had it: a server that was upgraded keeps it until somebody updates it."""
    here.sql("DROP EXTENSION pg_stat_statements", "CREATE EXTENSION pg_stat_statements VERSION '1.4'")
    yield here
    here.sql("DROP EXTENSION pg_stat_statements", "CREATE EXTENSION pg_stat_statements")


async def test_the_names_from_before_postgresql_13_are_understood(old_names: Served):
    assert old_names.sql(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'pg_stat_statements'::regclass AND attname = 'mean_time'"
    ) == [(1,)]
    counted = (await old_names.database().slow("primary", by="calls", limit=50)).counted
    assert counted.since is None, "nobody tells since when"
    assert [each for each in counted.statements if each.mean > 0 and each.calls > 0]
    found = await old_names.database().known("primary")
    assert (found.identity.extension, found.identity.loaded, found.identity.counted_since) == ("1.4", True, None)
    (lookup,) = [each for each in counted.statements if "where mrn = $1" in masked(each.text)]
    statement, plan = await old_names.database().explained("primary", slow_statements.name_of(lookup)[1:])
    assert statement.id == lookup.id
    assert plan.tree is not None


async def test_an_extension_in_a_schema_of_its_own_is_found(here: Served):
    here.sql('CREATE SCHEMA "Watch It"', 'ALTER EXTENSION pg_stat_statements SET SCHEMA "Watch It"')
    try:
        error = await refused(here)
        assert error.code is ReasonCode.DATABASE_RIGHTS, "the schema has to be opened to the role"
        here.sql('GRANT USAGE ON SCHEMA "Watch It" TO omnicare_reader, omnicare_planner')
        assert (await here.database().slow("primary", by="mean", limit=1)).counted.of > 1
    finally:
        here.sql("ALTER EXTENSION pg_stat_statements SET SCHEMA public", 'DROP SCHEMA "Watch It"')


async def test_no_extension(here: Served):
    here.sql("DROP EXTENSION pg_stat_statements")
    try:
        error = await refused(here)
        who = (await here.database().known("primary")).identity
    finally:
        here.sql("CREATE EXTENSION pg_stat_statements")
    assert (error.code, "CREATE EXTENSION" in error.advice[0]) == (ReasonCode.STATISTICS_MISSING, True)
    assert who.extension is None
    assert any(each.fatal and "CREATE EXTENSION" in each.to_do for each in concerns(who))


async def test_a_role_that_may_not_see_others_statements(here: Served):
    here.sql("REVOKE pg_read_all_stats FROM omnicare_reader")
    try:
        error = await refused(here)
        who = (await here.database().known("primary")).identity
    finally:
        here.sql("GRANT pg_read_all_stats TO omnicare_reader")
    assert error.code is ReasonCode.DATABASE_RIGHTS
    assert "GRANT pg_read_all_stats TO omnicare_reader" in error.advice[0]
    assert not who.sees_statistics


async def test_a_role_that_may_do_more_than_it_should_is_told(here: Served):
    here.sql("GRANT SELECT, UPDATE ON patients TO omnicare_reader", "GRANT CREATE ON SCHEMA public TO omnicare_reader")
    try:
        who = (await here.database().known("primary")).identity
    finally:
        here.sql("REVOKE ALL ON patients FROM omnicare_reader", "REVOKE CREATE ON SCHEMA public FROM omnicare_reader")
    assert (who.readable, who.writable, who.creates) == (1, 1, ("public",))
    said = [each.says for each in concerns(who)]
    assert said[0] == "Role omnicare_reader can change 1 table.", "the worst first"
    assert "can read 1 table" in " ".join(said)
    assert concerns((await here.database().known("primary")).identity) == ()


# which to look at first, and why


def statement(**values: Any) -> Statement:
    plain: dict[str, Any] = {
        "id": 1, "text": "SELECT $1", "calls": 100, "mean": 1.0, "total": 100.0, "longest": 2.0, "share": 0.01, "rows": 100,
        "cache": 1.0, "spilled": 0, "since": NOW - timedelta(hours=1), "roles": ("omnicare",),
    }  # fmt: skip
    return Statement(**{**plain, **values})


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, []),
        ({"share": 0.5, "mean": 40.0}, ["takes 50 % of the time"]),
        (
            {"share": 0.5, "mean": 2.0, "calls": 60_000},
            ["takes 50 %", "ran 60,000 times, 1,000 a minute: perhaps once for each row"],
        ),
        ({"share": 0.1, "mean": 1500.0, "longest": 2000.0}, ["takes 1.5 s each time"]),
        ({"share": 0.001, "mean": 1500.0, "calls": 1}, []),
        ({"mean": 3.0, "longest": 9200.0}, ["usually takes 3.0 ms, but once took 9.2 s"]),
        ({"share": 0.3, "mean": 50.0, "cache": 0.4}, ["takes 30 %", "finds only 40 % of its data in memory"]),
        ({"share": 0.3, "mean": 50.0, "spilled": 1000}, ["takes 30 %", "writes 7.8 MiB to temporary files"]),
        ({"share": 0.3, "mean": 50.0, "rows": 500_000}, ["takes 30 %", "fetches 5,000 rows each time"]),
    ],
)
def test_reasons(values: dict[str, Any], why: list[str]) -> None:
    found = slow_statements.reasons(statement(**values), None, NOW)
    assert len(found) == len(why), found
    assert all(part in said for part, said in zip(why, found, strict=True)), found


async def test_texts_of_other_encodings_and_lost_ones_take_no_list_with_them(here: Served):
    """One server has databases in several encodings, and counts the statements of all of them in one file."""
    name = "latin"
    here.sql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    looked = 'SELECT count(*) FROM "größe{}"'
    try:
        here.sql("CREATE EXTENSION pg_stat_statements", 'CREATE TABLE "größe" (a int)', looked.format(""), name=name)
        here.sql('CREATE TABLE "größe €" (a int)', looked.format(" €"), name=schema.NAME)
        found = (await here.database().slow("primary", by="mean", limit=50)).counted
        assert (found.texts, any("größe €" in each.text for each in found.statements)) == (True, True)
        found = (await here.database(name=name).slow("primary", by="mean", limit=50)).counted
        assert (found.texts, {each.text for each in found.statements}) == (False, {""})
        forget = "SELECT pg_stat_statements_reset(0, 0, queryid) FROM pg_stat_statements WHERE query ~ '[^\\u0001-\\u00ff]'"  # other tests', too
        here.sql(forget, name=schema.NAME)
        found = (await here.database(name=name).slow("primary", by="mean", limit=50)).counted
        assert (found.texts, any("größe" in each.text for each in found.statements)) == (True, True)
    finally:
        here.sql('DROP TABLE IF EXISTS "größe €"', name=schema.NAME)
        here.sql(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_byte_that_is_no_text_takes_no_list_with_it(here: Served):
    """A database that checks no encoding takes any byte, and the server shows its statements in all others (22021)."""
    name = "unchecked"
    here.sql(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    odd = 'SET client_encoding = "SQL_ASCII"', b'SELECT count(*) FROM pg_class "gr\xf6\xdfe"'
    forget = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = 'unchecked'), 0)"
    try:
        here.sql("CREATE EXTENSION pg_stat_statements", *odd, name=name)
        found = (await here.database().slow("primary", by="mean", limit=50)).counted
        assert (found.texts, {each.text for each in found.statements}, found.of > 0) == (False, {""}, True)
        found = (await here.database(name=name).slow("primary", by="mean", limit=50)).counted
        assert found.texts
        assert any("gr\ufffd\ufffde" in each.text for each in found.statements)
    finally:
        here.sql(forget, name=schema.NAME)
        here.sql(f"DROP DATABASE {name} WITH (FORCE)")


async def test_counters_whose_texts_the_server_has_lost_are_shown(here: Served):
    (folder,) = here.sql("SHOW data_directory")[0]
    texts_of_statements = Path(folder) / "pg_stat_tmp" / "pgss_query_texts.stat"
    kept = texts_of_statements.read_bytes()
    texts_of_statements.unlink()
    try:
        counted = (await here.database().slow("primary", by="mean", limit=5)).counted
    finally:
        texts_of_statements.write_bytes(kept)
        os.chown(texts_of_statements, *_owner(Path(folder)))
    assert counted.of > 0
    assert {each.text for each in counted.statements} == {""}


def _owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


@pytest.mark.parametrize(
    ("taken", "given", "sentence", "line"),
    [
        (
            "REVOKE USAGE ON SCHEMA statistics FROM PUBLIC, omnicare_reader",
            "GRANT USAGE ON SCHEMA statistics TO omnicare_reader",
            "has no access to schema",
            "GRANT USAGE ON SCHEMA",
        ),
        (
            "REVOKE SELECT ON statistics.pg_stat_statements FROM PUBLIC, omnicare_reader",
            "GRANT SELECT ON statistics.pg_stat_statements TO PUBLIC",
            "has no access to",
            "GRANT SELECT ON",
        ),
        (
            "REVOKE pg_read_all_stats FROM omnicare_reader",
            "GRANT pg_read_all_stats TO omnicare_reader",
            "can't see",
            "pg_read_all_stats",
        ),
    ],
)
async def test_the_right_that_is_missing_is_the_one_that_is_named(
    here: Served, taken: str, given: str, sentence: str, line: str
):
    (before,) = here.sql(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_stat_statements'",
        name=schema.NAME,
    )[0]
    here.sql(
        "CREATE SCHEMA statistics",
        "ALTER EXTENSION pg_stat_statements SET SCHEMA statistics",
        "GRANT USAGE ON SCHEMA statistics TO omnicare_reader",
        name=schema.NAME,
    )
    try:
        assert (await here.database().slow("primary", by="mean", limit=1)).counted.statements
        here.sql(taken, name=schema.NAME)
        error = await refused(here)
        assert error.code is ReasonCode.DATABASE_RIGHTS
        assert sentence in error.message
        assert line in error.advice[0]
        assert concerns((await here.database().known("primary")).identity)[0].fatal
    finally:
        here.sql(
            given, f"ALTER EXTENSION pg_stat_statements SET SCHEMA {before}", "DROP SCHEMA statistics", name=schema.NAME
        )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123, "12 µs"),
        (0.4, "0.4 ms"),
        (4.04, "4.0 ms"),
        (80.4, "80 ms"),
        (1234, "1.2 s"),
        (185_000, "3 min 5 s"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_times_are_read_at_a_glance(value: float, shown: str) -> None:
    assert slow_statements.milliseconds(value) == shown


def test_ids_are_short_and_the_same_for_a_negative_number() -> None:
    assert slow_statements.name_of(statement(id=-1)) == "qffffffff"
    assert slow_statements.name_of(statement(id=0x3F9AC1D2_00000000)) == "q3f9ac1d2"
