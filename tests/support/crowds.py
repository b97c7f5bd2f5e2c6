"""Connections that are opened and say nothing, or half of something."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def silent(
    how_many: int, opening: Callable[[], Awaitable[Opened]], half: bytes = b"", *, kept: int
) -> AsyncIterator[None]:
    """So many, until the server has hung up on all but `kept` of them. All are closed at the end."""
    opened = [await opening() for _ in range(how_many)]
    for _, writer in opened:
        writer.write(half)
    async with asyncio.timeout(60):
        while sum(not reader.at_eof() and reader.exception() is None for reader, _ in opened) > kept:  # noqa: ASYNC110 - a test's own
            await asyncio.sleep(0.02)
    yield
    for _, writer in opened:
        writer.close()
    await asyncio.sleep(0.1)
