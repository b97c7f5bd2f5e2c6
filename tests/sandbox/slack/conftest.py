"""A workspace of three people and the real Bolt beside it, over a real WebSocket on the loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack.server import SlackServer
from sandbox.slack.workspace import Channel, Event, Group, Person, SlackApp, SlackSettings, Subscription, Workspace

SHORT = SlackSettings(
    acknowledge_within=0.5,
    trigger_lives=0.5,
    ping_every=0.2,
    warn_before_refresh=1.0,
    event_retry_after=(0.0, 0.05, 0.05),
)
"""For what Slack does when an acknowledgement does not come."""
PATIENT = replace(SHORT, acknowledge_within=60.0, trigger_lives=60.0)
"""For everything else: a busy machine acknowledges late, too."""


@dataclass
class Slack:
    """The server, a client of the Web API, and as many connected apps as a test wants."""

    server: SlackServer
    app: AsyncApp
    client: AsyncWebClient
    stack: AsyncExitStack
    handlers: list[AsyncSocketModeHandler] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return self.server.workspace

    async def connect(self, connections: int = 1, *, ping_interval: float = 10) -> None:
        for _ in range(connections):
            handler = AsyncSocketModeHandler(self.app, self.server.app_token, ping_interval=ping_interval)
            await handler.connect_async()
            self.handlers.append(handler)
            self.stack.push_async_callback(handler.close_async)
        await self.server.socket.wait_connected(len(self.handlers))

    async def server_call(self, method: str) -> Any:
        """What the server answers to a bare call, refusals too."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.server.bot_token}"}) as session,
            session.post(f"{self.server.api_url}{method}") as response,
        ):
            return await response.json()

    def last_seen_by(self, person: str) -> str:
        return self.workspace.ephemerals(person)[-1].text


Start = Callable[..., Awaitable[Slack]]


def seeded(settings: SlackSettings, app: SlackApp) -> Workspace:
    workspace = Workspace(settings=settings, app=app)
    workspace.add_person(Person("U1", "requester", "Requester", "Release manager"))
    workspace.add_person(Person("U2", "approver", "Approver"))
    workspace.add_person(Person("U3", "outsider", "Outsider"))
    bot = workspace.app.user_id
    workspace.add_channel(Channel("C1", "deploys", members={"U1", "U2", bot}))
    workspace.add_channel(Channel("C2", "elsewhere", members={"U1"}))
    workspace.add_channel(Channel("C3", "closed", is_private=True, members={"U2"}))
    workspace.add_group(Group("S1", "release-approvers", "Release approvers", frozenset({"U2"})))
    return workspace


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server, with other settings than the patient ones or another app where a test needs them."""
    async with AsyncExitStack() as stack:

        async def started(settings: SlackSettings = PATIENT, **app: Any) -> Slack:
            server = await stack.enter_async_context(SlackServer(seeded(settings, SlackApp(**app))))
            client = AsyncWebClient(server.bot_token, base_url=server.api_url)
            return Slack(server, AsyncApp(client=client), client, stack)

        yield started


@pytest.fixture
async def slack(start: Start) -> Slack:
    return await start()


async def until(subscription: Subscription, kind: str) -> Event:
    """The next event of this kind."""
    async with asyncio.timeout(60):
        async for event in subscription:
            if event.kind == kind:
                return event
    raise AssertionError(kind)


@pytest.fixture(name="until")
def until_fixture() -> Callable[[Subscription, str], Awaitable[Event]]:
    return until
