"""The page as a web application. `create_page` is all that the sandbox's composition root calls.

Who you are is part of the address (`/as/maya/deploys`), so that two tabs can be two people.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from sandbox.slack.model import Refused
from sandbox.slack.page import acts, fragments
from sandbox.slack.page.desk import Desk, Place, ReadMarks
from sandbox.slack.page.doors import door, let_in
from sandbox.slack.page.fragments import Look, Setting
from sandbox.slack.page.live import Tabs, stream_handler
from sandbox.slack.page.offers import CommandHint, Try
from sandbox.slack.page.world import World
from sandbox.slack.workspace import Workspace

STATIC = Path(str(files("sandbox.slack.page"))) / "static"
_PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class Page:
    """The handlers, with what they share."""

    def __init__(self, workspace: Workspace, setting: Setting, token: str) -> None:
        self.workspace, self.setting, self._token = workspace, setting, token
        self.marks = ReadMarks(workspace.new_ts())
        self.tabs = Tabs(workspace)

    def desk(self, request: web.Request) -> Desk:
        try:
            return Desk.of(self.workspace, request.match_info["who"], self.marks, request.cookies.get("zone", ""))
        except Refused:
            raise web.HTTPNotFound(text="There is nobody of this name here.\n") from None

    def place(self, desk: Desk, request: web.Request) -> Place:
        try:
            return desk.find(request.match_info["place"])
        except Refused:
            raise web.HTTPNotFound(text="There is no such channel here.\n") from None

    async def enter(self, _: web.Request) -> web.Response:
        """From the link with the token, to the first channel, the token gone from the address."""
        person = next(one for one in self.workspace.people.values() if not one.is_bot)
        response = web.Response(status=303, headers={"Location": f"/as/{person.handle}/"})
        let_in(response, self._token)
        return response

    async def first(self, request: web.Request) -> web.Response:
        desk = self.desk(request)
        return web.Response(status=303, headers={"Location": f"{desk.reader.base}/{desk.places()[0].path}"})

    async def show(self, request: web.Request) -> web.Response:
        desk = self.desk(request)
        place = self.place(desk, request)
        part = request.match_info.get("part", "")
        look = Look(place.path, thread="" if part == "home" else part, home=part == "home")
        if look.home:
            await self.workspace.open_home(desk.person)
        if look.thread and not desk.thread(place.channel, look.thread):
            raise web.HTTPSeeOther(f"{desk.reader.base}/{place.path}")
        if request.headers.get("X-Part") != "frame":
            # The browser loaded the page afresh: as in Slack, ephemeral messages do not survive that.
            self.workspace.forget_ephemerals(desk.person)
        tab = self.tabs.open(desk.person.id, request.cookies.get("zone", ""), look)
        theme = request.cookies.get("theme", "auto")
        html = fragments.page(
            desk,
            look,
            self.setting,
            tab=tab.id,
            theme=theme if theme in {"light", "dark"} else "auto",
            zone_known="zone" in request.cookies,
        )
        return web.Response(text=html, content_type="text/html")

    async def older(self, request: web.Request) -> web.Response:
        desk = self.desk(request)
        place = self.place(desk, request)
        html, more = fragments.older(desk, place, request.query.get("before", ""))
        return web.json_response({"html": str(html), "more": more})

    async def file(self, request: web.Request) -> web.Response:
        """A file as text or a picture, whatever it says that it is; to download with `?download`."""
        file = self.workspace.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound(text="This file is not here.\n")
        kind = file.mimetype if file.mimetype in _PICTURES else "text/plain"
        response = web.Response(body=file.content, content_type=kind, charset="utf-8" if kind == "text/plain" else None)
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if "download" in request.query:
            quoted = "".join(
                sign if sign.isascii() and (sign.isalnum() or sign in "._- ") else "_" for sign in file.name
            )
            response.headers["Content-Disposition"] = f'attachment; filename="{quoted}"'
        return response

    async def watch_world(self, _: web.Application) -> AsyncIterator[None]:
        """Tell every tab when the world changes, as long as the page is served."""

        async def watch() -> None:
            async for _ in self.setting.world.changes():
                self.tabs.world_changed()

        task = asyncio.create_task(watch())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def hang_up(self, _: web.Application) -> None:
        """Streams end when the server stops, so that stopping does not wait for the browsers."""
        for tab in self.tabs.all():
            self.tabs.close(tab)


def create_page(
    workspace: Workspace,
    *,
    token: str,
    commands: Sequence[CommandHint],
    world: World,
    tries: Sequence[Try] = (),
    slash: str = "/omnicare",
) -> web.Application:
    """The application, to be served on 127.0.0.1 and opened at `/?token=…`."""
    page = Page(workspace, Setting(tuple(commands), tuple(tries), world, slash), token)
    act = acts.Acts(page.workspace, page.desk, page.tabs, world)
    application = web.Application(middlewares=[door(token)], client_max_size=256 * 1024)
    application.add_routes(
        [
            web.get("/", page.enter),
            web.get("/as/{who}/", page.first),
            web.get("/as/{who}/{place}", page.show),
            web.get("/as/{who}/{place}/older", page.older),
            web.get("/as/{who}/{place}/{part:home|[0-9]+[.][0-9]+}", page.show),
            web.get("/live/{tab}", stream_handler(workspace, page.setting, page.marks, page.tabs)),
            web.get("/files/{file}", page.file),
            web.post("/act/{who}/{verb}", act.handle),
            web.post("/world/{verb}", act.world),
            web.static("/static", STATIC),
        ]
    )
    application.cleanup_ctx.append(page.watch_world)
    application.on_shutdown.append(page.hang_up)
    return application
