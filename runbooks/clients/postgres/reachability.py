"""How far a connection to a server gets before PostgreSQL itself is spoken to: its name, then TCP, as `nc -zv HOST 5432` shows it."""

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from runbooks.clients.postgres.access import Instance
from runbooks.kit.addresses import split_address

PORT = 5432


@dataclass(frozen=True, slots=True)
class ReachedServer:
    """How far it got, from where the bot runs."""

    host: str
    port: int
    resolved: bool
    """The name has an address."""
    seconds: float | None = None
    """How long TCP took to connect; None: it did not."""
    refused: bool = False
    """The machine is there, and nothing listens on that port."""
    unnamed: bool = False
    """Nobody said in time whether the name has an address."""

    def says(self, place: Instance, limit: float) -> str:
        """Return what that means, as a sentence without its full stop."""
        if self.unnamed:
            return f"The name of the {place}, {self.host}, was not resolved within {limit:g} s"
        if not self.resolved:
            return f"The name of the {place}, {self.host}, does not resolve"
        if self.refused:
            return f"Nothing listens on port {self.port} of the {place} ({self.host}): the connection is refused"
        if self.seconds is None:
            return (
                f"Port {self.port} of the {place} ({self.host}) does not answer: no TCP connection within {limit:g} s"
            )
        return (
            f"TCP connects to the {place} ({self.host}:{self.port}) in {self.seconds * 1000:.0f} ms, but PostgreSQL "
            "does not answer there"
        )


async def reach(address: str, seconds: float) -> ReachedServer:
    """Return how far a connection to `HOST:PORT` gets within so many seconds. It never raises."""
    host, given = split_address(address)
    port = given or PORT
    loop, began = asyncio.get_running_loop(), time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return ReachedServer(host, port, resolved=False, unnamed=True)
    except (OSError, UnicodeError):
        return ReachedServer(host, port, resolved=False)
    try:
        async with asyncio.timeout(max(0.1, seconds - (time.monotonic() - began))):
            connecting = time.monotonic()
            _, writer = await asyncio.open_connection(host, port)
            took = time.monotonic() - connecting
    except ConnectionRefusedError:
        return ReachedServer(host, port, resolved=True, refused=True)
    except (OSError, TimeoutError):
        return ReachedServer(host, port, resolved=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ReachedServer(host, port, resolved=True, seconds=took)
