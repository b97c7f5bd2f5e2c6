"""Waiting for several things at once, so that every runbook ends its watches and notices a request to stop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from runbooks.kit.steps import Pulse, Stopped

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
        await _end(working, stopping)


@asynccontextmanager
async def merged(*streams: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
    """Several streams as one, in the order in which things come; the first that fails fails the whole."""
    queue: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()

    async def feed(stream: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(stream) as items:
                async for item in items:
                    queue.put_nowait((item,))
            queue.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
            queue.put_nowait(error)

    async def items() -> AsyncGenerator[T, None]:
        left = len(streams)
        while left:
            got = await queue.get()
            if got is None:
                left -= 1
            elif isinstance(got, BaseException):
                raise got
            else:
                yield got[0]

    feeders = [asyncio.ensure_future(feed(stream)) for stream in streams]
    try:
        async with aclosing(items()) as merging:
            yield merging
    finally:
        await _end(*feeders)


async def ticking(stream: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T | None, None]:
    """The stream's items, and None whenever none came for so many seconds."""
    async with aclosing(stream) as items:
        coming: asyncio.Task[T] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(_next(items))
                await asyncio.wait((coming,), timeout=seconds)
                if not coming.done():
                    yield None
                    continue
                arrived, coming = coming, None
                try:
                    item = arrived.result()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if coming is not None:
                await _end(coming)


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)


async def side_by_side(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results in order. Each is let end, so that nothing is left half watched; then the first failure is raised."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for one in ended:
        if isinstance(one, BaseException):
            raise one
        results.append(one)
    return results


def failed_inside(error: BaseException) -> bool:
    """Return whether what the current task awaited has failed; False where the task itself is being cancelled.

    Awaiting a task that somebody else cancelled raises `CancelledError` too, which would end the waiting one without a word.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
