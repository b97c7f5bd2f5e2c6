"""The sandbox without a database that works: everything else does, and what is missing is said."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from sandbox.postgres import Binaries, Database, Server
from sandbox.postgres.server import _PREFIX, _sweep
from tests.support.worlds import Story, story


async def test_where_the_database_can_not_start_the_main_story_still_works(tmp_path: Path):
    async with (
        Database(Binaries(tmp_path / "nowhere")).serve() as database,
        story(tmp_path / "world", database=database) as here,
    ):
        await here.inside()
        await here.deployed("v2.0.0")
        await here.type("dana", "/omnicare db connect")
        await here.whispered("dana", "can't be used: primary and replica")
        assert database.trouble


async def test_a_sandbox_without_one_says_which_table_is_missing(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.inside()
        await here.type("dana", "/omnicare slow-queries")
        await here.whispered("dana", "environments.production.database")
        assert [night.name for night in here.world.scenarios if night.name.startswith("database")] == []


async def test_bad_nights_of_the_database_are_played_and_taken_back(tmp_path: Path):
    async with Database(replica=False).serve() as database, story(tmp_path / "world", database=database) as here:
        await here.inside()
        await database.ready()
        assert {"database-lock", "database-slow", "database-gone"} <= {night.name for night in here.world.scenarios}
        for name in ("database-lock", "blocked-db", "pool-exhausted"):
            await here.world.switch(name, on=True)
        await database.settled()
        assert database.broken == {"lock", "blocked", "full"}
        await here.world.switch("blocked-db", on=False)
        await here.world.switch("pool-exhausted", on=False)
        await database.settled()
        await _waits(here)
        await here.world.switch("database-slow", on=True)
        await here.until(lambda: database.primary.delay, "every answer takes its time")
        await here.world.reset()
        await here.answer("dana", "db connect --on primary", "accepts the bot's credentials")


async def _waits(here: Story) -> None:
    """Those that wait are told once they have waited for two seconds."""
    newest = ""
    for _ in range(60):
        newest = await here.answer("dana", "slow-queries")
        if "4 sessions wait for a lock now" in newest:
            return
    raise AssertionError(newest)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
async def test_programs_in_a_directory_of_roots_own_are_copied_to_where_others_reach_them(tmp_path: Path):
    package = Binaries.of_the_wheel().folder.parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name)
    server = Server(Binaries(closed / package.name / "pginstall" / "bin"))
    try:
        await server.start()
        assert server.pid is not None
    finally:
        await server.stop()
    assert not server._home.exists()


async def test_what_a_killed_sandbox_left_behind_is_taken_away_and_nothing_else(tmp_path: Path):
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    left, used, other = (
        tmp_path / name for name in (f"{_PREFIX}{ended.pid}-abc", f"{_PREFIX}{os.getpid()}-abc", f"{_PREFIX}mine")
    )
    for folder in (left, used, other):
        (folder / "data").mkdir(parents=True)
    _sweep(tmp_path)
    assert [folder.exists() for folder in (left, used, other)] == [False, True, True]
