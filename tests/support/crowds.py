"""Connections that are opened and say nothing, or half of something."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def silent(how_many: int, opening: Callable[[], Awaitable[Opened]], half: bytes = b"") -> AsyncIterator[int]:
    """So many; gives the number of those on which the server hung up. All are closed at the end."""
    opened = [await opening() for _ in range(how_many)]
    for _, writer in opened:
        writer.write(half)
    await asyncio.sleep(0.1)
    yield sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened)
    for _, writer in opened:
        writer.close()
    await asyncio.sleep(0.1)
