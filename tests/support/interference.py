"""A proxy on loopback between the bot and a server (the cluster's API, Slack's), that fails as networks and servers do.

It speaks HTTP, so that it can fail a certain request of a certain step: refuse it, lose the question, lose the answer to what was
done, answer late, in part, or never. What is only bytes is `broken_wire`'s.
"""

import asyncio
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.support.socket_wire import SocketWire

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length", "te", "upgrade"})
BODY = web.RequestKey("body", bytes)
"""What a request sends, for who tells one from another by it."""
THEN = web.RequestKey("then", Callable[[], None])
_DELAY = 0.4
"""Seconds; long against everything else in a test, short against every deadline."""


class How(StrEnum):
    """What becomes of a request."""

    DELAY = "answered late"
    LOST = "the question is lost (reset)"
    UNHEARD = "done, and the answer is lost (reset)"
    SILENT = "done, and never answered (half-open)"
    BUSY = "429 with Retry-After"
    BROKEN = "500"
    CONFLICT = "409"
    UNKNOWN = "401"
    FORBIDDEN = "403"
    LOST_WAY = "404, a load balancer's page"
    BROKEN_AFTER = "done, and answered with 500"
    CUT = "done, and the answer is cut in the middle"
    NONSENSE = "done, and the answer is a web page"
    HALF = "done, and half of the answer comes as if it were whole"
    MISSHAPEN = "done, and the answer has another shape"
    EMPTY = "done, and the answer is empty"
    MISLABELLED = "done, and the answer says that it is a web page"
    KEPT_OUT = "invalid_auth"
    GONE = "410 as the answer"
    GONE_LATER = "410 inside the stream"


MALFORMED = (How.NONSENSE, How.HALF, How.MISSHAPEN, How.EMPTY, How.MISLABELLED)
"""The server did what it was asked for, and said 200; what it answered can't be what it said."""
DONE_ALL_THE_SAME = frozenset({How.DELAY, How.UNHEARD, How.SILENT, How.BROKEN_AFTER, How.CUT, *MALFORMED})
REFUSALS: dict[How | None, int] = {
    How.BUSY: 429,
    How.BROKEN: 500,
    How.CONFLICT: 409,
    How.UNKNOWN: 401,
    How.FORBIDDEN: 403,
    How.GONE: 410,
}


