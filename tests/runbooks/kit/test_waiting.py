"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from runbooks.kit.waiting import beside, merged


async def at_once(*items: int) -> AsyncGenerator[int]:
    for item in items:
        yield item


async def failing(after: int) -> AsyncGenerator[int]:
    yield after
    raise RuntimeError("the stream broke")


async def silent() -> AsyncGenerator[int]:
    await asyncio.Event().wait()
    yield 0


async def test_a_list_of_thousands_is_one_look() -> None:
    async with merged(at_once(*range(10_000)), silent()) as batches:
        assert await anext(batches) == list(range(10_000))


async def test_what_comes_during_a_look_is_the_next_one() -> None:
    more: asyncio.Queue[int] = asyncio.Queue()

    async def coming() -> AsyncGenerator[int]:
        while True:
            yield await more.get()

    async with merged(coming()) as batches:
        more.put_nowait(1)
        assert await anext(batches) == [1]
        more.put_nowait(2)
        more.put_nowait(3)
        assert await anext(batches) == [2, 3]


async def test_an_empty_look_tells_that_nothing_came() -> None:
    async with merged(silent(), tick=0.01) as batches:
        assert [await anext(batches), await anext(batches)] == [[], []]


async def test_streams_that_end_end_it_without_an_empty_look() -> None:
    async with merged(at_once(1), at_once(2), at_once()) as batches:
        assert [batch async for batch in batches] == [[1, 2]]


async def test_what_came_is_told_before_the_failure() -> None:
    async with merged(failing(7), silent()) as batches:
        assert await anext(batches) == [7]
        with pytest.raises(RuntimeError, match="the stream broke"):
            await anext(batches)


async def test_leaving_closes_every_stream() -> None:
    closed: list[str] = []

    async def closing(name: str) -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(name)

    async with merged(closing("a"), closing("b")) as batches:
        await anext(batches)
    assert sorted(closed) == ["a", "b"]


async def test_what_only_shows_something_ends_alone_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    broken = asyncio.Event()

    async def shows() -> None:
        broken.set()
        raise RuntimeError

    async with beside(shows(), "counting sheep"):
        await broken.wait()
    assert "counting sheep has ended by an error" in caplog.text


async def test_what_only_shows_something_ends_with_what_it_shows(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def shows() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(shows(), "counting sheep"):
        await asyncio.sleep(0)
    assert ended.is_set()
    assert not caplog.text
