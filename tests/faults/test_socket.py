"""Socket Mode: every kind of delivery of the main job, with every fault of the connection that brings it. A series of faults is a world.

What a person did is done once. Where Slack says that it failed, the person presses again, as people do; nobody is asked to otherwise.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from sandbox.outside.registry import digest_of
from sandbox.slack.model import Outcome
from sandbox.slack.settings import SlackSettings
from tests.faults.wires import Changes, Wires
from tests.support.interference import How
from tests.support.shown import run_of, shown_text
from tests.support.socket_wire import Leg
from tests.support.worlds import APPROVER, ON_CALL, PATIENT_SLACK, REQUESTER, SERVICES, Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SLOW = "v2.1.0-slow"
BACK = 60.0
"""Seconds within which two connections are there again, whatever became of them: on an idle machine four, for two unanswered pings
and a new one."""
SLACK = {"stale_seconds": 10.0, "connections": 2}
SHARP = SLACK | {"stale_seconds": 1.0}
"""Where nothing but its silence tells that a connection is gone: it is looked for after so long."""
MOST_TRIES = 30
"""Of one act, in all: where a try is not disturbed, it is the last one."""
MOST_OPENED = 60
"""Connections in a story: each fault costs one, and none is opened without need."""


def answers_within(seconds: float) -> SlackSettings:
    """A Slack that waits so long for an acknowledgement (the real one 3 s), and pings often."""
    return replace(PATIENT_SLACK, acknowledge_within=seconds, event_retry_after=(0.05, 0.2, 0.2), ping_every=0.1)


SERIES = [
    ((Leg.BEFORE, Leg.TORN, Leg.UNHEARD, Leg.HEARD), 15.0, SLACK),
    ((Leg.BROKEN_FRAME, Leg.AT_ONCE), 15.0, SLACK),
    ((Leg.NOISE, Leg.TWICE), 15.0, SLACK),
    ((Leg.WARNING, Leg.AGAIN), 15.0, SLACK),
    ((Leg.REFRESH,), 15.0, SLACK),
    ((Leg.TOO_MANY,), 15.0, SLACK),
    ((Leg.GARBLED, Leg.LATE), 1.5, SHARP),
    ((Leg.DEAF, Leg.MUTE), 1.5, SHARP),
]
"""What strikes one delivery after the other, how long Slack waits (with the last two the person hears that the app did not answer), and the
bot's settings for Slack."""
TOLD = frozenset({Leg.DEAF, Leg.MUTE, Leg.LATE, Leg.GARBLED})


class Acts:
    """What people do, each with the faults around it, and as often as Slack tells them that it failed."""

    def __init__(self, wires: Wires, legs: tuple[Leg, ...]) -> None:
        self.wires, self.here, self.legs = wires, wires.here, legs
        self.late = wires.here.slack.settings.acknowledge_within + 0.2

    async def act(self, name: str, do: Callable[[], Awaitable[Outcome] | None]) -> int:
        """How often it had to be done. The faults strike one delivery after the other: Slack's own retries, and the person's."""
        wire, slack = self.wires.slack.socket, self.here.slack
        strikes = [wire.fail(leg, seconds=self.late) for leg in self.legs]
        settings, tries = slack.settings, 0
        while True:
            tries += 1
            undisturbed = self.whole() and all(strike.struck for strike in strikes)
            slack.settings = (
                replace(settings, acknowledge_within=PATIENT_SLACK.acknowledge_within) if undisturbed else settings
            )
            opened = wire.opened
            doing = do()
            if doing is None:
                assert tries > 1, name
                break  # the button is gone: it was done, though Slack could not say so
            outcome = await doing
            if outcome.ok:
                break
            assert TOLD.intersection(self.legs), (name, outcome.error)
            assert "operation_timeout" in outcome.error, (name, outcome.error)
            assert not undisturbed or wire.opened > opened, f"{name} is not taken, though nothing disturbs it any more"
            assert tries < MOST_TRIES, f"{name} is never taken"
        slack.settings = settings
        await self.here.until(lambda: all(strike.struck for strike in strikes), f"{self.legs} strike at {name}")
        await self.back()
        for leg in self.legs:
            self.wires.tell("socket", name, str(leg))
        wire.strikes.clear()
        return tries

    async def back(self) -> None:
        """Two connections again, on the one side and on the other, and the bot says so."""
        await self.here.until(self.whole, f"two connections are there after “{self.legs}”", seconds=BACK)

    def whole(self) -> bool:
        here, wire = self.here, self.wires.slack.socket
        return (
            len(wire.pairs) == here.world.slack.socket.connected == 2
            and not any(pair.deaf or pair.mute for pair in wire.pairs)
            and here.bot.ready()
        )


