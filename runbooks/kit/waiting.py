"""Waiting for several things at once, so that every runbook ends its watches and notices a request to stop."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar

from runbooks.kit.steps import Pulse, Stopped

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def unless_stopped(pulse: Pulse, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, or `Stopped` as soon as somebody asks the run to stop (the work is cancelled, not undone)."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(pulse.stop())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        raise Stopped(await stopping)
    finally:
        await end(working, stopping)


@asynccontextmanager
async def merged(
    *streams: AsyncGenerator[T, None], tick: float | None = None
) -> AsyncIterator[AsyncGenerator[list[T], None]]:
    """Yield several streams as one: whatever has come since the last look, in the order in which it came.

    Who looks rarely gets much at once, so a list of thousands is one look and not thousands. An empty list comes whenever nothing came
    for `tick` seconds. The first stream that fails fails the whole, after what else had come.
    """
    queue: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()

    async def feed(stream: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(stream) as items:
                async for item in items:
                    queue.put_nowait((item,))
            queue.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
            queue.put_nowait(error)

    async def batches() -> AsyncGenerator[list[T], None]:
        left, failed = len(streams), None
        while left and failed is None:
            came: list[tuple[T] | BaseException | None] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(tick):
                    came.append(await queue.get())
            while not queue.empty():
                came.append(queue.get_nowait())
            left -= came.count(None)
            failed = next((each for each in came if isinstance(each, BaseException)), None)
            batch = [each[0] for each in came if isinstance(each, tuple)]
            if batch or not came:
                yield batch
        if failed is not None:
            raise failed

    feeders = [asyncio.ensure_future(feed(stream)) for stream in streams]
    try:
        async with aclosing(batches()) as merging:
            yield merging
    finally:
        await end(*feeders)


async def side_by_side(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results in order. Each is let end, so that nothing is left half watched; then the first failure is raised."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for one in ended:
        if isinstance(one, BaseException):
            raise one
        results.append(one)
    return results


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], what: str) -> AsyncIterator[None]:
    """Do the work, which only shows something, while the body runs; `what` it is, for the log if it ends by an error that nobody foresaw."""
    task = logged(work, what)
    try:
        yield
    finally:
        await end(task)


def logged(work: Coroutine[Any, Any, None], what: str) -> "asyncio.Task[None]":
    """Start work whose end nobody waits for: an error ends it alone, and stands in the log."""

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s has ended by an error", what, exc_info=error)

    task = asyncio.ensure_future(work)
    task.add_done_callback(ended)
    return task


def failed_inside(error: BaseException) -> bool:
    """Return whether what the current task awaited has failed; False where the task itself is being cancelled.

    Awaiting a task that somebody else cancelled raises `CancelledError` too, which would end the waiting one without a word.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what nobody waits for any more, and return once it is over, however it ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
