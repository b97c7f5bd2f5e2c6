"""Socket Mode: two connections at once on the same app, so that one is live while the other is refreshed.

Slack gives each delivery to one of the connections, so one that went silent without an error loses deliveries: it is noticed by its
pings, `/readyz` says not ready until then (`ready`), and another one takes its place.
"""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

import aiohttp
from slack_bolt.app.async_app import AsyncApp

from bot.supervision import Supervisor
from bot.surfaces.slack.transport.socket_connection import Line, NotGreeted
from bot.surfaces.slack.transport.web_api import KeptOut, SlackApi
from runbooks.kit.errors import RunbookError, TemporaryError

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Sockets:
    """Keeps the connections alive."""

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
        self._app = app
        self._api = api
        self._token = app_token
        self._supervisor = supervisor
        self._count = connections
        self._stale = stale_seconds
        self._ping = min(5.0, max(0.05, stale_seconds / 4))
        """Two unanswered ones, and the connection is given up: half of `stale_seconds` or less."""
        self._lines: dict[int, Line] = {}
        """Those that Slack has greeted, by their place."""
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Begins to connect; returns at once, because the bot serves terminals while Slack is away."""
        self._http = aiohttp.ClientSession()
        self._keepers = [
            self._supervisor.start(f"Socket Mode connection {place + 1}", partial(self._keep, place))
            for place in range(self._count)
        ]

    def ready(self) -> bool:
        """Whether deliveries arrive: Slack has a connection to send them by, and none that only seems to be one."""
        live = [line for line in self._lines.values() if line.live()]
        return bool(live) and all(self._fresh(line) for line in live)

    def fresh_connections(self) -> int:
        """How many are open, and answered a ping lately."""
        return sum(1 for line in self._lines.values() if line.live() and self._fresh(line))

    async def close(self) -> None:
        """Ends the connections; who calls it has let the short handlers end before."""
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        lines, self._lines, self._keepers = list(self._lines.values()), {}, []
        await asyncio.gather(*(line.close() for line in lines), *self._closing, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def _fresh(self, line: Line) -> bool:
        return line.age() < 2 * self._ping

    async def _keep(self, place: int) -> None:
        """One place: a connection in it, and another whenever it ends; after two in a row that were hardly there not at once."""
        loop, pause, brief = asyncio.get_running_loop(), _FIRST_PAUSE, 0
        while True:
            try:
                line = await self._open()
            except (aiohttp.ClientError, RunbookError, OSError, TimeoutError) as error:
                _log.warning("no Socket Mode connection: %s", _why(error))
                if isinstance(error, NotGreeted) or not (place in self._lines and self._lines[place].live()):
                    self._retire(place)  # it may be the one too many
                await asyncio.sleep(max(pause, self._asked_to_wait(error)))
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            began, pause = loop.time(), _FIRST_PAUSE
            self._retire(place)
            self._lines[place] = line
            await line.ended.wait()
            brief = brief + 1 if loop.time() - began < 2 * self._ping else 0
            if brief > 1:
                await asyncio.sleep(_FIRST_PAUSE)

    def _asked_to_wait(self, error: Exception) -> float:
        """Slack's own word, if it said so."""
        if isinstance(error, KeptOut):
            return self._stale
        return error.retry_after if isinstance(error, TemporaryError) else 0.0

    async def _open(self) -> Line:
        """A new connection that Slack has greeted. Its address is good for once."""
        assert self._http is not None
        line = Line(self._app, ping=self._ping, elsewhere=self._send)
        try:
            async with asyncio.timeout(self._stale):
                url = await self._api.socket_address(self._token)
                await line.open(self._http, url, proxy=self._api.proxy)
        except BaseException:
            self._later(line.close())
            raise
        return line

    def _retire(self, place: int) -> None:
        """The one before: it was kept for what it still brought or acknowledged."""
        if (old := self._lines.pop(place, None)) is not None:
            self._later(old.close())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _send(self, message: str) -> bool:
        """By whichever connection there is."""
        for line in tuple(self._lines.values()):
            if await line.sent(message):
                return True
        return False


def _why(error: Exception) -> str:
    """For the log. aiohttp's own words have the address, which whoever has it may connect by."""
    status = f" {error.status}" if isinstance(error, aiohttp.ClientResponseError) else ""
    return error.message if isinstance(error, RunbookError) else f"{type(error).__name__}{status}"
