"""The database client against real servers: read-only, two at a time, over in time; and each way in which a server says no."""

import asyncio
from typing import Any

import pytest

from runbooks.clients.postgres.access import DatabaseCredentials, DatabaseSettings
from runbooks.clients.postgres.database import DatabaseClient, QueryResult
from runbooks.database.databases import Database, concerns
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from sandbox.postgres import schema
from tests.support.databases import Served
from tests.support.old_postgres import speaking
from tests.support.poolers import dropping_options

PASSWORD = "pw-of-the-reader-x7Q"


def elsewhere(address: str, **settings: Any) -> Database:
    """A database of which nothing is known but where it should be."""

    async def credentials(*, fresh: bool = False) -> DatabaseCredentials:
        return DatabaseCredentials(schema.READER, PASSWORD)

    plain = {"primary": address, "name": schema.NAME, "tls": "disable", **settings}
    return Database("production", DatabaseClient(DatabaseSettings.model_validate(plain), credentials))


async def refused(database: Database, **about: object) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        await database.known("primary")
    error = caught.value
    said = f"{error.message} {error.evidence} {error.advice} {error!r}"
    assert PASSWORD not in said
    assert error.advice, "each refusal says what to do"
    assert error.__cause__ is None, "the driver's own words are not passed on"
    return error


# who the bot is


async def test_the_reader_is_known_read_only_and_without_a_table(here: Served):
    found = await here.database().known("primary")
    who = found.identity
    assert (who.role, who.database, who.read_only, who.superuser) == ("omnicare_reader", schema.NAME, True, False)
    assert (who.readable, who.writable, who.creates) == (0, 0, ())
    assert (who.sees_statistics, who.loaded, who.function, who.in_recovery) == (True, True, True, False)
    assert who.counted_since is not None
    assert 0 < found.latency < 4


async def test_a_replica_says_that_it_is_one_and_how_far_behind(here: Served):
    who = (await here.database().known("replica")).identity
    assert who.in_recovery
    assert who.lag is not None


async def test_nothing_can_be_written_whatever_is_asked(here: Served):
    database = here.database(user=schema.APPLICATION, password=here.world._passwords[schema.APPLICATION])
    async with database._client.asked("primary") as session:
        with pytest.raises(RunbookError) as caught:
            await session.rows("INSERT INTO public.sync_items VALUES (999999, 'tablet-1', 'pending', now())")
    assert caught.value.code is ReasonCode.DATABASE_REFUSED
    assert here.sql("SELECT count(*) FROM sync_items WHERE id = 999999") == [(0,)]


async def test_at_most_two_connections_are_open_at_once(here: Served):
    database = here.database()
    inside: list[int] = []
    most, busiest = 0, 0

    async def look(number: int) -> None:
        nonlocal most, busiest
        async with database._client.asked("primary") as session:
            inside.append(number)
            most = max(most, len(inside))
            # those that were closed a moment ago may still be on their way out
            row = await session.row(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'omnicare-bot' AND state = 'active'"
            )
            busiest = max(busiest, row["n"])
            await session.rows("SELECT pg_sleep(0.05)")
            inside.remove(number)

    await asyncio.gather(*(look(number) for number in range(9)))
    assert (most, busiest <= 2) == (2, True)


async def test_a_password_that_was_changed_is_read_again_by_itself(here: Served):
    asked: list[bool] = []

    async def credentials(*, fresh: bool = False) -> DatabaseCredentials:
        asked.append(fresh)
        return DatabaseCredentials(schema.READER, here.world.reader_password if fresh else "the-old-one")

    database = Database("production", DatabaseClient(here.settings(), credentials))
    assert (await database.known("primary")).identity.role == schema.READER
    assert True in asked


# whether it answers


async def test_an_answer_tells_how_long_it_took(here: Served):
    found = await here.database(answer_timeout=10).answers()
    assert isinstance(found, QueryResult)
    assert (found.well, found.place, found.code) == (True, "primary", None)
    assert found.seconds > 0


async def test_an_answer_counts_connections_and_tells_how_far_a_replica_is_behind(here: Served):
    database = here.database(answer_timeout=10)
    primary, replica = await database.answers("primary"), await database.answers("replica")
    found = await database.connections("primary")
    assert primary.connections is not None
    assert primary.connections.most == found.server.most
    assert 0 < primary.connections.used <= found.server.most
    assert (primary.tightest is not None) == any(each.name != "emr" for each in found.limits)
    assert (primary.replayed, primary.streaming) == (None, None)
    assert replica.streaming is True
    here.sql("UPDATE sync_items SET queued_at = now() WHERE id = 1")
    while not here.sql("SELECT pg_last_xact_replay_timestamp() IS NOT NULL", place="replica")[0][0]:
        pass
    here.do(here.world.fall_behind())
    async with asyncio.timeout(60):
        while not ((await database.answers("replica")).replayed or 0) > 0:
            pass
    assert (await database.answers("replica")).paused
    here.mend()


