"""`kill -9` and SIGTERM where a deploy waits for its time: it still waits afterwards, a go counts once, and it starts once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, REQUESTER, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]

HOW = pytest.mark.parametrize("how", ["KILL", "TERM"])
AHEAD = 3600.0


async def asked(here: Story, seconds: float) -> str:
    at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    run = await here.ask(f"deploy v2.0.0 --at {at}")
    await here.press(APPROVER, "approve", run)
    return run


async def started_once(here: Story, run: str) -> None:
    await here.ended_with(run, "v2.0.0 runs in production")
    names = here.event_names(run)
    once = ("run:scheduled", "go:asked", "go:given", "run:started", "run:succeeded")
    assert [names.count(name) for name in once] == [1] * len(once)
    assert names.index("go:given") < names.index("run:started")
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


@HOW
async def test_while_it_waits_for_its_time(tmp_path: Path, how: str):
    async with story(tmp_path / "world", times={"go_before": AHEAD}) as here:
        await here.start("scheduled", how)
        restarted = asyncio.create_task(here.back_again())
        run = await asked(here, 10.0)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await here.press(REQUESTER, "go", run)
        await started_once(here, run)


async def test_again_and_again_while_it_waits_and_after_the_go(tmp_path: Path):
    async with story(tmp_path / "world", times={"go_before": AHEAD}) as here:
        await here.start()
        at = datetime.now(UTC) + timedelta(seconds=40.0)
        run = await asked(here, 40.0)
        await here.says(run, "Go or no-go", "go")
        await here.kill()
        await here.start()
        await here.press(REQUESTER, "go", run)
        await here.says(run, "Its plan is made again then", "go")
        await here.kill()
        assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
        await here.until(lambda: datetime.now(UTC) > at, "its time comes while no bot runs")
        await here.start()
        await started_once(here, run)


@HOW
async def test_the_go_was_written_down_and_not_handed_over(tmp_path: Path, how: str):
    async with story(tmp_path / "world", times={"go_before": AHEAD}) as here:
        await here.start("go-noted", how)
        restarted = asyncio.create_task(here.back_again())
        run = await asked(here, 10.0)
        await here.press(REQUESTER, "go", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await started_once(here, run)


async def test_nobody_said_go_while_no_bot_ran(tmp_path: Path):
    async with story(tmp_path / "world", times={"go_before": AHEAD, "go_grace": 1.0}) as here:
        await here.start()
        over = datetime.now(UTC) + timedelta(seconds=21.0)
        run = await asked(here, 20.0)
        await here.says(run, "waiting until")
        await here.kill()
        await here.until(lambda: datetime.now(UTC) > over, "its time is over")
        await here.start()
        await here.says(run, "expired: nobody said go", "result")
        assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
        assert here.environment().run is None
        assert here.event_names(run)[-1] == "run:expired"
        here.nothing_was_said_twice(run)


async def test_a_go_that_is_old_by_the_time_it_could_start_starts_nothing_by_itself(tmp_path: Path):
    async with story(tmp_path / "world", times={"go_before": AHEAD, "start_within": 1.0}) as here:
        await here.start()
        over = datetime.now(UTC) + timedelta(seconds=22.0)
        run = await asked(here, 20.0)
        await here.press(REQUESTER, "go", run)
        await here.says(run, "Its plan is made again then", "go")
        await here.kill()
        await here.until(lambda: datetime.now(UTC) > over, "its time is over")
        await here.start()
        await here.says(run, "It could not start in time", "approval")
        assert "and only after a final go" not in here.text(run, "approval")
        assert "run:started" not in here.event_names(run)
        assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
