"""The page over a workspace with one of each message, on a port of its own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from sandbox.slack.page import create_page, sample
from sandbox.slack.settings import SlackApp
from sandbox.slack.workspace import Workspace

TOKEN = "the-token-of-this-test"


@dataclass
class Served:
    """A running page, and a client that has its cookie."""

    workspace: Workspace
    app: sample.SampleApp
    world: sample.SampleWorld
    url: str
    client: aiohttp.ClientSession

    @property
    def link(self) -> str:
        return f"{self.url}/?token={TOKEN}"

    async def get(self, path: str, **more: object) -> str:
        async with self.client.get(f"{self.url}{path}", **more) as response:  # type: ignore[arg-type]
            assert response.status == 200, await response.text()
            return await response.text()

    async def post(self, path: str, body: object) -> dict[str, object]:
        async with self.client.post(f"{self.url}{path}", json=body, headers={"Origin": self.url}) as response:
            assert response.status == 200, await response.text()
            answer: dict[str, object] = await response.json()
            return answer


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    workspace = Workspace(
        app=SlackApp(
            shortcuts={"omnicare_menu": "Run a command"}, message_shortcuts={"omnicare_thread": "Run a command here"}
        )
    )
    app = sample.furnish(workspace)
    world = sample.SampleWorld()
    application = create_page(
        workspace, token=TOKEN, commands=sample.COMMANDS, world=world, tries=sample.tries(workspace)
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"omnicare_sandbox": TOKEN}, URL(url))
    async with aiohttp.ClientSession(cookie_jar=jar) as client:
        yield Served(workspace, app, world, url, client)
    await runner.cleanup()