async def test_an_answer_counts_who_waits_for_a_lock(here: Served):
    database = here.database(answer_timeout=10)
    assert (await database.answers()).waiting == 0
    here.do(here.world.hold(waiting=3))
    async with asyncio.timeout(60):
        while (await database.answers()).waiting < 3:  # noqa: ASYNC110 - whoever waits counts after two seconds
            await asyncio.sleep(0.1)
    here.mend()
    async with asyncio.timeout(60):
        while (await database.answers()).waiting:  # the server's processes end a moment later
            pass


async def test_a_slow_server_is_measured_and_a_silent_one_is_over_in_time(here: Served):
    here.call(here.world.slow_down, 0.05)
    assert (await here.database(answer_timeout=10).answers()).seconds >= 0.05
    here.mend()
    here.call(here.world.vanish)
    found = await here.database(answer_timeout=0.3).answers("replica")
    assert (found.well, found.code) == (False, ReasonCode.DATABASE_UNREACHABLE)
    assert found.why == f"The replica ({found.address}) did not answer within 0.3 s."
    assert found.trouble == "did not answer within 0.3 s"


async def test_a_server_that_falls_silent_in_the_middle_holds_nobody(here: Served):
    database = here.database(statement_timeout=2, answer_timeout=10)
    async with database._client.asked("primary") as session:
        await session.rows("SELECT 1")
        here.call(here.world.vanish)
        with pytest.raises(RunbookError) as caught:
            await session.rows("SELECT 2")
    assert caught.value.code is ReasonCode.DATABASE_UNREACHABLE
    here.mend()
    # both places are free again, and no descriptor was left behind for another connection to stumble over
    found = await asyncio.gather(*(database.answers() for _ in range(4)))
    assert [each.why for each in found] == [""] * 4


async def test_who_is_told_to_stop_waits_for_no_server(here: Served):
    database = here.database(statement_timeout=60)

    async def ask() -> None:
        async with database._client.asked("primary") as session:
            await session.rows("SELECT pg_sleep(59)")

    def sleeps() -> bool:
        return here.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(59)' AND state = 'active'"
        ) == [(1,)]

    task = asyncio.create_task(ask())
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(sleeps):
            assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(sleeps), "the server is still at it, and nobody waited for it"
    assert (await database.answers()).well
    here.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(59)'")


# each way in which it says no


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(here: Served):
    database = here.database(statement_timeout=0.2)
    with pytest.raises(RunbookError) as caught:
        async with database._client.asked("primary") as session:
            await session.rows("SELECT pg_sleep(30)")
    assert caught.value.code is ReasonCode.DATABASE_SLOW
    assert "0.2 s" in caught.value.message


async def test_a_wrong_password_and_an_unknown_role_are_told_alike(here: Served):
    for database in (here.database(password=PASSWORD), here.database(user="nobody_knows", password=PASSWORD)):
        error = await refused(database)
        assert error.code is ReasonCode.DATABASE_REFUSED
        assert "rejects the reader's name or password" in error.message


async def test_a_database_that_is_not_there(here: Served):
    error = await refused(here.database(name="omnicare_emr_old"))
    assert error.code is ReasonCode.DATABASE_REFUSED
    assert "has no database omnicare_emr_old" in error.message


async def test_a_server_without_tls_gets_no_password(here: Served):
    error = await refused(here.database(tls="require"))
    assert error.code is ReasonCode.DATABASE_TLS
    assert "does not support TLS" in error.message


async def test_a_role_whose_connections_are_used_up(here: Served):
    here.sql("ALTER ROLE omnicare_reader CONNECTION LIMIT 0")
    try:
        error = await refused(here.database())
    finally:
        here.sql("ALTER ROLE omnicare_reader CONNECTION LIMIT 6")
    assert error.code is ReasonCode.DATABASE_BUSY


async def test_a_role_that_may_not_connect_to_that_database(here: Served):
    here.sql(f"REVOKE CONNECT ON DATABASE {schema.NAME} FROM PUBLIC, omnicare_reader")
    try:
        error = await refused(here.database())
    finally:
        here.sql(f"GRANT CONNECT ON DATABASE {schema.NAME} TO PUBLIC, omnicare_reader")
    assert error.code is ReasonCode.DATABASE_REFUSED
    assert "GRANT CONNECT" in error.advice[0]


async def test_nothing_listens_there():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    error = await refused(elsewhere(address))
    assert (error.code, "nothing is listening there" in error.message) == (ReasonCode.DATABASE_UNREACHABLE, True)


async def test_a_host_that_nobody_knows():
    error = await refused(elsewhere("postgres.invalid"))
    assert error.code is ReasonCode.DATABASE_UNREACHABLE


