"""A server that speaks just enough of PostgreSQL's protocol to be let down by: it says an old version, or an error of a test's choice."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_MD5 = 5
"""The client sends no password in clear, so it has to be asked for a hash; any is taken."""


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _error(state: str, words: str) -> bytes:
    fields = b"".join(
        key + value.encode() + b"\0" for key, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", state), (b"M", words))
    )
    return _message(b"E", fields + b"\0")


@asynccontextmanager
async def speaking(*, version: str = "9.6.24", refuses: tuple[str, str] | None = None) -> AsyncIterator[str]:
    """`HOST:PORT`. `refuses`: the SQLSTATE and the words with which it ends each login."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            if refuses is not None:
                writer.write(_error(*refuses))
            else:
                parameters = {"server_version": version, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
                writer.write(_message(b"R", struct.pack("!i", _MD5) + b"salt"))
                await reader.readexactly(1 + 4 + len("md5") + 32 + 1)
                writer.write(_message(b"R", struct.pack("!i", 0)))
                for key, value in parameters.items():
                    writer.write(_message(b"S", f"{key}\0{value}\0".encode()))
                writer.write(_message(b"K", struct.pack("!ii", 1, 2)) + _message(b"Z", b"I"))
            await writer.drain()
            await reader.read()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
