"""Plans without executing: what the DBA's function plans, what it refuses, and everything that somebody could try to make it do."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runbooks.clients.postgres.query_plans import NoQueryPlan
from runbooks.clients.postgres.statements import Statement
from runbooks.database import query_plans, slow_statements
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.sql import masked
from sandbox.postgres import schema
from sandbox.postgres.database import SQL
from tests.support.databases import Served


async def by_text(here: Served, part: str, place: str = "primary") -> Statement:
    counted = (await here.database().slow(place, by="total", limit=1000)).counted  # type: ignore[arg-type]
    found = [each for each in counted.statements if part in masked(each.text)]
    assert found, [masked(each.text) for each in counted.statements]
    return found[0]


async def explained(here: Served, part: str, place: str = "primary") -> Any:
    statement = await by_text(here, part, place)
    _, plan = await here.database().explained(place, slow_statements.name_of(statement)[1:])  # type: ignore[arg-type]
    return plan


def state_of(here: Served, *statements: str, role: str = "postgres") -> str:
    """The SQLSTATE with which the last of them is refused; empty where it is not."""
    try:
        here.sql(*statements, role=role)
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


def counted_id(here: Served, part: str) -> int:
    ((found,),) = here.sql(
        f"SELECT queryid FROM pg_stat_statements WHERE query LIKE '{part}' AND userid = 'omnicare'::regrole LIMIT 1"
    )
    return int(found)


# what it is for


@pytest.mark.parametrize("place", ["primary", "replica"])
async def test_a_statement_of_the_applications_is_planned_by_who_reads_no_table(here: Served, place: str):
    plan = await explained(here, "from audit_events where subject ->> $1 = $2", place)
    reading = query_plans.read(plan.tree)
    assert reading.dearest.what == "Seq Scan on audit_events"
    assert reading.dearest.own > 0.8
    assert "reading all of audit_events" in query_plans.meaning(reading.dearest)
    assert abs(sum(step.own for step in reading.steps) - 1) < 1e-6
    assert state_of(here, "SELECT subject FROM audit_events", role=schema.READER) == "42501"


async def test_planning_executes_nothing(here: Served):
    before = here.sql("SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%FROM audit_events WHERE%'")
    for _ in range(3):
        assert (await explained(here, "from audit_events where subject ->> $1 = $2")).tree
    assert here.sql("SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%FROM audit_events WHERE%'") == before


async def test_a_text_that_is_no_sql_any_more_is_told_as_that(here: Served):
    assert (await explained(here, "started_at > now() - interval $2")).refusal is NoQueryPlan.TEXT


async def test_what_writes_needs_rights_of_its_own(here: Served):
    assert (await explained(here, "update sync_items")).refusal is NoQueryPlan.RIGHTS
    before = here.sql("SELECT id, state FROM sync_items ORDER BY id")
    here.do(
        here.world.servers["primary"].psql(
            SQL / "explain.sql", name=schema.NAME, application=schema.APPLICATION, writes="yes"
        )
    )
    try:
        plan = await explained(here, "update sync_items")
    finally:
        here.sql("REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM omnicare_planner")
    assert query_plans.read(plan.tree).steps[0].what.startswith("Update on sync_items")
    assert here.sql("SELECT id, state FROM sync_items ORDER BY id") == before


@pytest.mark.parametrize(
    "said",
    ["NULL", "'no JSON'", "'[]'", "'[{\"Plan\": 7}]'", "repeat('[', 200000)", '\'[{"Plan": {"Total Cost": 1e999}}]\''],
)
async def test_a_plan_that_can_t_be_read_is_told_as_that(here: Served, said: str):
    """A DBA may have changed the function."""
    here.sql(
        "DROP FUNCTION omnicare_bot.explain_query(bigint)",
        f"CREATE FUNCTION omnicare_bot.explain_query(queryid bigint) RETURNS text LANGUAGE sql AS $f$ SELECT {said} $f$",
        "GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO omnicare_reader",
    )
    try:
        with pytest.raises(PermanentError, match="plan can't be read") as caught:
            await explained(here, "from audit_events where subject ->> $1 = $2")
    finally:
        here.sql("DROP FUNCTION omnicare_bot.explain_query(bigint)")
        server = here.world.servers["primary"]
        here.do(server.psql(SQL / "explain.sql", name=schema.NAME, application=schema.APPLICATION))
    assert caught.value.code is ReasonCode.DATABASE_REFUSED


async def test_what_a_stranger_ran_is_not_planned(here: Served):
    here.sql("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        here.do(_run_as(here, "stranger", "SELECT 41 AS of_a_stranger, relname FROM pg_catalog.pg_class LIMIT 1"))
        assert (await explained(here, "of_a_stranger")).refusal is NoQueryPlan.FOREIGN
    finally:
        here.sql("DROP ROLE stranger")


async def _run_as(here: Served, role: str, *statements: str) -> None:
    connection = await here.world.servers["primary"].connect(user=role, password=role, name=schema.NAME)
    async with connection:
        for statement in statements:
            await connection.execute(statement)


async def test_without_the_function_the_roles_own_rights_decide(here: Served):
    here.sql("ALTER FUNCTION omnicare_bot.explain_query(bigint) RENAME TO away")
    try:
        assert (await here.database().known("primary")).identity.function is None
        assert (await explained(here, "from audit_events where subject ->> $1 = $2")).refusal is NoQueryPlan.NO_FUNCTION
        here.sql("GRANT SELECT ON audit_events TO omnicare_reader")
        plan = await explained(here, "from audit_events where subject ->> $1 = $2")
        assert query_plans.read(plan.tree).dearest.what == "Seq Scan on audit_events"
        # other tables are still closed, and what has no plan has none
        assert (await explained(here, "from observations where encounter_id")).refusal is NoQueryPlan.NO_FUNCTION
        assert (await explained(here, "select pg_stat_statements_reset()")).refusal is NoQueryPlan.NO_FUNCTION
    finally:
        here.sql(
            "REVOKE ALL ON audit_events FROM omnicare_reader",
            "ALTER FUNCTION omnicare_bot.away(bigint) RENAME TO explain_query",
        )


async def test_a_function_that_is_not_the_roles_to_call(here: Served):
    here.sql("REVOKE EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) FROM omnicare_reader")
    try:
        assert (await explained(here, "from audit_events where subject ->> $1 = $2")).refusal is NoQueryPlan.NOT_MINE
    finally:
        here.sql("GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO omnicare_reader")


# attacks: with the reader's password, and past the bot


def test_nobody_is_the_planner_and_only_the_reader_may_call(here: Served):
    assert here.sql(
        "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname IN ('omnicare_planner', 'omnicare_explained') ORDER BY 1"
    ) == [
        (False, False),
        (False, False),
    ]
    assert state_of(here, "SET ROLE omnicare_planner", role=schema.READER) == "42501"
    writing = "SET default_transaction_read_only = off"
    assert state_of(here, writing, "GRANT omnicare_explained TO omnicare_reader", role=schema.READER) in (
        "42501",
        "0LP01",
    )
    assert state_of(here, "SELECT omnicare_bot.explain_query(1)", role=schema.APPLICATION) == "42501"
    path = "ALTER FUNCTION omnicare_bot.explain_query(bigint) SET search_path = x"
    assert state_of(here, writing, path, role=schema.READER) == "42501"


def test_a_function_of_the_readers_own_is_never_planned_with_the_planners_rights(here: Served):
    """Marked immutable, it would be called while planning, as the planner, who may read patients."""
    evil = (
        "CREATE FUNCTION pg_temp.evil() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN "
        "RAISE EXCEPTION 'stolen: %', (SELECT mrn FROM public.patients LIMIT 1); END $f$"
    )
    state = state_of(
        here,
        "SET default_transaction_read_only = off",
        evil,
        # it is counted though it fails for the reader
        "DO $d$ BEGIN PERFORM pg_temp.evil(); EXCEPTION WHEN OTHERS THEN NULL; END $d$",
        "CREATE FUNCTION pg_temp.mild() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
        "SELECT pg_temp.mild() AS planted_by_the_reader",
        "SELECT omnicare_bot.explain_query(s.queryid) FROM public.pg_stat_statements s WHERE s.query LIKE '%planted_by_the_reader' LIMIT 1",
        role=schema.READER,
    )
    assert state == "OB001"


def test_the_callers_search_path_and_temporary_tables_change_nothing(here: Served):
    number = counted_id(here, "%FROM audit_events WHERE subject%")
    ask = f"SELECT omnicare_bot.explain_query({number})"
    plain = here.sql(ask, role=schema.READER)
    shadowed = here.sql(
        "SET default_transaction_read_only = off",
        "CREATE TEMP TABLE audit_events (id int, actor text, action text, subject jsonb, at timestamptz)",
        "CREATE TEMP TABLE pg_extension (extname name, extnamespace oid)",
        "CREATE FUNCTION pg_temp.pg_has_role(oid, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "SET search_path = pg_temp, public, pg_catalog",
        ask,
        role=schema.READER,
    )
    assert shadowed == plain


def test_the_transaction_can_not_be_written_in_afterwards(here: Served):
    number = counted_id(here, "%FROM audit_events WHERE subject%")
    insert = "INSERT INTO sync_items VALUES (777777, 'x', 'pending', now())"
    assert state_of(here, "BEGIN", f"SELECT omnicare_bot.explain_query({number})", insert) == "25006"
    assert (
        state_of(here, "BEGIN", f"SELECT omnicare_bot.explain_query({number})", "SET transaction_read_only = off")
        == "25001"
    )
    assert here.sql("SELECT count(*) FROM sync_items WHERE id = 777777") == [(0,)]


def test_null_and_numbers_that_nobody_counted(here: Served):
    assert here.sql("SELECT omnicare_bot.explain_query(NULL)", role=schema.READER) == [(None,)]
    assert state_of(here, "SELECT omnicare_bot.explain_query(42)", role=schema.READER) == "OB001"


# attacks on the text: the same body, given its text instead of a number


@pytest.fixture
def given_text(here: Served) -> Iterator[Served]:
    body = (SQL / "explain.sql").read_text(encoding="utf-8")
    start, end = body.index("CREATE OR REPLACE FUNCTION"), body.index("$function$;") + len("$function$;")
    source = (
        body[start:end]
        .replace("explain_query(queryid bigint)", "explain_text(counted text)")
        .replace("  counted text;\n", "")
    )
    source, replaced = re.subn(r"  SELECT n\.nspname INTO STRICT.*?USING queryid;\n", "", source, flags=re.DOTALL)
    assert replaced == 1
    here.sql(
        source,
        "ALTER FUNCTION omnicare_bot.explain_text(text) OWNER TO omnicare_planner",
        "GRANT EXECUTE ON FUNCTION omnicare_bot.explain_text(text) TO omnicare_reader",
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO omnicare_planner",
        "CREATE TABLE victims (id int PRIMARY KEY, name text)",
        "INSERT INTO victims VALUES (1, 'a'), (2, 'b')",
        "CREATE SEQUENCE counter",
        "GRANT ALL ON victims TO omnicare_planner",
        "GRANT ALL ON counter TO omnicare_planner",
        "CREATE FUNCTION public.folded() RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$f$ BEGIN INSERT INTO public.victims VALUES (3, 'c'); RETURN 1; END $f$",
    )
    yield here
    here.sql(
        "DROP TABLE IF EXISTS victims, made, made_too",
        "DROP SEQUENCE counter",
        "DROP FUNCTION omnicare_bot.explain_text(text)",
        "DROP FUNCTION public.folded()",
        "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM omnicare_planner",
    )


ATTACKS = [
    "SELECT 1; DROP TABLE victims",
    "SELECT 1; DROP TABLE victims;",
    "SELECT 1;; DELETE FROM victims",
    "SELECT ';'; DELETE FROM victims",
    "SELECT 1 /* ; */",
    "DROP TABLE victims",
    "TRUNCATE victims",
    "/* SELECT */ DROP TABLE victims",
    "/* /* nested */ */ DROP TABLE victims",
    "-- SELECT\nDROP TABLE victims",
    "ANALYZE victims",
    "ANALYZE SELECT 1",
    "ANALYZE DELETE FROM victims",
    "EXECUTE anything",
    "EXPLAIN ANALYZE DELETE FROM victims",
    "CREATE TABLE made AS SELECT 1",
    "COPY victims TO PROGRAM 'true'",
    "COPY (DELETE FROM victims RETURNING *) TO STDOUT",
    "DO $$ BEGIN DELETE FROM victims; END $$",
    "CALL anything()",
    "SET ROLE postgres",
    "SET search_path = pg_temp",
    "RESET ALL",
    "PREPARE x AS DELETE FROM victims",
    "DECLARE c CURSOR FOR SELECT 1",
    "BEGIN",
    "COMMIT",
    "LISTEN x",
    "",
    " ; ; ",
    "SELECT 1)",
    "SELECT 1) AS x, (SELECT 2",
    "(ANALYZE) DELETE FROM victims",
    "SELECT 'unterminated",
    "SELECT 1 \\; DELETE FROM victims",
    "SELECT public.folded()",
    "SELECT * FROM victims WHERE id = public.folded()",
]
PLANNED = [
    "SELECT * FROM victims WHERE id = $1",
    "SELECT 1 ;",
    " ( (SELECT id FROM victims) UNION SELECT $1 )",
    "/* a comment */ -- and another\n SELECT * FROM victims",
    "DELETE FROM victims WHERE id = $1",
    "UPDATE victims SET name = $1 RETURNING *",
    "INSERT INTO victims VALUES ($1, $2) ON CONFLICT DO NOTHING",
    "WITH gone AS (DELETE FROM victims RETURNING *) SELECT * FROM gone",
    "SELECT nextval('counter'), setval('counter', 99)",
    "SELECT pg_sleep(600)",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT * INTO made_too FROM victims",
    "VALUES (1), ($1)",
    "TABLE victims",
    "SELECT * FROM victims FOR UPDATE",
]


def nothing_happened(here: Served) -> None:
    assert here.sql("SELECT id, name FROM victims ORDER BY id") == [(1, "a"), (2, "b")]
    assert here.sql("SELECT last_value, is_called FROM counter") == [(1, False)]
    assert here.sql("SELECT to_regclass('made'), to_regclass('made_too')") == [(None, None)]


def test_what_is_not_one_statement_with_a_plan_is_refused_and_nothing_of_it_is_done(given_text: Served):
    for text in ATTACKS:
        quoted = text.replace("'", "''").replace("%", "%%")
        state = state_of(given_text, f"SELECT omnicare_bot.explain_text('{quoted}')", role=schema.READER)
        assert state, f"it was planned: {text}"
        nothing_happened(given_text)


def test_what_has_a_plan_is_planned_and_never_executed(given_text: Served):
    for text in PLANNED:
        quoted = text.replace("'", "''").replace("%", "%%")
        ((plan,),) = given_text.sql(f"SELECT omnicare_bot.explain_text('{quoted}')", role=schema.READER)
        assert "Plan" in plan[0], text
        nothing_happened(given_text)


def test_a_refused_text_leaves_no_prepared_statement_behind(given_text: Served):
    """On versions before 16 the text is prepared first."""
    good = "SELECT omnicare_bot.explain_text('SELECT * FROM victims WHERE id = $1')"
    bad = "DO $d$ BEGIN PERFORM omnicare_bot.explain_text('SELECT no_such_column FROM victims WHERE id = $1'); EXCEPTION WHEN OTHERS THEN NULL; END $d$"
    assert len(given_text.sql(bad, good, bad, good, role=schema.READER)) == 1
    assert given_text.sql(good, "SELECT count(*) FROM pg_prepared_statements", role=schema.READER) == [(0,)]


# the files that the DBA runs


def test_both_files_can_be_run_again(here: Served):
    server = here.world.servers["primary"]
    for _ in range(2):
        here.do(server.psql(SQL / "reader.sql", name=schema.NAME))
        here.do(server.psql(SQL / "explain.sql", name=schema.NAME, application=schema.APPLICATION))
    assert here.sql(
        "SELECT r.rolname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.proname = 'explain_query'"
    ) == [("omnicare_planner",)]
    assert here.sql("SELECT has_schema_privilege('omnicare_planner', 'omnicare_bot', 'CREATE')") == [(False,)]


def test_without_the_applications_role_nothing_is_installed(here: Served):
    from sandbox.postgres import ServerFailed

    with pytest.raises(ServerFailed, match="application=ROLE"):
        here.do(here.world.servers["primary"].psql(SQL / "explain.sql", name=schema.NAME))


def test_who_is_no_superuser_can_install_it_too(here: Served):
    """As on RDS, where the master user is not one: it may hand on the statistics' role, and is a member of the application's."""
    server, name = here.world.servers["primary"], "as_on_rds"
    here.sql(
        f"CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '{server.password}'",
        "GRANT pg_read_all_stats TO master WITH ADMIN OPTION",
        "CREATE ROLE app_of_rds LOGIN",
        "GRANT app_of_rds TO master",
        f"CREATE DATABASE {name} OWNER master",
    )
    mine = (
        "GRANT omnicare_planner, omnicare_explained, omnicare_reader TO master WITH ADMIN OPTION",
    )  # of the other database's installation
    here.sql(*mine)
    try:
        here.sql(
            "CREATE TABLE things (id int)",
            "ALTER TABLE things OWNER TO app_of_rds",
            "CREATE EXTENSION pg_stat_statements",
            "GRANT CREATE ON SCHEMA public TO master",
            name=name,
        )
        here.sql("ALTER SCHEMA public OWNER TO master", name=name)
        here.do(server.psql(SQL / "explain.sql", name=name, user="master", application="app_of_rds"))
        found = here.sql(
            "SELECT r.rolname, has_table_privilege('omnicare_planner', 'things', 'SELECT'), has_table_privilege('omnicare_reader', 'things', 'SELECT') "
            "FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.proname = 'explain_query'",
            name=name,
        )
        assert found == [("omnicare_planner", True, False)]
    finally:
        here.sql(
            f"DROP DATABASE {name} WITH (FORCE)",
            "REASSIGN OWNED BY master TO postgres",
            "DROP OWNED BY master, app_of_rds",
            "DROP ROLE master, app_of_rds",
        )