@pytest.mark.parametrize(
    ("wires", "legs"),
    [pytest.param({"settings": answers_within(seconds), "slack": slack}, legs, id="-".join(leg.name for leg in legs))
     for legs, seconds, slack in SERIES],
    indirect=["wires"],
)  # fmt: skip
async def test_whatever_becomes_of_a_delivery_what_a_person_did_is_done_once(wires: Wires, legs: tuple[Leg, ...]):
    here, acts, changes = wires.here, Acts(wires, legs), Changes(wires.here)
    await acts.back()

    def press(who: str, action: str, run: str) -> Callable[[], Awaitable[Outcome] | None]:
        """None where the button is there no more."""
        shown: list[bool] = []

        async def first() -> Outcome:
            await here.shown(action, run)
            shown.append(True)
            return await here.press(who, action, run)

        def again() -> Awaitable[Outcome] | None:
            if not shown:
                return first()
            button = here.button(action, run)
            return None if button is None else here.click(who, button)

        return again

    here.keep_unready("backend", SLOW)
    await acts.act("slash command", lambda: here.type(REQUESTER, f"/omnicare deploy {SLOW}"))
    (run,) = await here.until(here.runs, "the deploy has a head message")
    await acts.act("Approve", press(APPROVER, "approve", run))
    await acts.act("Hold", press(REQUESTER, "hold", run))
    here.let_ready("backend", SLOW)
    await here.says(run, "Held before Frontend rollout", "progress")
    here.keep_unready("frontend", SLOW)
    await acts.act("Continue", press(ON_CALL, "continue", run))
    await here.until(lambda: here.tag("frontend") == SLOW, "the frontend is rolling")
    await acts.act("Cancel…", press(REQUESTER, "cancel", run))
    await acts.act("form", lambda: here.fill(REQUESTER, then="stay"))
    await here.ended_with(run, "was stopped by Maya")
    here.let_ready("frontend", SLOW)
    await acts.act("Retry", press(REQUESTER, "type-retry", run))
    again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
    await here.ended_with(again, f"{SLOW} runs in production")
    tries = await acts.act("query", lambda: here.type(ON_CALL, "/omnicare status"))
    await here.until(lambda: len(statuses(here)) >= 1, "the answer")
    assert len(statuses(here)) <= tries
    await acts.act("mention", lambda: here.type(ON_CALL, f"<@{here.slack.app.user_id}> rollback"))
    back = await here.until(lambda: next((each for each in here.runs() if ".rollback." in each), ""), "the rollback")
    await acts.act("rollback's Approve", press(ON_CALL, "approve", back))
    await here.ended_with(back, "Back on v1.2.0 in production")

    assert here.runs() == [run, again, back]
    assert changes.images == {(service, version): 1 for service in SERVICES for version in (SLOW, "v1.2.0")}
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
    names = {each: Counter(here.event_names(each)) for each in here.runs()}
    for each in here.runs():
        assert [names[each][name] for name in ("run:requested", "run:started")] == [1, 1]
        here.nothing_was_said_twice(each)
        here.nothing_is_written_twice(each)
    once = ("approval:given", "approval:granted", "run:held", "run:continued", "run:cancel-asked", "run:cancelled")
    assert [names[run][name] for name in once] == [1] * len(once)
    assert names[back]["approval:given"] == 1
    assert here.environment().run is None
    assert wires.slack.socket.opened < MOST_OPENED


