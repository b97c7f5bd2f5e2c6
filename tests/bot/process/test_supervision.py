"""Background work that fails is logged, counted and started again; what keeps failing is named."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bot.process.supervision import Supervisor


@contextlib.asynccontextmanager
async def supervised(failures: list[str], *, dead_after: float = 60.0) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(failures.append, first_pause=0.01, longest_pause=0.02, dead_after=dead_after)
    yield supervisor
    await supervisor.close()


async def test_what_returns_has_done_its_work_and_is_not_started_again() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    async with supervised(failures := []) as supervisor:
        await supervisor.start("work", work)
    assert (done, failures) == ([1], [])


@pytest.mark.parametrize("error", [RuntimeError("hunter2"), asyncio.CancelledError(), KeyError("x")])
async def test_what_fails_is_started_again_and_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error

    async with supervised(failures := []) as supervisor:
        await supervisor.start("work", work)
    assert failures == ["work", "work"]
    assert caplog.text.count("work failed and is started again in ") == 2


async def test_what_keeps_failing_is_dead_until_it_works_for_as_long() -> None:
    broken = asyncio.Event()
    broken.set()

    async def work() -> None:
        if broken.is_set():
            raise RuntimeError
        await asyncio.Event().wait()

    async with supervised([], dead_after=0.1) as supervisor:
        supervisor.start("work", work)
        while supervisor.dead() != ["work"]:  # noqa: ASYNC110 - a state that comes with time
            await asyncio.sleep(0.01)
        broken.clear()
        while supervisor.dead():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_closing_ends_what_runs_and_what_waits_for_its_next_try() -> None:
    async def fails() -> None:
        raise RuntimeError

    async def runs() -> None:
        await asyncio.Event().wait()

    async with supervised([]) as supervisor:
        tasks = [supervisor.start("fails", fails), supervisor.start("runs", runs)]
        await asyncio.sleep(0)
    assert all(task.cancelled() for task in tasks)
