"""How soon a slash command is acknowledged, and how soon its first message stands in the channel.

The bot is a real `omnicare serve`, the peer a bare Bolt app with an empty handler; both are processes of their own on the same
sandbox Slack, one after the other in turns, so that a slow minute of the machine meets both. The time is taken where the person
is: from the moment when the command is sent to the moment when Slack has the acknowledgement.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure, percentile
from sandbox.command import forget
from sandbox.slack.model import Channel, Person
from sandbox.slack.settings import SlackSettings
from sandbox.world import SandboxWorld, opened

AT_ONCE = 200
QUERY = "/omnicare status --env production"
OPERATION = "/omnicare deploy v2.0.0 --env production"
CONNECTIONS = 2
"""The bot's default; the peer has as many."""
_READY = 30.0
_PAUSE = 0.1
_MESSAGES = {"response_url", "chat.postEphemeral", "chat.postMessage"}
_UNTIL_IT_ASKS = 3
"""Messages of a request until it asks: head, plan, approval."""
_SETTLED = 120.0
"""Seconds for all first messages to be there."""
QUIET = SlackSettings(rate_limits=False, acknowledge_within=30.0, trigger_lives=60.0)
"""200 people in one second are above Slack's rate for `users.info`; what is measured here is the bot, not the waiting."""


@dataclass(slots=True)
class Times:
    """Seconds, one for each command."""

    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


