"""Bounds on the connections of a server: in number, for each peer, and in the time until a request has arrived whole.

A process has a limited number of open files, and each connection is one. Whoever opens many must neither use them up nor keep anybody else
waiting: where there are too many, the one that has been silent for longest makes way for the new one; and where none is silent, the
oldest of the peer that has the most, unless the new one's has as many.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

ARRIVE_SECONDS = 5.0
"""For head and body of a request; a program of this machine or of the cluster needs milliseconds."""

Peer = Callable[[asyncio.Transport], Hashable]
"""Who is at the other end."""


@dataclass(slots=True)
class _Open:
    peer: Hashable
    timer: asyncio.TimerHandle
    silent: bool = True
    """No whole request has come by it yet."""


class BoundedConnections:
    """Accepts connections for `loop.create_server` and hands them to aiohttp's server. Each carries one request."""

    def __init__(self, *, most: int, each: int, peer: Peer, seconds: float = ARRIVE_SECONDS) -> None:
        """`most`: open at once. `each`: of them by one peer. `seconds`: until a request has arrived whole, else it is cut off."""
        self._most = most
        self._each = each
        self._peer = peer
        self._seconds = seconds
        self._open: dict[asyncio.Transport, _Open] = {}
        """The oldest first."""
        self._server: web.Server | None = None

    def serve(self, server: web.Server | None) -> Callable[[], asyncio.Protocol]:
        """Return what `loop.create_server` makes a protocol with, for each connection."""
        assert server is not None, "the runner is set up"
        self._server = server
        return lambda: _Accepting(self.take)

    def take(self, transport: asyncio.Transport) -> None:
        """Hand a new connection to the server, or hang up."""
        assert self._server is not None, "serve() comes first"
        for gone in [each for each in self._open if each.is_closing()]:
            self._forget(gone)
        peer = self._peer(transport)
        if not self._has_place(peer):
            transport.abort()
            return
        timer = asyncio.get_running_loop().call_later(self._seconds, transport.abort)
        self._open[transport] = _Open(peer, timer)
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def arrived(self, request: web.BaseRequest) -> None:
        """Note that the request has been read whole: from now on the answer may take its time."""
        if isinstance(request.transport, asyncio.Transport) and (found := self._open.get(request.transport)):
            found.timer.cancel()
            found.silent = False

    @web.middleware
    async def whole(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """For `web.Application`: wait for the whole request within the time, and end the connection after its answer."""
        with suppress(web.HTTPRequestEntityTooLarge):  # the handler finds the same, and says so in its own words
            await request.read()
        self.arrived(request)
        try:
            response = await handler(request)
        except web.HTTPException as refused:  # no such path or method: it would keep its place, and be silent no more
            refused.force_close()
            raise
        response.force_close()
        return response

    def _has_place(self, peer: Hashable) -> bool:
        held = Counter(each.peer for each in self._open.values())
        if held[peer] >= self._each:
            return self._cut_off(peer)
        if len(self._open) < self._most:
            return True
        if silent := Counter(each.peer for each in self._open.values() if each.silent):
            return self._cut_off(silent.most_common(1)[0][0])
        most, count = held.most_common(1)[0]
        return count > held[peer] + 1 and self._cut_off(most, waits=True)

    def _cut_off(self, peer: Hashable, *, waits: bool = False) -> bool:
        """Whether a connection of that peer made way: a silent one, or one that waits for its answer."""
        for transport, each in self._open.items():
            if each.silent is not waits and each.peer == peer:
                self._forget(transport)
                transport.abort()
                return True
        return False

    def _forget(self, transport: asyncio.Transport) -> None:
        self._open.pop(transport).timer.cancel()


class _Accepting(asyncio.Protocol):
    """Stands in until it is known who has connected."""

    def __init__(self, take: Callable[[asyncio.Transport], None]) -> None:
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "of a stream"
        self._take(transport)


def by_address(transport: asyncio.Transport) -> Hashable:
    """Return the peer's IP address: a peer of a TCP server."""
    name = transport.get_extra_info("peername")
    return name[0] if isinstance(name, tuple) else None