def statuses(here: Story) -> list[Any]:
    """The answers to the query."""
    return [each for each in here.messages() if run_of(each) is None and "Read at" in shown_text(each)]


# opening a connection

OPEN, LINK = "apps.connections.open", "the WebSocket"
BEGINNINGS = [
    *((OPEN, how) for how in (How.DELAY, How.LOST, How.UNHEARD, How.SILENT, How.BUSY, How.BROKEN, How.CUT,
                              How.NONSENSE, How.KEPT_OUT)),
    *((LINK, how) for how in (How.LOST, How.UNHEARD, How.SILENT, How.BROKEN)),
    *((LINK, leg) for leg in (Leg.UNGREETED, Leg.REFUSED)),
]  # fmt: skip


async def says_of_itself(here: Story) -> tuple[int, str, float]:
    """`/readyz`: status and what it says of Slack; `/metrics`: the connections."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{here.bot.web.port}") as web:
        async with web.get("/readyz") as answer:
            status, checks = answer.status, (await answer.json())["checks"]
        async with web.get("/metrics") as answer:
            figures = await answer.text()
    found = re.search(r"^omnicare_socket_mode_connections (\S+)$", figures, re.MULTILINE)
    assert found is not None
    return status, str(checks["slack"]), float(found[1])


async def tells(here: Story, what: tuple[int, str, float]) -> None:
    """It comes to say so of itself."""
    said = await says_of_itself(here)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60.0):
            while said != what:
                await asyncio.sleep(0.02)
                said = await says_of_itself(here)
    assert said == what


@pytest.mark.parametrize("wires", [{"settings": answers_within(1.0), "slack": SHARP}], indirect=True)
async def test_a_connection_that_can_not_be_opened_is_told_of_and_is_opened_later(wires: Wires):
    here, wire, acts = wires.here, wires.slack.socket, Acts(wires, ())
    await acts.back()
    await tells(here, (200, "ok", 2))
    for where, how in BEGINNINGS:
        path = "/api/apps.connections.open" if where == OPEN else "/link/"
        if isinstance(how, Leg):
            wire.greetings += [how] * 1000
            wire.cut()
        else:
            # until it is told: aiohttp asks again by itself where a connection is reset before it says anything
            times = 2 if how is How.DELAY else 10**6
            fault = wires.slack.fail(how, lambda r, path=path: r.path == path, times=times)
            wire.cut()
            await here.until(lambda fault=fault: fault.struck >= 2, f"{how} at {where}")
        if how is not How.DELAY:
            await tells(here, (503, "no fresh Socket Mode connection", 0))
            wires.slack.rules.clear()
            wire.greetings.clear()
        await acts.back()
        await tells(here, (200, "ok", 2))
        assert (await here.type(ON_CALL, "/omnicare status")).ok
        wires.tell("opening", where, str(how))
        wires.clear()


@pytest.mark.parametrize("wires", [{"settings": answers_within(1.0), "slack": SHARP}], indirect=True)
async def test_a_slack_that_wants_no_connection_is_asked_ever_more_rarely(wires: Wires):
    here, wire = wires.here, wires.slack.socket
    opens = wires.slack.seen
    wire.greetings += [Leg.REFUSED] * 1000
    wire.cut()
    before = opens["POST /api/apps.connections.open"]
    await here.until(lambda: 1000 - len(wire.greetings) >= 6, "each place has been refused three times")
    asked = opens["POST /api/apps.connections.open"] - before
    await here.until(lambda: not wire.pairs, "nothing is left open")
    assert asked <= 8
    wire.greetings.clear()