@dataclass(slots=True)
class Fault:
    """From the `skip`-th matching request on, `times` of them fail so."""

    how: How
    matches: Callable[[web.Request], bool]
    times: int = 1
    skip: int = 0
    struck: int = 0
    then: Callable[[], None] | None = None
    """Called when it has struck: the server has done what it was asked for, where the fault is one of the answer."""

    def strikes(self, request: web.Request) -> bool:
        if self.struck >= self.times or not self.matches(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.struck += 1
        return True


@dataclass(slots=True)
class Interference:
    """The proxy; `rules` may be changed while it serves."""

    upstream: str
    url: str = ""
    rules: list[Fault] = field(default_factory=list)
    down: bool = False
    """Every connection is reset, those that are open too."""
    seen: Counter[str] = field(default_factory=Counter)
    as_aws: bool = False
    """Refusals are AWS's XML instead of Kubernetes' JSON."""
    watchers: list[Callable[[web.Request], None]] = field(default_factory=list)
    """Told of each request, before it is answered."""
    socket: SocketWire = field(init=False)
    """What is a WebSocket; Slack's answer to who asks for one names this proxy instead."""
    _session: aiohttp.ClientSession | None = None
    _open: set[asyncio.Transport] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.socket = SocketWire(self.upstream)

    def go_down(self) -> None:
        self.down = True
        self.drop()

    def drop(self) -> None:
        """Resets what is open, such as watches; who asks again is answered as the rules say."""
        for transport in tuple(self._open):
            transport.abort()

    def come_back(self) -> None:
        self.down = False

    def fail(self, how: How, matches: Callable[[web.Request], bool], *, times: int = 1, skip: int = 0) -> Fault:
        fault = Fault(how, matches, times, skip)
        self.rules.append(fault)
        return fault

    async def handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._open.add(transport)
        try:
            if self.down:
                return _reset(request)
            request[BODY] = await request.read()
            self.seen[f"{request.method} {request.path}"] += 1
            for watcher in self.watchers:
                watcher(request)
            fault = next((rule for rule in self.rules if rule.strikes(request)), None)
            if fault is not None and fault.then is not None:
                if fault.how in DONE_ALL_THE_SAME:
                    request[THEN] = fault.then
                else:
                    fault.then()
            return await self._answer(request, fault.how if fault else None)
        finally:
            self._open.discard(transport)

    async def _answer(self, request: web.Request, how: How | None) -> web.StreamResponse:
        if (status := REFUSALS.get(how)) is not None:
            later = {"Retry-After": "1"} if how is How.BUSY else None
            if self.as_aws:
                return web.Response(text=_aws(status), status=status, headers=later, content_type="text/xml")
            return web.json_response(_status(status), status=status, headers=later)
        match how:
            case How.LOST:
                return _reset(request)
            case How.LOST_WAY:
                return web.Response(text="default backend - 404", status=404)
            case How.KEPT_OUT:
                return web.json_response({"ok": False, "error": "invalid_auth"})
            case How.DELAY:
                await asyncio.sleep(_DELAY)
            case How.GONE_LATER:
                return await _gone(request)
            case _:
                pass
        assert self._session is not None
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._upgrade(request, how)
        body = request[BODY]
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(
            request.method, f"{self.upstream}{request.rel_url}", headers=kept, data=body or None
        ) as answer:
            return await _pass(request, answer, how, self._here)

    def _here(self, data: bytes) -> bytes:
        """The address of a WebSocket, as this proxy's."""
        there, here = (f"ws://{url.partition('://')[2]}/".encode() for url in (self.upstream, self.url))
        return data.replace(there, here)

    async def _upgrade(self, request: web.Request, how: How | None) -> web.StreamResponse:
        assert self._session is not None
        match how:
            case How.SILENT:
                await asyncio.Event().wait()
            case _ if how in MALFORMED:
                return _malformed(how, b'{"kind":"Status"}', "application/json")
            case How.UNHEARD:
                async with self._session.ws_connect(f"{self.upstream}{request.rel_url}"):
                    return _reset(request)
            case _:
                pass
        if (spoken := request.headers.get("Sec-WebSocket-Protocol", "")) != "":
            return await self._stream(request, self._session, tuple(each.strip() for each in spoken.split(",")))
        return await self.socket.handle(request, self._session)

    async def _stream(
        self, request: web.Request, session: aiohttp.ClientSession, spoken: tuple[str, ...]
    ) -> web.StreamResponse:
        """A WebSocket to the cluster, such as of an exec: forwarded as it is."""
        kept = {name: value for name, value in request.headers.items() if name == "Authorization"}
        try:
            there = await session.ws_connect(f"{self.upstream}{request.rel_url}", protocols=spoken, headers=kept)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        async with there:
            here = web.WebSocketResponse(protocols=(there.protocol,) if there.protocol else (), max_msg_size=0)
            await here.prepare(request)
            heard = asyncio.ensure_future(_frames(here, there))
            try:
                await _frames(there, here)
            finally:
                heard.cancel()
            await here.close(code=there.close_code or aiohttp.WSCloseCode.OK)
            return here


async def _frames(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)


async def _pass(
    request: web.Request, answer: aiohttp.ClientResponse, how: How | None, here: Callable[[bytes], bytes]
) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
    if request.query.get("watch") == "true":
        return await _pass_stream(request, answer, how, headers)
    data = here(await answer.read())
    if (then := request.get(THEN)) is not None:
        then()
    if how is How.UNHEARD:
        return _reset(request)
    if how is How.SILENT:
        await asyncio.Event().wait()
    if how is How.BROKEN_AFTER:
        return web.json_response(_status(500), status=500)
    if how in MALFORMED:
        return _malformed(how, data, answer.headers.get("Content-Type", ""))
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(data)
    await response.prepare(request)
    if how is How.CUT:
        await response.write(data[: len(data) // 2])
        return _reset(request, response)
    await response.write(data)
    await response.write_eof()
    return response


def _malformed(how: How | None, data: bytes, content_type: str) -> web.Response:
    match how:
        case How.HALF:
            data = data[: len(data) // 2]
        case How.MISSHAPEN:
            data = b"<Nothing/>" if "xml" in content_type else b"{}"
        case How.EMPTY:
            data = b""
        case How.MISLABELLED:
            content_type = "text/html"
        case _:
            data, content_type = b"<html>a proxy's page</html>", "text/html"
    return web.Response(body=data, headers={"Content-Type": content_type})


async def _pass_stream(
    request: web.Request, answer: aiohttp.ClientResponse, how: How | None, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        match how:
            case How.SILENT:
                continue  # half-open: it is connected, and nothing comes
            case How.CUT | How.UNHEARD:
                await response.write(chunk[: len(chunk) // 2] if how is How.CUT else b"")
                return _reset(request, response)
            case How.NONSENSE:
                await response.write(b"<html>\n")
            case How.BROKEN_AFTER:
                await response.write(_event(500))
                return response
            case _:
                await response.write(chunk)
    if how is How.SILENT:
        await asyncio.Event().wait()  # nor does it end
    return response


async def _gone(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(_event(410))
    await response.write_eof()
    return response


def _event(code: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": _status(code)}).encode() + b"\n"


def _aws(code: int) -> str:
    name = {403: "AccessDenied", 409: "Conflict", 429: "Throttling", 500: "InternalError"}.get(code, "Refused")
    return f"<ErrorResponse><Error><Code>{name}</Code><Message>on purpose</Message></Error></ErrorResponse>"


def _status(code: int) -> dict[str, object]:
    """In Kubernetes' form; Slack's clients look at the status line alone."""
    reason = {
        401: "Unauthorized",
        403: "Forbidden",
        409: "Conflict",
        410: "Expired",
        429: "TooManyRequests",
        500: "InternalError",
    }[code]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": "on purpose",
    }


def _reset(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.abort()
    return response or web.Response(status=500)


@asynccontextmanager
async def interfering(upstream: str) -> AsyncIterator[Interference]:
    """The proxy in front of a server; the server's certificate is not looked at."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    proxy = Interference(upstream.rstrip("/"))
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    connector = aiohttp.TCPConnector(ssl=trusting, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            proxy._session = session
            yield proxy
    finally:
        await runner.cleanup()


@asynccontextmanager
async def cluster_through(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Interference, Path]]:
    """The proxy in front of a kubeconfig's cluster, and a kubeconfig that goes through it."""
    text = kubeconfig.read_text()  # noqa: ASYNC240 - a few bytes
    found = re.search(r"https://[^\"\s]+", text)
    assert found is not None
    async with interfering(found[0]) as proxy:
        through = folder / "through.kubeconfig"
        through.write_text(text.replace(found[0], proxy.url))
        yield proxy, through
