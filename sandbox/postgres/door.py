"""The address of a database server in the sandbox: there from the beginning, whatever the server behind it does.

Who comes before the server runs waits; a door can fall silent, refuse, or let every answer take its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_CHUNK = 64 * 1024


class Door:
    """Passes bytes on, both ways."""

    def __init__(self, ready: Callable[[], Awaitable[int]]) -> None:
        """`ready`: the port behind, once there is one; an OSError where there never will be."""
        self.delay = 0.0
        """Seconds that each answer takes longer."""
        self.port = 0
        self._ready = ready
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._server: asyncio.Server | None = None
        self._going: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Open until the block ends; gives the address."""
        await self.open()
        try:
            yield self.address
        finally:
            await self.shut()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """At the same port as before, where there was one."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuses connections from now on, and ends those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._going):
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    def fall_silent(self) -> None:
        """Takes connections and answers nothing, as behind a security group that lost its rule."""
        self._speaks.clear()

    def speak(self) -> None:
        """Answers again."""
        self._speaks.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        behind: asyncio.StreamWriter | None = None
        try:
            answers, behind = await asyncio.open_connection("127.0.0.1", await self._ready())
            for each in (writer, behind):
                line = each.get_extra_info("socket")
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = {
                asyncio.ensure_future(self._copy(reader, behind, slow=False)),
                asyncio.ensure_future(self._copy(answers, writer, slow=True)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, behind):
                if end is not None:
                    with contextlib.suppress(OSError):
                        end.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._speaks.wait()
                if slow and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
