"""A run ends while the cluster takes nothing: people are told at once, and the record says what is true as soon as it can be written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.runs.model import Answered, closing_id, escalation_id
from commands.kit.context import Actor
from tests.faults.conftest import SHORT
from tests.faults.steps import RECORDS, recording
from tests.faults.wires import Wires
from tests.support.interference import How, cluster_through, interfering
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story, story

pytestmark = pytest.mark.timeout(900)

FOREVER = 10**6
IMPATIENT = {
    "cluster_call": 30.0,
    "cluster_patience": 0.5,
    "cluster_refusals": 0.5,
    "place_recheck": 0.3,
    "escalate_after": 0.5,
}
"""Seconds; in production minutes, but for a call: here a slow answer is not what fails."""


@pytest.fixture
async def wires(tmp_path: Path) -> AsyncIterator[Wires]:
    async with (
        story(tmp_path / "world", times=SHORT | IMPATIENT) as made,
        cluster_through(made.world.folder / "bot.kubeconfig", tmp_path) as (cluster, through),
        interfering(made.world.slack.url) as slack,
    ):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)

        made.configure(change)
        await made.inside()
        yield Wires(made, cluster, slack, lambda *_: None)
        await made.leave()


def everything(_: web.Request) -> bool:
    return True


def writing(request: web.Request) -> bool:
    """Writes any of the fleet's records."""
    return request.method in ("POST", "PUT") and request.path.startswith(RECORDS)


async def failed_while(wires: Wires, how: How, matches: Any) -> str:
    """A deploy during which the cluster fails so, from the backend's rollout on; the run."""
    here = wires.here
    run = await here.ask("deploy v2.1.0-unready")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-unready", "the backend is rolling")
    wires.cluster.fail(how, matches, times=FOREVER)
    wires.cluster.drop()
    return run


async def status(here: Story) -> str:
    return await here.answer(ON_CALL, "status", "Read at")


async def test_credentials_that_nobody_knows_leave_the_run_undecided_as_soon_as_it_can_be_written(wires: Wires):
    here = wires.here
    run = await failed_while(wires, How.UNKNOWN, everything)
    said = await here.says(run, "rejected the bot's credentials", "result")
    assert "The bot keeps trying" in said
    held = here.environment().run
    assert held is not None
    assert held.run == run
    wires.clear()
    await here.until(lambda: here.environment().run is None, "the place is given back")
    undecided = here.environment().undecided
    assert undecided is not None
    assert undecided.run == run
    assert "rejected the bot's credentials" in undecided.title
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


@pytest.mark.parametrize("how", [How.FORBIDDEN, How.BROKEN, How.BUSY, How.LOST, How.UNKNOWN], ids=lambda how: how.name)
async def test_a_record_that_can_only_be_read_is_shown_as_it_will_be_and_resolved_afterwards(wires: Wires, how: How):
    """The run fails by itself, and its end can't be written."""
    here = wires.here
    run = await here.ask("deploy v2.1.0-bad")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-bad", "the backend is rolling")
    wires.cluster.fail(how, writing, times=FOREVER)
    await here.says(run, "The bot keeps trying", "result")
    record = here.environment()
    assert record.run is not None
    card = await status(here)
    assert "*Running*" not in card
    assert "Undecided" in card
    assert "can't be written now" in card
    wires.clear()
    await here.until(lambda: here.environment().run is None, "the place is given back")
    undecided = here.environment().undecided
    assert undecided is not None
    assert undecided.run == run
    await here.type(REQUESTER, f"/omnicare resolve {run} --reason fixed")
    await here.until(lambda: here.environment().undecided is None, "it is decided")


async def test_a_run_that_has_failed_can_be_resolved_before_its_end_is_written(wires: Wires):
    """Only the audit log's head is not taken, so the end is tried again and again; a person may decide meanwhile."""
    here = wires.here
    run = await here.ask("deploy v2.1.0-bad")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-bad", "the backend is rolling")
    wires.cluster.fail(How.FORBIDDEN, writing, times=FOREVER)
    await here.says(run, "The bot keeps trying", "result")
    view = await here.bot.durable.engine.view(closing_id(run))
    assert view is not None
    assert view.active
    wires.cluster.rules.clear()
    await here.type(REQUESTER, f"/omnicare resolve {run} --reason fixed")
    await here.until(lambda: here.environment().run is None, "the place is given back")
    await here.until(lambda: here.environment().undecided is None, "it is decided")


async def test_a_rollback_does_not_wait_for_an_end_that_can_not_be_written(wires: Wires):
    here = wires.here
    run = await here.ask("deploy v2.1.0-bad")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-bad", "the backend is rolling")
    fault = wires.cluster.fail(How.FORBIDDEN, writing, times=FOREVER)
    await here.says(run, "The bot keeps trying", "result")
    wires.cluster.rules.remove(fault)
    # the end alone goes on failing: what gives the place back without another run in it
    wires.cluster.fail(How.FORBIDDEN, recording("environment-production", "undecided", without="run"), times=FOREVER)
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
    await here.until(lambda: here.environment().run is None, "the place is given back")
    assert here.environment().undecided is None, "what was decided meanwhile is not undone"
    wires.clear()


async def test_a_release_that_could_not_be_recorded_is_recorded_as_soon_as_it_can_be(wires: Wires):
    here = wires.here
    fault = wires.cluster.fail(How.BROKEN, recording("releases-production"), times=FOREVER)
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "stopped at Record the release", "result")
    assert fault.struck
    assert here.releases() == []
    wires.clear()
    await here.until(lambda: here.environment().run is None, "the place is given back")
    assert [(each.version, each.verdict) for each in here.releases()] == [("v2.0.0", "good")]
    assert here.environment().undecided is None
    await here.says(run, "now recorded as good", "result")


async def test_what_was_decided_is_told_though_the_record_showed_it_before_the_word_came(wires: Wires):
    here = wires.here
    run = await here.ask("deploy v2.1.0-bad")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.environment().undecided is not None, "somebody has to decide")
    await here.says(run, "still undecided", "unanswered-1")
    runs = here.bot.durable
    context = runs.context(Actor(key="ines", name="Ines", surface="bot"), "production")
    assert await context.fleet.decide(context.where) is not None
    await asyncio.sleep(2 * IMPATIENT["escalate_after"])  # the record is looked at meanwhile
    word = Answered(text="Ines has looked after it.").model_dump(mode="json")
    await runs.engine.send(escalation_id(run), word)
    await here.says(run, "Ines has looked after it", "result")
    await here.says(run, "Ines has looked after it", "unanswered-1")


async def test_a_failure_is_told_again_though_its_end_is_not_written_yet(wires: Wires):
    here = wires.here
    run = await here.ask("deploy v2.1.0-bad")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-bad", "the backend is rolling")
    wires.cluster.fail(How.FORBIDDEN, writing, times=FOREVER)
    await here.says(run, "still undecided", "unanswered-1")
    assert "Roll back" in here.text(run, "result"), "its buttons still lead somewhere"
    wires.clear()
    await here.until(lambda: here.environment().undecided is not None, "it is undecided in the record, too")
