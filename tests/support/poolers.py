"""A pooler in front of a PostgreSQL server that drops the options which come with a connection, as PgBouncer may be told to."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def dropping_options(address: str) -> AsyncIterator[str]:
    """`HOST:PORT` of it, until the block ends."""
    host, _, port = address.rpartition(":")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(host, int(port))
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        startup = await reader.readexactly(length - 4)
        words = startup[4:].rstrip(b"\0").split(b"\0")
        kept = [
            part
            for key, value in zip(words[::2], words[1::2], strict=True)
            if key != b"options"
            for part in (key, value)
        ]
        body = startup[:4] + b"".join(part + b"\0" for part in kept) + b"\0"
        ahead.write(struct.pack("!i", len(body) + 4) + body)
        await asyncio.gather(copy(reader, ahead), copy(behind, writer))

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
