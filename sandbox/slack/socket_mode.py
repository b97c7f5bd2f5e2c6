"""Socket Mode: the WebSocket over which the app hears of things, and acknowledges them.

Up to ten connections; each envelope goes to one of them in turn. One that dies before it acknowledged gives its
envelopes back, and they go to another within their three seconds. `Hub` is the `Delivery` of `workspace.py`.
"""

import asyncio
import contextlib
import itertools
import json
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.slack.model import Json, Sent
from sandbox.slack.workspace import NotDelivered, Workspace


class _Lost(Exception):
    """The connection has ended: nothing can be sent, and what was sent last may not have been acknowledged."""


class Connection:
    """One WebSocket of the app."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, number: int) -> None:
        self.socket = socket
        self.number = number
        self.silent = False
        self.leaving = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unanswered: set[str] = set()
        self.delivered = 0
        self._transport = transport

    async def send(self, message: Json) -> None:
        await self._sent(lambda: self.socket.send_str(json.dumps(message, separators=(",", ":"))))

    async def ping(self) -> None:
        await self._sent(lambda: self.socket.ping(b"Ping from sandbox"))

    async def pong(self, data: bytes) -> None:
        await self._sent(lambda: self.socket.pong(data))

    async def _sent(self, send: Callable[[], Awaitable[None]]) -> None:
        """Everything is sent through here, because the app may have gone at any moment."""
        if self.silent:
            return
        try:
            await send()
        except (ConnectionError, RuntimeError) as error:
            raise _Lost from error

    async def ask(self, envelope: Json, answer: asyncio.Future[Json]) -> Json:
        """Send the envelope and wait for its acknowledgement, which may come by another connection: an app that has
        just replaced this one acknowledges by the new one.
        """
        self.unanswered.add(envelope["envelope_id"])
        self.delivered += 1
        try:
            await self.send(envelope)
            await asyncio.wait((answer, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.unanswered.discard(envelope["envelope_id"])
        if not answer.done():
            raise _Lost
        return answer.result()

    def go_silent(self) -> None:
        """Half-open: nothing more comes or is heard, and nothing says so."""
        self.silent = True

    def cut(self) -> None:
        """End it without a farewell, as a network does."""
        if self._transport is not None:
            self._transport.abort()

    def lost(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Hub:
    """All connections of the app, and what is under way to it."""

    def __init__(self, workspace: Workspace) -> None:
        self.connections: list[Connection] = []
        self.record: deque[Sent] = deque(maxlen=10_000)
        self._workspace = workspace
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._numbers = itertools.count(1)
        self._turn = itertools.count()
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def connected(self) -> int:
        return len(self.connections)

    async def wait_connected(self, number: int = 1) -> None:
        """Until so many connections are open."""
        while self.connected < number:
            self._arrived.clear()
            await self._arrived.wait()

    # Delivering

    async def deliver(self, kind: str, payload: Json) -> Json:
        if not self.connections:
            raise NotDelivered("dispatch_failed")
        answer = await self._delivered(kind, payload)
        if answer:
            self.record.append(Sent("acknowledgement", answer, {"type": kind}))
        if self._workspace.faults.take_duplicate():
            self._start(self._again(kind, payload))
        return answer

    def announce(self, payload: Json) -> None:
        self._start(self._event(payload))

    async def _event(self, payload: Json) -> None:
        reason = ""
        for attempt, pause in enumerate((0.0, *self._workspace.settings.event_retry_after)):
            if attempt:
                await asyncio.sleep(pause)
            try:
                await self._delivered("events_api", payload, retry_attempt=attempt, retry_reason=reason)
            except NotDelivered as failure:
                reason = "timeout" if failure.reason == "operation_timeout" else "connection_failed"
                continue
            if self._workspace.faults.take_duplicate():
                await self._again("events_api", payload, retry_attempt=attempt + 1, retry_reason="timeout")
            return

    async def _again(self, kind: str, payload: Json, **more: Any) -> None:
        with contextlib.suppress(NotDelivered):
            await self._delivered(kind, payload, **more)

    async def _delivered(self, kind: str, payload: Json, **more: Any) -> Json:
        envelope = {
            "envelope_id": str(uuid.uuid4()),
            "type": kind,
            "accepts_response_payload": kind != "events_api",
            "payload": payload,
            **more,
        }
        if not self.connections:
            raise NotDelivered("dispatch_failed")
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = answer
        try:
            async with asyncio.timeout(self._workspace.settings.acknowledge_within):
                while True:
                    connection = await self._next()
                    try:
                        return await connection.ask(envelope, answer)
                    except _Lost:
                        self._forget(connection)
        except TimeoutError:
            raise NotDelivered("operation_timeout") from None
        finally:
            del self._waiting[envelope["envelope_id"]]

    async def _next(self) -> Connection:
        """In turn; a connection that was told to leave only where there is no other."""
        await self.wait_connected()
        staying = [one for one in self.connections if not one.leaving] or self.connections
        return staying[next(self._turn) % len(staying)]

    # Connections

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from hello to its end, which may come before hello."""
        socket = web.WebSocketResponse(autoping=False, autoclose=True, compress=False, max_msg_size=0)
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response()  # the app has gone; aiohttp drops this answer without a traceback
        with contextlib.suppress(ConnectionError, _Lost):
            transport = request.transport if isinstance(request.transport, asyncio.Transport) else None
            connection = Connection(socket, transport, next(self._numbers))
            if self.connected >= self._workspace.settings.connections_at_most:
                await connection.send({"type": "disconnect", "reason": "too_many_websockets"})
                await socket.close()
            else:
                await connection.send(self._hello(connection))
                await self._attend(connection)
        return socket

    async def _attend(self, connection: Connection) -> None:
        """Until it ends, deliveries may go to it."""
        self._remember(connection)
        pings = self._start(self._ping(connection))
        try:
            await self._listen(connection)
        finally:
            pings.cancel()
            self._forget(connection)

    def _hello(self, connection: Connection) -> Json:
        return {
            "type": "hello",
            "num_connections": self.connected + 1,
            "debug_info": {
                "host": f"sandbox-{connection.number}",
                "build_number": 1,
                "approximate_connection_time": self._workspace.settings.approximate_connection_time,
            },
            "connection_info": {"app_id": self._workspace.app.id},
        }

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.silent:
                continue
            if message.type is WSMsgType.PING:
                with contextlib.suppress(_Lost):
                    await connection.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledge(message.data)

    def _acknowledge(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            return
        answer = self._waiting.get(str(message.get("envelope_id"))) if isinstance(message, dict) else None
        if answer is None or answer.done() or self._workspace.faults.take_swallowed():
            return
        payload = message.get("payload")
        answer.set_result(payload if isinstance(payload, dict) else {})

    async def _ping(self, connection: Connection) -> None:
        while not connection.socket.closed:
            await asyncio.sleep(self._workspace.settings.ping_every)
            with contextlib.suppress(_Lost):
                await connection.ping()

    def _remember(self, connection: Connection) -> None:
        self.connections.append(connection)
        self._arrived.set()
        if self.connected == 1:
            self._workspace.announce("presence", connected=True)

    def _forget(self, connection: Connection) -> None:
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        connection.lost()
        if not self.connections and not self._closing:
            self._workspace.announce("presence", connected=False)

    async def refresh(self) -> None:
        for connection in tuple(self.connections):
            await self._refresh(connection)

    async def _refresh(self, connection: Connection) -> None:
        """A warning first; a connection that the app has not replaced by then is ended."""
        connection.leaving = True
        try:
            for reason in ("warning", "refresh_requested"):
                await connection.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._workspace.settings.warn_before_refresh):
                        await asyncio.shield(connection.ended)
                        return
        except _Lost:
            return
        await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def close(self) -> None:
        self._closing = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in tuple(self.connections):
            connection.cut()

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
