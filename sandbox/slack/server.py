"""Slack's addresses on 127.0.0.1: Web API, Socket Mode, response URLs, uploads. `async with SlackServer(workspace)`.

The sandbox's world and the tests start it; the bot is given `api_url` and the two tokens, and nothing else differs from
production.
"""

import contextlib
from collections import deque
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import BodyPartReader, web

from sandbox.slack.api import Api
from sandbox.slack.methods.files import BYTES_AT_MOST
from sandbox.slack.model import Sent
from sandbox.slack.responses import respond
from sandbox.slack.socket_mode import Hub
from sandbox.slack.workspace import Workspace

HOST = "127.0.0.1"


class SlackServer:
    """Serves one workspace; `port` 0 takes a free one."""

    def __init__(self, workspace: Workspace | None = None, *, port: int = 0) -> None:
        self.workspace = workspace or Workspace()
        self.socket = Hub(self.workspace)
        self.port = port
        self._api = Api(self.workspace)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """The base_url of a Web API client."""
        return f"{self.url}/api/"

    @property
    def bot_token(self) -> str:
        return self.workspace.app.bot_token

    @property
    def app_token(self) -> str:
        return self.workspace.app.app_token

    @property
    def record(self) -> deque[Sent]:
        """Everything that the app sent, oldest first (the last 10 000)."""
        return self._api.record

    async def start(self) -> None:
        application = web.Application(client_max_size=BYTES_AT_MOST + 1024)
        application.add_routes([
            *self._api.routes(),
            web.get("/link/", self._link),
            web.post("/response/{token}", self._respond),
            web.post("/upload/v1/{ticket}", self._upload),
            web.get("/files/{file}", self._download),
        ])  # fmt: skip
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._api.base = self.url
        self.workspace.response_base = f"{self.url}/response/"
        self.workspace.delivery = self.socket
        self.socket.record = self.record

    async def stop(self) -> None:
        self._api.release()
        await self.socket.close()
        self.workspace.delivery = None
        if self._runner is not None:
            with contextlib.suppress(TimeoutError):
                await self._runner.cleanup()
            self._runner = None

    def go_down(self) -> None:
        """An outage: every call is answered with 503, the connections end, no new one is taken."""
        self.workspace.faults.down = True
        for connection in tuple(self.socket.connections):
            connection.cut()

    def come_back(self) -> None:
        self.workspace.faults.down = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _link(self, request: web.Request) -> web.StreamResponse:
        tickets = self.workspace.tickets
        ticket = request.query.get("ticket", "")
        if ticket not in tickets or self.workspace.faults.down:
            return web.Response(status=HTTPStatus.FORBIDDEN, text="this address is used up or was never given")
        tickets.discard(ticket)
        return await self.socket.serve(request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        return await respond(request, self.workspace, self._api)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if (broken := await self._api.broken(request, "upload")) is not None:
            return broken
        file_id = self.workspace.uploads.pop(request.match_info["ticket"], "")
        file = self.workspace.files.get(file_id)
        if file is None:
            return web.Response(status=HTTPStatus.NOT_FOUND, text="no such upload")
        content = await _uploaded(request)
        if len(content) != file.size:
            return web.Response(status=HTTPStatus.BAD_REQUEST, text="the length is not what was announced")
        self.workspace.add_file(replace(file, content=content))
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file = self.workspace.files.get(request.match_info["file"])
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}" or file is None or file.content is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.Response(body=file.content, content_type=file.mimetype)


async def _uploaded(request: web.Request) -> bytes:
    """The bytes, bare or as the first part of a form."""
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and part.filename:
            return bytes(await part.read())
    return b""
