"""`kill -9` and SIGTERM where somebody stops, holds or tries again: what they asked for happens once, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from tests.support.worlds import ON_CALL, REQUESTER, SERVICES, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]

HOW = pytest.mark.parametrize("how", ["KILL", "TERM"])
SLOW = "v2.1.0-slow"


@HOW
@pytest.mark.parametrize("point", ["cancel-noted", "stop-told"])
async def test_the_stop_was_asked_for_and_the_run_has_not_seen_it(tmp_path: Path, point: str, how: str):
    async with story(tmp_path / "world") as here:
        await here.start(point, how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.rolling()
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
        restarted = asyncio.create_task(here.back_again())
        run = await here.rolling()
        await here.press(REQUESTER, "hold", run)
        here.let_ready()
        await here.until(restarted.done, "the bot was started again")
        await restarted
        assert "held by Maya" in await here.says(run, "Interrupted at")
        await here.until(lambda: here.new_pods("backend", SLOW) == 3, "the backend has rolled")
        assert here.tag("frontend") == "v1.2.0"
        await here.type(ON_CALL, f"/omnicare continue {run}")
        await here.ended_with(run, f"{SLOW} runs in production")
        assert [here.event_names(run).count(name) for name in ("run:held", "run:continued")] == [1, 1]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


@HOW
async def test_who_lets_it_go_on_is_heard_once(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("continue-noted", how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.rolling()
        await here.press(REQUESTER, "hold", run)
        here.let_ready()
        await here.says(run, "Held before Frontend rollout", "progress")
        await here.press(ON_CALL, "continue", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await here.ended_with(run, f"{SLOW} runs in production")
        assert [here.event_names(run).count(name) for name in ("run:held", "run:continued")] == [1, 1]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


@HOW
@pytest.mark.parametrize("point", ["unanswered-noted", "unanswered-1-posted"])
async def test_a_failure_that_nobody_answers_is_told_again_once(tmp_path: Path, point: str, how: str):
    async with story(tmp_path / "world", times={"escalate_after": 1.0, "escalate_times": 2}) as here:
        await here.start(point, how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.deployed("v2.1.0-bad", ends="stopped")
        await here.until(restarted.done, "the bot was started again")
        await restarted
        for number in (1, 2):
            await here.says(run, "is still undecided", f"unanswered-{number}")
        assert here.event_names(run).count("run:unanswered") == 2
        here.nothing_is_written_twice(run)
        assert {slot: len(said) for slot, said in here.said(run).items() if len(said) > 1} == {}


@HOW
async def test_the_retry_was_written_down_and_not_yet_handed_over(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start("retry-noted", how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.rolling()
        await here.stop_run(REQUESTER, run)
        await here.ended_with(run, "was stopped by Maya")
        await here.press(REQUESTER, "type-retry", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
        here.let_ready()
        await here.ended_with(again, f"{SLOW} runs in production")
        assert here.runs() == [run, again]
        assert {here.tag(service) for service in SERVICES} == {SLOW}
        for each in (run, again):
            here.nothing_was_said_twice(each)
            here.nothing_is_written_twice(each)


@HOW
@pytest.mark.parametrize("point", ["cancel-noted", "run-ended", "going-back-noted"])
async def test_stopped_to_go_back_and_killed_on_the_way(tmp_path: Path, point: str, how: str):
    async with story(tmp_path / "world") as here:
        await here.start(point, how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.rolling()
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
