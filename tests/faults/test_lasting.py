"""Faults that last: silence is said wherever it falls, a run that can't go on fails by the fault's name, and Slack keeps nobody waiting."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from tests.faults.steps import DEPLOY, Step
from tests.faults.wires import Changes, Wires
from tests.support.interference import How
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, SERVICES, Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

FOREVER = 10**6
SAID = "cluster has not answered for"
STEPS = {step.name: step for step in DEPLOY}
SILENCES = (
    "taking the place",
    "taking the Deployments",
    "backend: the change",
    "frontend: watching pods",
    "check",
    "recording the release",
    "giving the place back",
)


async def asked(here: Story, text: str = "deploy v2.0.0") -> str:
    run = await here.ask(text)
    await here.press(APPROVER, "approve", run)
    return run


async def lasts_from(wires: Wires, step: Step, how: How, run: str) -> None:
    """From that step on nothing of the cluster answers, until people are told so."""
    here, begun = wires.here, asyncio.Event()
    matches = wires.at(step)

    def strikes(request: Any) -> bool:
        if not begun.is_set() and matches(request):
            begun.set()
            asyncio.get_running_loop().call_soon(wires.cluster.drop)
        return begun.is_set()

    fault = wires.cluster.fail(how, strikes, times=FOREVER)
    await here.until(begun.is_set, f"the run comes to “{step.name}”")
    await here.until(
        lambda: SAID in here.text(run, "progress") or SAID in here.text(run), f"silence is said at “{step.name}”"
    )
    assert "🟢" not in here.text(run), "nothing was taken for success"
    wires.cluster.rules.remove(fault)
    wires.cluster.drop()
    wires.tell("silence", step.name, str(how))


@pytest.mark.parametrize("wires", [{"cluster_patience": 60.0, "plan_deadline": 60.0}], indirect=True)
@pytest.mark.parametrize("how", [How.LOST, How.SILENT, How.BROKEN], ids=lambda how: how.name)
async def test_a_cluster_that_falls_silent_is_named_at_every_step_and_the_run_ends_well(wires: Wires, how: How):
    here, changes = wires.here, Changes(wires.here)
    run = await asked(here)
    for name in SILENCES:
        await lasts_from(wires, STEPS[name], how, run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert SAID not in here.text(run, "progress")
    assert all(here.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES)
    assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


FATAL = [
    ("backend: the change", How.BROKEN, "HTTP 500"),
    ("backend: the change", How.BUSY, "HTTP 429"),
    ("backend: the change", How.LOST, "can't be reached"),
    ("backend: the change", How.CONFLICT, "Somebody else changed it"),
    ("backend: the change", How.SILENT, "did not answer in time"),
    ("check", How.BROKEN, "HTTP 500"),
]


@pytest.mark.parametrize("wires", [{"cluster_patience": 1.0}], indirect=True)
async def test_what_does_not_pass_ends_the_run_by_its_name_and_never_as_a_success(wires: Wires):
    """One after another in one world, each at a step of a deploy that somebody asks for again."""
    here = wires.here
    for name, how, words in FATAL:
        wires.clear()
        fault = wires.cluster.fail(how, wires.at(STEPS[name]), times=FOREVER)
        run = await asked(here)
        said = await here.says(run, words, "result", seconds=40)
        assert "🔴" in said, (name, how)
        assert fault.struck
        await here.until(lambda: here.environment().run is None, "the place is given back")
        undecided = here.environment().undecided
        assert undecided is not None
        assert undecided.run == run
        assert here.event_names(run)[-1] == "run:failed"
        if name == "backend: the change":
            assert here.tag("frontend") == "v1.2.0", "what came after it was not touched"
        if how is not How.SILENT and name == "backend: the change":
            assert here.tag("backend") == "v1.2.0"
        await here.until(lambda run=run: "🔵" not in here.text(run, "progress"), "the progress has settled")
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
        wires.tell("lasting", name, str(how))
    wires.clear()
    assert here.releases() == []


@pytest.mark.parametrize("how", [How.BUSY, How.BROKEN, How.SILENT, How.LOST], ids=lambda how: how.name)
async def test_slack_that_fails_for_long_keeps_no_run_waiting_and_everything_is_said_once_afterwards(
    wires: Wires, how: How
):
    here = wires.here
    run = await asked(here)
    wires.slack.fail(how, lambda r: r.path in ("/api/chat.postMessage", "/api/chat.update"), times=FOREVER)
    await here.until(lambda: here.releases() and here.environment().run is None, "the run ends without Slack")
    wires.slack.rules.clear()
    await here.says(run, "v2.0.0 runs in production", "result", seconds=60)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)
    assert here.button("approve", run) is None
    wires.tell("lasting", "posting and editing", str(how))
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
