"""One Socket Mode connection, as an SDK client: from Slack's leave to open it until its end. It is never opened again; `connection_pool` makes another.

The SDK reads the envelopes. Its own `SocketModeClient` is not used for the rest: it opens a new WebSocket while it still has the old one, tries
an address again and again though it is good for once, and answers each `too_many_websockets` at once with another connection.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import aiohttp
from aiohttp import WSMsgType
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from runbooks.kit.answers import read_object
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import end

_log = logging.getLogger(__name__)

_UNANSWERED = 2
"""So many pings in a row, and the connection is half-open: it goes silent without an error."""
_FAREWELL = 2.0
"""Seconds for the other side to agree that it is the end."""

Handle = Callable[[AsyncBaseSocketModeClient, SocketModeRequest], Awaitable[None]]


def _unreadable() -> PermanentError:
    return PermanentError("Slack sent something that is not an envelope; it was not acknowledged.", code=ReasonCode.BUG)


class NotGreeted(ConnectionError):
    """Slack took the connection and did not want it."""


class SocketConnection(AsyncBaseSocketModeClient):
    """A connection: `connect` it, wait for `ended`, `close` it."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        address: Callable[[], Awaitable[str]],
        *,
        proxy: str | None,
        ping: float,
        handle: Handle,
        elsewhere: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`address`: asks Slack for one, which is good for once. `ping`: seconds between two. `elsewhere`: sends an acknowledgement by another connection, if there is one."""
        self.logger = _log
        self.trace_enabled = False
        self.closed = False
        self.connect_operation_lock = asyncio.Lock()
        self.message_queue = asyncio.Queue()
        self.message_listeners = [self._greeted]
        self.socket_mode_request_listeners = [self._handle]
        self.ended = asyncio.Event()
        """It is over, or about to be: Slack said so, or nothing is heard any more."""
        self._http = http
        self._address = address
        self._proxy = proxy
        self._ping = ping
        self._handler = handle
        self._elsewhere = elsewhere
        self._session: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: set[asyncio.Task[None]] = set()
        """The loop itself keeps no task alive."""
        self._hello = asyncio.Event()
        self._answered = time.monotonic()
        self._handling = 0
        self.idle = asyncio.Event()
        """Nothing that it brought is being handled."""
        self.idle.set()

    async def connect(self) -> None:
        """Return when Slack has greeted; raise where it does not."""
        self._session = await self._http.ws_connect(await self._address(), autoping=False, proxy=self._proxy)
        self._answered = time.monotonic()
        loop = asyncio.get_running_loop()
        reading = self.process_messages()  # type: ignore[no-untyped-call]
        self._tasks = [loop.create_task(work) for work in (self._receive(), self._pinging(), reading)]
        for task in self._tasks:  # without any one of them it is deaf or half-open
            task.add_done_callback(self._one_is_over)
        greeted, over = loop.create_task(self._hello.wait()), loop.create_task(self.ended.wait())
        try:
            await asyncio.wait((greeted, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            greeted.cancel()
            over.cancel()
        if not self._hello.is_set():
            raise NotGreeted("it ended before Slack's hello message")

    def live(self) -> bool:
        """Return whether Slack delivers by this connection."""
        return self._hello.is_set() and self._session is not None and not self._session.closed

    def age(self) -> float:
        """Seconds since one of our pings was answered, which proves both directions."""
        return time.monotonic() - self._answered

    async def send_message(self, message: str) -> None:
        """Send an acknowledgement; by another connection where this one is gone, since Slack asks for the envelope's id alone."""
        if not await self.sent(message) and not await self._elsewhere(message):
            _log.warning("an acknowledgement could not be sent, so Slack delivers again")

    async def sent(self, message: str) -> bool:
        """Send by this connection; return whether that was possible."""
        if self._session is None or self._session.closed:
            return False
        try:
            await self._session.send_str(message)
        except (ConnectionError, RuntimeError):
            return False
        return True

    async def process_message(self) -> None:
        """Read the next envelope, and begin to handle it. The SDK's own would log an unreadable one with the SDK's errors."""
        raw = await self.message_queue.get()
        try:
            message = read_object(raw, _unreadable)
            if "envelope_id" in message and not isinstance(message.get("payload"), dict):
                raise _unreadable()
        except RunbookError as error:
            _log.error("%s", error.message)
            return
        task = asyncio.get_running_loop().create_task(self.run_message_listeners(message, raw))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def connect_to_new_endpoint(self, force: bool = False) -> None:  # noqa: ARG002 - the SDK's
        """Tell the pool that Slack said `disconnect`, for which the SDK calls this."""
        self.ended.set()

    async def disconnect(self) -> None:
        """End the WebSocket."""
        if self._session is not None:
            with suppress(Exception):
                async with asyncio.timeout(_FAREWELL):
                    await self._session.close()

    async def close(self) -> None:
        """Take nothing new, let what it brought be acknowledged, and end."""
        self.ended.set()
        self.closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self.idle.wait()
        await end(*self._tasks)
        await self.disconnect()

    def _one_is_over(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a Socket Mode connection failed and is built anew", exc_info=error)
        self.ended.set()

    async def session_id(self) -> str:
        """The session's id for the SDK's log."""
        return f"{id(self):x}"

    async def _greeted(self, _client: object, message: Mapping[str, object], _raw: str | None) -> None:
        if message.get("type") == "hello":
            self._hello.set()

    async def _handle(self, _client: object, request: SocketModeRequest) -> None:
        self._handling += 1
        self.idle.clear()
        try:
            await self._handler(self, request)
        finally:
            self._handling -= 1
            if not self._handling:
                self.idle.set()

    async def _receive(self) -> None:
        assert self._session is not None
        try:
            async for message in self._session:
                match message.type:
                    case WSMsgType.TEXT:
                        await self.enqueue_message(message.data)
                    case WSMsgType.PING:
                        await self._session.pong(message.data)
                    case WSMsgType.PONG:
                        self._answered = time.monotonic()
                    case WSMsgType.ERROR:
                        break
                    case _:
                        pass
        except ConnectionError:
            pass
        finally:
            self.ended.set()

    async def _pinging(self) -> None:
        """Send pings: what Slack sends does not prove that it hears, only the answers to our pings do."""
        assert self._session is not None
        unanswered = 0
        while unanswered < _UNANSWERED:
            sent = time.monotonic()
            try:
                async with asyncio.timeout(self._ping):
                    await self._session.ping(b"omnicare")
            except (ConnectionError, RuntimeError, TimeoutError):
                break
            await asyncio.sleep(self._ping)
            unanswered = 0 if self._answered >= sent else unanswered + 1
        if not self.ended.is_set():
            _log.warning("a Socket Mode connection was silent for %.0f s and is built anew", self.age())
        self.ended.set()
