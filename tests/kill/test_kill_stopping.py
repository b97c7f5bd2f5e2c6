"""`kill -9` and SIGTERM where somebody stops, holds or tries again: what they asked for happens once, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(90)]

HOW = pytest.mark.parametrize("how", ["KILL", "TERM"])
SLOW = "v2.1.0-slow"


async def rolling(here: Story) -> str:
    run = await here.ask(f"deploy {SLOW}")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == SLOW, "the backend is rolling")
    return run


async def back_again(here: Story) -> None:
    """The process ends at its crash point; then a new one starts, which has none."""
    await here.ended()
    await here.start()


@HOW
async def test_the_stop_was_written_down_and_not_yet_handed_over(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("cancel-noted", how)
        restarted = asyncio.create_task(back_again(here))
        run = await rolling(here)
        await here.stop_run(REQUESTER, run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await here.ended_with(run, "was stopped by Maya")
        assert here.tag("frontend") == "v1.2.0"
        assert here.environment().run is None
        assert here.event_names(run).count("run:cancel-asked") == 1
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


@HOW
async def test_while_it_is_held(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("held", how)
        restarted = asyncio.create_task(back_again(here))
        run = await rolling(here)
        await here.press(REQUESTER, "hold", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await here.says(run, "held by Maya")
        await here.until(lambda: here.new_pods("backend", SLOW) == 3, "the backend has rolled")
        assert here.tag("frontend") == "v1.2.0"
        await here.type(ON_CALL, f"/omnicare continue {run}")
        await here.ended_with(run, f"{SLOW} runs in production")
        assert [here.event_names(run).count(name) for name in ("run:held", "run:continued")] == [1, 1]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


@HOW
async def test_the_retry_was_written_down_and_not_yet_handed_over(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("retry-noted", how)
        restarted = asyncio.create_task(back_again(here))
        run = await rolling(here)
        await here.stop_run(REQUESTER, run)
        await here.ended_with(run, "was stopped by Maya")
        await here.press(REQUESTER, "type-retry", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
        await here.ended_with(again, f"{SLOW} runs in production")
        assert here.runs() == [run, again]
        assert {here.tag(service) for service in SERVICES} == {SLOW}
        for each in (run, again):
            here.nothing_was_said_twice(each)
            here.nothing_is_written_twice(each)


@HOW
async def test_stopped_to_go_back_and_killed_before_anything_stopped(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("cancel-noted", how)
        restarted = asyncio.create_task(back_again(here))
        run = await rolling(here)
        await here.stop_run(ON_CALL, run, then="rollback")
        await here.until(restarted.done, "the bot was started again")
        await restarted
        back = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the rollback")
        await here.ended_with(back, "Back on v1.2.0")
        assert here.runs() == [run, back]
        assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
        for each in (run, back):
            here.nothing_was_said_twice(each)
            here.nothing_is_written_twice(each)
