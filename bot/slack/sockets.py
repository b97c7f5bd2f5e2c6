"""Socket Mode: two connections at once on the same app, so that one is live while the other is refreshed.

A connection that went silent without an error is noticed by the age of its last sign of life, and built anew; `/readyz` says not
ready meanwhile (`ready`), because Slack still hands deliveries to it. Slack gives each delivery to one of the connections.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMessage
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

_log = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class _Line:
    """One connection, and when it was last heard."""

    handler: AsyncSocketModeHandler
    heard: float
    opening: "asyncio.Task[None] | None" = None

    async def note(self, message: WSMessage) -> None:  # noqa: ARG002 - that it came is the news
        self.heard = time.monotonic()

    def age(self) -> float:
        """Seconds since it was last heard: a message, or the answer to one of our pings."""
        answered = self.handler.client.last_ping_pong_time
        since_answer = time.time() - answered if answered is not None else float("inf")
        return max(0.0, min(time.monotonic() - self.heard, since_answer))

    def open(self) -> bool:
        session = self.handler.client.current_session
        return session is not None and not session.closed


class Sockets:
    """Keeps the connections alive."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        *,
        connections: int = 2,
        stale_seconds: float = 30.0,
        proxy: str | None = None,
    ) -> None:
        self._app = app
        self._token = app_token
        self._count = connections
        self._stale = stale_seconds
        self._proxy = proxy
        self._ping = min(5.0, max(0.05, stale_seconds / 4))
        """The client pings so often; it gives up by itself after four that went unanswered."""
        self._lines: list[_Line | None] = [None] * connections
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._rebuilt = 0

    async def start(self) -> None:
        """Begins to connect; returns at once, because the bot serves terminals while Slack is away."""
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(place)) for place in range(self._count)]

    def ready(self) -> bool:
        """Whether deliveries arrive: a connection is open, and none is silent for longer than two of its pings."""
        lines = [line for line in self._lines if line is not None]
        silent = min(self._stale, 2.5 * self._ping)
        return any(line.open() for line in lines) and all(line.age() < silent for line in lines)

    def open_connections(self) -> int:
        """How many are open."""
        return sum(1 for line in self._lines if line is not None and line.open())

    @property
    def rebuilt(self) -> int:
        """How many stale connections have been replaced since the start."""
        return self._rebuilt

    async def close(self) -> None:
        """Ends the connections; who calls it has let the short handlers end before."""
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        lines, self._lines = [line for line in self._lines if line is not None], [None] * self._count
        await asyncio.gather(*(_ended(line) for line in lines), *self._closing, return_exceptions=True)

    async def _keep(self, place: int) -> None:
        """One place: a connection in it, a fresh one whenever it goes silent."""
        pause = 0.5
        while True:
            line = self._new_line()
            self._lines[place] = line
            line.opening = asyncio.get_running_loop().create_task(_connect(line.handler))
            began = time.monotonic()
            await self._watch(line)
            self._rebuilt += 1
            _log.warning("a Socket Mode connection was silent for %.0f s and is built anew", line.age())
            ending = asyncio.get_running_loop().create_task(_ended(line))
            self._closing.add(ending)
            ending.add_done_callback(self._closing.discard)
            if time.monotonic() - began < 2 * self._stale:  # it never came to life: Slack may be away
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                pause = 0.5

    async def _watch(self, line: _Line) -> None:
        """Returns when the connection is stale. An age can't wake anybody, so it is looked at."""
        while line.age() < self._stale:  # noqa: ASYNC110
            await asyncio.sleep(min(1.0, max(0.02, (self._stale - line.age()) / 4)))

    def _new_line(self) -> _Line:
        handler = AsyncSocketModeHandler(
            self._app, self._token, logger=_log, proxy=self._proxy, ping_interval=self._ping
        )
        handler.client.proxy = self._proxy  # the SDK takes the environment's proxy where none is given
        line = _Line(handler=handler, heard=time.monotonic())
        handler.client.on_message_listeners.append(line.note)
        return line


async def _connect(handler: AsyncSocketModeHandler) -> None:
    await handler.connect_async()  # type: ignore[no-untyped-call]


async def _ended(line: _Line) -> None:
    if line.opening is not None:
        line.opening.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await line.opening
    with suppress(Exception):
        async with asyncio.timeout(5):
            await line.handler.client.close()  # type: ignore[no-untyped-call]
    session = line.handler.client.aiohttp_client_session
    if not session.closed:
        await session.close()
