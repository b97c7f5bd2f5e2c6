"""Two connections, of which one is live while the other is refreshed; a silent one is noticed and built anew."""

import asyncio

import pytest
from pydantic import SecretStr

from tests.bot.surfaces.slack.conftest import Slack, Start


async def _live(slack: Slack, connections: int) -> None:
    async with asyncio.timeout(60):
        await slack.server.socket.wait_connected(connections)
    await slack.until(slack.surface.ready)


async def test_two_connections_are_open_and_ready(start: Start) -> None:
    slack = await start(connections=2)
    await _live(slack, 2)
    assert slack.surface.connections is not None
    assert slack.surface.fresh_connections() == 2


async def test_not_ready_before_a_connection_is_there(start: Start) -> None:
    slack = await start(connect=False)
    assert not slack.surface.ready()


async def test_commands_are_answered_while_slack_refreshes_the_connections(start: Start) -> None:
    slack = await start(connections=2)
    await _live(slack, 2)
    refreshing = asyncio.create_task(slack.workspace.refresh_connections())
    outcomes = []
    while not refreshing.done() or len(outcomes) < 5:
        outcomes.append(await slack.workspace.type("requester", "deploys", "/omnicare status"))
    await refreshing
    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    await slack.until(lambda: len(slack.whispers()) == len(outcomes))


async def test_a_silent_connection_is_noticed_and_built_anew(start: Start) -> None:
    slack = await start(connections=1, stale_seconds=1.0)
    await _live(slack, 1)
    (old,) = slack.server.socket.connections
    old.go_silent()
    await slack.until(lambda: not slack.surface.ready())
    await slack.until(lambda: any(one is not old for one in slack.server.socket.connections) and slack.surface.ready())
    old.cut()
    await slack.until(lambda: old not in slack.server.socket.connections)
    assert (await slack.workspace.type("requester", "deploys", "/omnicare status")).ok


async def test_a_cut_connection_comes_back(start: Start) -> None:
    slack = await start(connections=2, stale_seconds=1.0)
    await _live(slack, 2)
    for connection in tuple(slack.server.socket.connections):
        connection.cut()
    await slack.until(lambda: slack.server.socket.connected == 0 or slack.surface.ready())
    await _live(slack, 2)
    assert (await slack.workspace.type("requester", "deploys", "/omnicare status")).ok


async def test_a_slack_that_is_away_at_first_is_found_later(start: Start) -> None:
    slack = await start(connect=False, stale_seconds=1.0)
    slack.workspace.faults.down = True
    await slack.surface.start()
    await asyncio.sleep(0)
    assert not slack.surface.ready()
    slack.workspace.faults.down = False
    await _live(slack, 1)
    assert (await slack.workspace.type("requester", "deploys", "/omnicare status")).ok


async def test_closing_ends_the_connections(start: Start) -> None:
    slack = await start(connections=2)
    await _live(slack, 2)
    await slack.surface.close(drain=1.0)
    await slack.until(lambda: slack.server.socket.connected == 0)
    assert not slack.surface.ready()


async def test_a_token_that_can_not_be_sent_is_logged_counted_and_fails_being_alive(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw ends no task without a word: here a header that aiohttp refuses to write."""
    slack = await start(connect=False, app_token=SecretStr("xapp-1\nx"))
    await slack.surface.start()
    await slack.until(lambda: slack.supervisor.dead() == ["Socket Mode connection 1"])
    assert "Socket Mode connection 1 failed and is started again" in caplog.text
