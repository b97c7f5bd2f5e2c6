"""Socket Mode for Bolt: two connections at once on the same app, so that one is live while the other is refreshed.

Slack gives each delivery to one of the connections, so one that went silent without an error loses deliveries: it is noticed by its
pings, `/readyz` says not ready until then (`ready`), and another one takes its place.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial

import aiohttp
from slack_bolt.adapter.socket_mode.async_base_handler import AsyncBaseSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.process.supervision import Supervisor
from bot.surfaces.slack.transport.socket_connection import NotGreeted, SocketConnection
from bot.surfaces.slack.transport.web_api import KeptOut, SlackApi
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.waiting import end

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class ConnectionPool(AsyncBaseSocketModeHandler):
    """Keeps the connections alive. In place of Bolt's `AsyncSocketModeHandler`, which has one connection and the SDK's client."""

    app: AsyncApp

    def __init__(
        self,
        app: AsyncApp,
        api: SlackApi,
        app_token: str,
        *,
        supervisor: Supervisor,
        connections: int = 2,
        stale_seconds: float = 30.0,
    ) -> None:
        self.app = app
        self._api = api
        self._token = app_token
        self._supervisor = supervisor
        self._count = connections
        self._stale = stale_seconds
        self._ping = min(5.0, max(0.05, stale_seconds / 4))
        """Two unanswered ones, and the connection is given up: half of `stale_seconds` or less."""
        self._live: dict[int, SocketConnection] = {}
        """Those that Slack has greeted, by their slot."""
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._draining = False
        self._http: aiohttp.ClientSession | None = None

    async def connect_async(self) -> None:
        """Begin to connect; return at once, because the bot serves terminals while Slack is away."""
        self._http = aiohttp.ClientSession()
        self._keepers = [
            self._supervisor.start(f"Socket Mode connection {slot + 1}", partial(self._keep, slot))
            for slot in range(self._count)
        ]

    async def handle(self, client: AsyncBaseSocketModeClient, req: SocketModeRequest) -> None:
        """Give an envelope to Bolt, and acknowledge it where Bolt says so. One that is not comes again."""
        if self._draining:
            return
        began = time.time()
        try:
            response = await run_async_bolt_app(self.app, req)
        except Exception as error:  # noqa: BLE001 - Bolt looks into a payload before anything of ours does
            # only the kind of error: its message, which the SDK would log, quotes the payload
            _log.error("a delivery could not be read, so it is not acknowledged: %s", type(error).__name__)
            return
        await send_async_response(client, req, response, began)

    async def drain(self) -> None:
        """Take nothing new, and wait for what is being handled."""
        self._draining = True
        await asyncio.gather(*(each.idle.wait() for each in self._live.values()), *self._closing)

    def ready(self) -> bool:
        """Return whether deliveries arrive: Slack has a connection to send them by, and none that only seems to be one."""
        live = [connection for connection in self._live.values() if connection.live()]
        return bool(live) and all(self._fresh(connection) for connection in live)

    def fresh_connections(self) -> int:
        """Return how many connections are open and have answered a ping lately."""
        return sum(1 for each in self._live.values() if each.live() and self._fresh(each))

    async def disconnect_async(self) -> None:
        """End the connections; who calls it has drained before."""
        await end(*self._keepers)
        connections, self._live, self._keepers = list(self._live.values()), {}, []
        await asyncio.gather(*(each.close() for each in connections), *self._closing, return_exceptions=True)

    async def close_async(self) -> None:
        """End the connections, and the pool that they were opened from."""
        await self.disconnect_async()
        if self._http is not None:
            await self._http.close()

    def _fresh(self, connection: SocketConnection) -> bool:
        return connection.age() < 2 * self._ping

    async def _keep(self, slot: int) -> None:
        """Keep one slot connected, with a new connection whenever one ends; after two short ones in a row, wait first."""
        loop, pause, brief = asyncio.get_running_loop(), _FIRST_PAUSE, 0
        while True:
            try:
                connection = await self._open()
            except (aiohttp.ClientError, RunbookError, OSError, TimeoutError) as error:
                _log.warning("no Socket Mode connection: %s", _why(error))
                if isinstance(error, NotGreeted) or not (slot in self._live and self._live[slot].live()):
                    self._retire(slot)  # it may be the one too many
                await asyncio.sleep(max(pause, self._asked_to_wait(error)))
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            began, pause = loop.time(), _FIRST_PAUSE
            self._retire(slot)
            self._live[slot] = connection
            await connection.ended.wait()
            brief = brief + 1 if loop.time() - began < 2 * self._ping else 0
            if brief > 1:
                await asyncio.sleep(_FIRST_PAUSE)

    def _asked_to_wait(self, error: Exception) -> float:
        """Return the seconds to wait: as Slack asked, or long while it refuses the app or its token; else 0."""
        if isinstance(error, KeptOut):
            return self._stale
        return error.retry_after if isinstance(error, TemporaryError) else 0.0

    async def _open(self) -> SocketConnection:
        """Return a new connection that Slack has greeted."""
        assert self._http is not None
        connection = SocketConnection(
            self._http,
            partial(self._api.socket_address, self._token),
            proxy=self._api.proxy,
            ping=self._ping,
            handle=self.handle,
            elsewhere=self._send,
        )
        try:
            async with asyncio.timeout(self._stale):
                await connection.connect()
        except BaseException:
            self._later(connection.close())
            raise
        return connection

    def _retire(self, slot: int) -> None:
        """Retire the connection before, which was kept for what it still delivered or acknowledged."""
        if (old := self._live.pop(slot, None)) is not None:
            self._later(old.close())

    def _later(self, work: Coroutine[object, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _send(self, message: str) -> bool:
        """Send by any open connection; return whether there was one."""
        for connection in tuple(self._live.values()):
            if await connection.sent(message):
                return True
        return False


def _why(error: Exception) -> str:
    """Return the error for the log, without aiohttp's own words: they contain the address, with which anybody may connect."""
    status = f" {error.status}" if isinstance(error, aiohttp.ClientResponseError) else ""
    return error.message if isinstance(error, RunbookError) else f"{type(error).__name__}{status}"