async def measure(*, smoke: bool) -> list[Figure]:
    """The figures of all three."""
    at_once, alone, rounds = (5, 5, 1) if smoke else (AT_ONCE, 100, 4)
    bare, query, operation = Times(), Times(), Times()
    with tempfile.TemporaryDirectory(prefix="omnicare-bench-") as folder:
        async with opened(Path(folder), settings=QUIET) as world:
            places = _people(world, at_once)
            for _ in range(rounds):
                async with _bare(world):
                    await _timed(world, places, "/omnicare", bare, alone=alone // rounds or 1, answered=False)
                async with _bot(world):
                    await _timed(world, places, QUERY, query, alone=alone // rounds or 1, answered=True)
                async with _bot(world):
                    await _asked(world, places, operation, alone=5)
    return _figures(at_once, bare, query, operation)


def _people(world: SandboxWorld, count: int) -> list[tuple[str, str]]:
    """So many people, each in a channel of their own; all may ask for deploys. Returns (handle, channel)."""
    lines: list[str] = []
    places: list[tuple[str, str]] = []
    for number in range(count):
        handle, person, channel = f"requester{number}", f"U1P{number:05}", f"C1P{number:05}"
        world.workspace.add_person(Person(person, handle, f"Requester {number}"))
        members = {person, world.workspace.app.user_id}
        world.workspace.add_channel(Channel(channel, f"place-{number}", "a channel of one", members=members))
        lines += [
            f"[people.{handle}]",
            f"name = {json.dumps(f'Requester {number}')}",
            f'slack = "{person}"',
            'roles = ["release-manager"]',
        ]
        places.append((handle, channel))
    path = world.folder / "omnicare.toml"
    path.write_text(path.read_text(encoding="utf-8") + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return places


@asynccontextmanager
async def _bare(world: SandboxWorld) -> AsyncIterator[None]:
    """The peer, connected."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.bare_bolt",
        world.slack.api_url,
        "/omnicare",
        str(CONNECTIONS),
        env={
            **os.environ,
            "OMNICARE_SLACK_BOT_TOKEN": world.slack.bot_token,
            "OMNICARE_SLACK_APP_TOKEN": world.slack.app_token,
        },
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_READY):
            await world.slack.socket.wait_connected(CONNECTIONS)
        yield
    finally:
        process.terminate()
        await process.wait()
        await _gone(world)


@asynccontextmanager
async def _bot(world: SandboxWorld) -> AsyncIterator[None]:
    """A bot that remembers nothing, connected."""
    assert world.bot is not None, "the world is open"
    forget(world.folder)
    for path in (world.folder / "state").glob("audit.sqlite*"):
        path.unlink()
    world.cluster.reset()
    _seed(world)
    await world.start_bot()
    try:
        async with asyncio.timeout(_READY):
            await world.slack.socket.wait_connected(CONNECTIONS)
        yield
    finally:
        await world.bot.stop(10.0)
        await _gone(world)


def _seed(world: SandboxWorld) -> None:
    from sandbox.cluster import seed_omnicare

    seed_omnicare(world.cluster)


async def _gone(world: SandboxWorld) -> None:
    """Until Slack has noticed that the connections ended."""
    async with asyncio.timeout(_READY):
        while world.slack.socket.connected:  # noqa: ASYNC110 - the sandbox says when one came, not when one went
            await asyncio.sleep(0.02)


async def _timed(
    world: SandboxWorld, places: list[tuple[str, str]], text: str, into: Times, *, alone: int, answered: bool
) -> None:
    """`answered`: each command has an answer, too, and counts as in flight until it has come."""

    async def asked(who: list[tuple[str, str]]) -> list[float]:
        world.slack.record.clear()
        times = await asyncio.gather(*(_acknowledged(world, place, text) for place in who))
        await _said(world, len(who) if answered else 0)
        return times

    await asked(places[:3])  # what is imported and remembered at the first call
    for number in range(alone):
        into.alone += await asked([places[number % len(places)]])
    into.together += await asked(places)


async def _said(world: SandboxWorld, count: int) -> None:
    """Until the app has sent so many messages, and a moment more."""
    async with asyncio.timeout(_SETTLED):
        while sum(sent.method in _MESSAGES for sent in world.slack.record) < count:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)
    await asyncio.sleep(_PAUSE)


async def _acknowledged(world: SandboxWorld, place: tuple[str, str], text: str) -> float:
    who, where = place
    began = time.perf_counter()
    outcome = await world.workspace.type(who, where, text)
    took = time.perf_counter() - began
    if not outcome.ok:
        raise RuntimeError(f"`{text}` was not acknowledged: {outcome.error}")
    return took


async def _asked(world: SandboxWorld, places: list[tuple[str, str]], into: Times, *, alone: int) -> None:
    """Operations: alone by people who are not among the others, since a request that is open is pointed to, not doubled."""
    for number in range(alone):
        world.slack.record.clear()
        begun = await _acknowledged(world, ("maya", "C0DEPLOYS"), f"{OPERATION} --reason {number}")
        if number:
            into.alone.append(begun)
        await _said(world, _UNTIL_IT_ASKS)
    known = {channel: len(world.workspace.history(channel)) for _, channel in places}
    began = time.time()
    into.together += await asyncio.gather(*(_acknowledged(world, place, OPERATION) for place in places))
    async with asyncio.timeout(_SETTLED):
        while any(len(world.workspace.history(each)) <= known[each] for _, each in places):  # noqa: ASYNC110 - 200 channels
            await asyncio.sleep(0.1)
    for _, channel in places:
        into.first.append(float(world.workspace.history(channel)[known[channel]].ts) - began)


def _figures(at_once: int, bare: Times, query: Times, operation: Times) -> list[Figure]:
    def ms(values: list[float], share: float) -> float:
        return percentile(values, share) * 1000

    found: list[Figure] = []
    for what, times in (("query", query), ("operation", operation)):
        for shape, ours, peer in (("alone", times.alone, bare.alone), (f"{at_once}", times.together, bare.together)):
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                goal = 1.3 if what == "query" and name == "p99" else None
                slack = 20.0 if what == "operation" and name == "p50" and shape == "alone" else 0.0
                found.append(
                    Figure(
                        name=f"acknowledge a{'n' if what[0] == 'o' else ''} {what}, {shape}{'' if shape == 'alone' else ' at once'}, {name}",
                        ours=ms(ours, share),
                        unit="ms",
                        peer=ms(peer, share),
                        peer_name="bare Bolt",
                        goal=goal,
                        slack=slack,
                    )
                )
    slowest = max(operation.together) * 1000
    found.append(Figure(name=f"slowest of {at_once} operations at once", ours=slowest, unit="ms", goal=2000.0))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        name = f"first message, {at_once} people in {at_once} channels, {name}"  # noqa: PLW2901 - its name
        found.append(Figure(name=name, ours=ms(operation.first, share), unit="ms"))
    return found