@pytest.mark.parametrize(
    ("state", "words", "code", "said"),
    [
        ("57P03", "the database system is starting up", ReasonCode.DATABASE_UNREACHABLE, "is starting"),
        ("53300", "sorry, too many clients already", ReasonCode.DATABASE_BUSY, "no connections left"),
        (
            "28000",
            'no pg_hba.conf entry for host "10.0.0.9", user "omnicare_reader", database "omnicare_emr", no encryption',
            ReasonCode.DATABASE_TLS,
            "accepts TLS connections only",
        ),
        (
            "28000",
            'no pg_hba.conf entry for host "10.0.0.9", user "omnicare_reader", database "omnicare_emr", SSL encryption',
            ReasonCode.DATABASE_REFUSED,
            "from the bot's address",
        ),
        ("08P01", "unsupported startup parameter: options", ReasonCode.DATABASE_REFUSED, "a pooler"),
        ("XX000", f"internal trouble with {PASSWORD}", ReasonCode.DATABASE_REFUSED, "rejected the connection"),
    ],
)
async def test_what_servers_say_at_the_door_is_recognised(state: str, words: str, code: ReasonCode, said: str):
    async with speaking(refuses=(state, words)) as address:
        error = await refused(elsewhere(address))
    assert error.code is code
    assert said in error.message


@pytest.mark.parametrize(
    ("state", "words", "code"),
    [
        (
            "28P01",
            "Passwort-Authentifizierung für Benutzer »omnicare_reader« fehlgeschlagen",
            ReasonCode.DATABASE_REFUSED,
        ),
        ("3D000", "Datenbank »omnicare_emr« existiert nicht", ReasonCode.DATABASE_REFUSED),
        ("28000", "la autentificación PAM falló para el usuario «omnicare_reader»", ReasonCode.DATABASE_REFUSED),
        ("28000", "The IAM authentication failed for the role omnicare_reader", ReasonCode.DATABASE_REFUSED),
        ("28P01", "This RDS proxy has no credentials for the role omnicare_reader.", ReasonCode.DATABASE_REFUSED),
        ("08P01", "no such database: omnicare_emr", ReasonCode.DATABASE_REFUSED),
        ("08P01", "SASL authentication failed", ReasonCode.DATABASE_REFUSED),
        ("08P01", "no more connections allowed (max_client_conn)", ReasonCode.DATABASE_BUSY),
        ("28000", 'LDAP authentication failed for user "omnicare_reader"', ReasonCode.DATABASE_REFUSED),
    ],
)
async def test_a_server_that_answers_in_any_language_is_not_told_as_out_of_reach_and_the_credentials_are_read_again(
    state: str, words: str, code: ReasonCode
):
    asked: list[bool] = []

    async def credentials(*, fresh: bool = False) -> DatabaseCredentials:
        asked.append(fresh)
        return DatabaseCredentials(schema.READER, PASSWORD)

    async with speaking(refuses=(state, words)) as address:
        plain = {"primary": address, "name": schema.NAME, "tls": "disable"}
        error = await refused(
            Database("production", DatabaseClient(DatabaseSettings.model_validate(plain), credentials))
        )
    assert error.code is code
    assert (True in asked) == (code is ReasonCode.DATABASE_REFUSED)


async def test_limits_hold_behind_a_pooler_that_drops_them_and_db_connect_says_so(here: Served):
    async with dropping_options(here.settings().primary or "") as address:
        database = here.database(primary=address, statement_timeout=0.3)
        with pytest.raises(RunbookError) as caught:
            async with database._client.asked("primary") as session:
                await session.rows("SELECT pg_sleep(30)")
        assert caught.value.code is ReasonCode.DATABASE_SLOW
        who = (await here.database(primary=address).known("primary")).identity
    assert (who.unlimited, "statement_timeout" in who.dropped) == ((), True)
    assert any("pooler" in each.says for each in concerns(who))
    assert not (await here.database().known("primary")).identity.dropped


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("40001", ReasonCode.DATABASE_BUSY),
        ("40P01", ReasonCode.DATABASE_BUSY),
        ("53100", ReasonCode.DATABASE_UNREACHABLE),
    ],
)
async def test_a_statement_that_was_in_the_way_may_be_asked_again(here: Served, state: str, code: ReasonCode):
    with pytest.raises(TemporaryError) as caught:
        async with here.database()._client.asked("primary") as session:
            await session.rows(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")
    assert caught.value.code is code
    assert "bug" not in " ".join(caught.value.advice)


async def test_a_statement_that_a_dba_cancels_is_not_told_as_a_time_out(here: Served):
    database = here.database(statement_timeout=60)

    async def ask() -> None:
        async with database._client.asked("primary") as session:
            await session.rows("SELECT pg_sleep(57)")

    task = asyncio.create_task(ask())
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(57)' AND state = 'active'"
    )
    while not await asyncio.to_thread(here.sql, cancel):
        assert not task.done()
    with pytest.raises(TemporaryError, match="somebody cancelled the bot's statement after"):
        await task


async def test_a_server_from_before_postgresql_10():
    async with speaking(version="9.6.24") as address:
        error = await refused(elsewhere(address))
    assert error.code is ReasonCode.DATABASE_TOO_OLD
    assert "PostgreSQL 9.6" in error.message


async def test_variables_of_libpqs_are_not_listened_to(here: Served, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "PGHOST": "192.0.2.1",
        "PGPASSWORD": "another",
        "PGOPTIONS": "-c default_transaction_read_only=off",
        "PGSSLMODE": "verify-full",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, value)
    assert (await here.database().known("primary")).identity.read_only
