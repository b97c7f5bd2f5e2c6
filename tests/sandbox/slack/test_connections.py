import asyncio
import socket

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack.workspace import SlackSettings
from tests.sandbox.slack.conftest import SHORT

PATIENT = SlackSettings(
    acknowledge_within=60,
    ping_every=0.2,
    warn_before_refresh=1,
    event_retry_after=(0.0, 0.05),
    rates={"apps.connections.open": (1000, 1000)},
)


async def test_two_connections_share_the_deliveries(slack):
    @slack.app.command("/omnicare")
    async def listener(ack):
        await ack()

    await slack.connect(2)
    for _ in range(6):
        await slack.workspace.type("requester", "#deploys", "/omnicare status")
    assert [connection.delivered for connection in slack.server.socket.connections] == [3, 3]


async def test_an_envelope_whose_connection_dies_goes_to_the_other(start):
    slack = await start(PATIENT)
    heard = []

    @slack.app.command("/omnicare")
    async def listener(ack, command):
        heard.append(command["trigger_id"])
        if len(heard) == 1:
            for connection in slack.server.socket.connections:
                if connection.unanswered:
                    connection.cut()
                    await connection.ended
        await ack()

    await slack.connect(2)
    assert (await slack.workspace.type("requester", "#deploys", "/omnicare status")).ok
    assert len(heard) == 2
    assert len(set(heard)) == 1


async def test_an_event_that_is_not_acknowledged_comes_again_with_its_reason(start):
    slack = await start(SHORT)
    heard: asyncio.Queue = asyncio.Queue()

    @slack.app.event("app_mention")
    async def listener(body):
        await heard.put(body["event_id"])

    await slack.connect()
    slack.workspace.faults.swallow_next = 1
    await slack.workspace.type("requester", "#deploys", "@omnicare status")
    async with asyncio.timeout(60):
        assert await heard.get() == await heard.get()


async def test_what_was_acknowledged_can_be_made_to_come_twice(slack):
    heard: asyncio.Queue = asyncio.Queue()

    @slack.app.command("/omnicare")
    async def listener(ack, command):
        await ack()
        await heard.put(command["trigger_id"])

    await slack.connect()
    slack.workspace.faults.duplicate_next = 1
    await slack.workspace.type("requester", "#deploys", "/omnicare status")
    async with asyncio.timeout(60):
        assert await heard.get() == await heard.get()


async def test_refreshing_the_connections_loses_nothing(start):
    slack = await start(PATIENT)
    heard = set()

    @slack.app.command("/omnicare")
    async def listener(ack, command):
        await ack()
        heard.add(command["text"])

    await slack.connect(2)
    before = {connection.number for connection in slack.server.socket.connections}
    typed: list[str] = []
    stopped = asyncio.Event()

    async def keep_typing(name):
        while not stopped.is_set():
            text = f"{name} {len(typed)}"
            typed.append(text)
            assert (await slack.workspace.type("requester", "#deploys", f"/omnicare {text}")).ok

    async with asyncio.TaskGroup() as typists:
        for name in ("a", "b", "c", "d"):
            typists.create_task(keep_typing(name))
        while len(typed) < 100:
            await slack.workspace.refresh_connections()
            await slack.server.socket.wait_connected(2)
        stopped.set()
    assert heard == set(typed)
    assert before.isdisjoint(connection.number for connection in slack.server.socket.connections)


async def test_a_silent_connection_is_replaced_by_bolt_and_commands_pass_again(start):
    slack = await start(SlackSettings(acknowledge_within=0.3, ping_every=0.1))

    @slack.app.command("/omnicare")
    async def listener(ack):
        await ack()

    await slack.connect(ping_interval=0.2)
    silent = slack.server.socket.connections[0]
    silent.go_silent()
    outcome = await slack.workspace.type("requester", "#deploys", "/omnicare status")
    assert outcome.error == '/omnicare failed with the error "operation_timeout"'
    async with asyncio.timeout(60):
        await silent.ended
        await slack.server.socket.wait_connected()
    assert (await slack.workspace.type("requester", "#deploys", "/omnicare status")).ok


async def test_the_app_is_seen_to_come_and_go(slack, until):
    async with slack.workspace.subscribe("requester") as seen:
        await slack.connect()
        assert (await until(seen, "presence")).connected
        assert slack.workspace.app_connected
        await slack.handlers[0].close_async()
        assert not (await until(seen, "presence")).connected
    assert not slack.workspace.app_connected


async def test_a_link_works_once(slack):
    import aiohttp

    client = AsyncWebClient(base_url=slack.server.api_url)
    url = (await client.apps_connections_open(app_token=slack.server.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            hello = await socket.receive_json()
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        assert hello["debug_info"]["approximate_connection_time"] > 0
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


@pytest.mark.parametrize("most", [10, 0])
async def test_an_app_that_leaves_before_it_is_greeted_leaves_no_traceback(start, most, caplog):
    slack = await start(SlackSettings(connections_at_most=most, rates={"apps.connections.open": (1000, 1000)}))
    client = AsyncWebClient(base_url=slack.server.api_url)
    for _ in range(20):
        url = (await client.apps_connections_open(app_token=slack.server.app_token))["url"]
        asked = (
            f"GET {url.partition(str(slack.server.port))[2]} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", slack.server.port)) as gone:  # before the server looks
            gone.sendall(asked.encode())
    await slack.connect() if most else await slack.server_call("api.test")
    async with asyncio.timeout(60):
        while slack.server.socket.connected > len(slack.handlers):
            open_ones = [connection.ended for connection in slack.server.socket.connections]
            await asyncio.wait(open_ones, return_when=asyncio.FIRST_COMPLETED)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_no_more_than_ten_connections_are_taken(start):
    import aiohttp

    slack = await start(SlackSettings(connections_at_most=1))
    client = AsyncWebClient(base_url=slack.server.api_url)
    urls = [(await client.apps_connections_open(app_token=slack.server.app_token))["url"] for _ in range(2)]
    async with aiohttp.ClientSession() as session, session.ws_connect(urls[0]) as first:
        assert (await first.receive_json())["type"] == "hello"
        async with session.ws_connect(urls[1]) as second:
            assert (await second.receive_json())["reason"] == "too_many_websockets"
