"""A wire between a client and a cluster that a test can cut, or let go silent as a half-open connection does."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit


class Wire:
    """Forwards bytes to a server until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._silent: set[int] = set()
        self._open: dict[int, asyncio.StreamWriter] = {}
        self._count = 0
        self.port = 0
        self.refuses = False
        """Whoever connects is turned away."""

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return self._count

    def fall_silent(self) -> None:
        """What is connected now hears nothing more, and no error either; new connections work."""
        self._silent |= set(self._open)

    def cut(self) -> None:
        """What is connected now is closed at once."""
        for writer in self._open.values():
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self._count += 1
        number = self._count
        self._open[number] = writer
        try:
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._pump(number, reader, back), self._pump(number, there, writer))
            finally:
                back.transport.abort()
        except OSError:
            pass
        finally:
            self._open.pop(number, None)
            writer.transport.abort()

    async def _pump(self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if number not in self._silent:
                sink.write(data)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def wired(kubeconfig: str, folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the cluster, and a kubeconfig that goes through it."""
    text = Path(kubeconfig).read_text()  # noqa: ASYNC240 - a few bytes
    found = re.search(r"https://[^\"\s]+", text)
    assert found is not None
    address = urlsplit(found[0])
    wire = Wire(address.hostname or "127.0.0.1", address.port or 443)
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    through = folder / "through.kubeconfig"
    through.write_text(text.replace(found[0], f"https://127.0.0.1:{wire.port}"))
    try:
        yield wire, str(through)
    finally:
        server.close()
        wire.cut()
