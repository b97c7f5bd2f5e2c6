"""Faults that last: silence is said wherever it falls, a run that can't go on fails by the fault's name, and Slack keeps nobody waiting."""

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from tests.faults.steps import DEPLOY, ROLLBACK, Step
from tests.faults.wires import Changes, Wires, approvable
from tests.support.interference import Fault, How
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, SERVICES, Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

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
    run = await approvable(here, text)
    await here.press(APPROVER, "approve", run)
    return run


def begins(wires: Wires, step: Step, how: How) -> Fault:
    """From that step on nothing of the cluster answers."""
    begun = asyncio.Event()
    matches = wires.at(step)

    def strikes(request: Any) -> bool:
        if not begun.is_set() and matches(request):
            begun.set()
            asyncio.get_running_loop().call_soon(wires.cluster.drop)
        return begun.is_set()

    return wires.cluster.fail(how, strikes, times=FOREVER)


async def told_of(wires: Wires, fault: Fault, name: str, how: How, run: str) -> None:
    """Until people are told so; then it answers again."""
    here = wires.here
    await here.until(lambda: fault.struck, f"the run comes to “{name}”")
    await here.until(
        lambda: SAID in here.text(run, "progress") or SAID in here.text(run), f"silence is said at “{name}”"
    )
    assert "🟢" not in here.text(run), "nothing was taken for success"
    wires.cluster.rules.remove(fault)
    wires.cluster.drop()
    wires.tell("silence", name, str(how))


def was_done_once(here: Story, changes: Changes, run: str, *versions: str) -> None:
    """Each version was set once, the last one runs, and of that run nothing was told twice."""
    assert all(here.pod_digests(service) == {digest_of(service, versions[-1])} for service in SERVICES)
    assert changes.images == {(service, version): 1 for service in SERVICES for version in versions}
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


async def lasts_from(wires: Wires, step: Step, how: How, run: str) -> None:
    await told_of(wires, begins(wires, step, how), step.name, how, run)


@pytest.mark.parametrize("wires", [{"cluster_patience": 60.0, "plan_deadline": 60.0}], indirect=True)
@pytest.mark.parametrize("how", [How.LOST, How.SILENT, How.BROKEN], ids=lambda how: how.name)
async def test_a_cluster_that_falls_silent_is_named_at_every_step_and_the_run_ends_well(wires: Wires, how: How):
    here, changes = wires.here, Changes(wires.here)
    run = await asked(here)
    for name in SILENCES:
        await lasts_from(wires, STEPS[name], how, run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert SAID not in here.text(run, "progress")
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))
    was_done_once(here, changes, run, "v2.0.0")


FATAL = [
    ("backend: the change", How.BROKEN, "HTTP 500"),
    ("backend: the change", How.BUSY, "HTTP 429"),
    ("backend: the change", How.LOST, "can't be reached"),
    ("backend: the change", How.CONFLICT, "Somebody else changed the object"),
    ("backend: the change", How.SILENT, "did not answer in time"),
    ("check", How.BROKEN, "HTTP 500"),
]


@pytest.mark.parametrize("wires", [{"cluster_call": 4.0, "cluster_patience": 4.0}], indirect=True)
async def test_what_does_not_pass_ends_the_run_by_its_name_and_never_as_a_success(wires: Wires):
    """One after another in one world, each at a step of a deploy that somebody asks for again."""
    here = wires.here
    for name, how, words in FATAL:
        wires.clear()
        fault = wires.cluster.fail(how, wires.at(STEPS[name]), times=FOREVER)
        run = await asked(here)
        said = await here.says(run, words, "result")
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
    await here.says(run, "v2.0.0 runs in production", "result")
    await here.ended_with(run, "v2.0.0 runs in production")
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)
    assert here.button("approve", run) is None
    wires.tell("lasting", "posting and editing", str(how))
    back = await approvable(here, "rollback", ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")


# going back

BACK = {step.name: step for step in ROLLBACK}
BACK_SILENCES = (
    "plan: the Deployments",
    "taking the place",
    "taking the Deployments",
    "evidence: looking",
    "backend: the change",
    "check",
    "recording the release",
    "giving the place back",
)
"""Watching is left to the stages below: what delays a change may let its rollout be over before it is watched."""


@pytest.mark.parametrize("wires", [{"cluster_patience": 60.0, "plan_deadline": 60.0}], indirect=True)
async def test_a_cluster_that_falls_silent_at_any_step_of_a_rollback_is_named_and_the_rollback_arrives(wires: Wires):
    here, changes = wires.here, Changes(wires.here)
    await here.deployed("v2.0.0")
    wires.clear()
    hows = itertools.cycle((How.LOST, How.SILENT, How.BROKEN))
    steps = list(zip(BACK_SILENCES, hows, strict=False))
    fault = begins(wires, BACK[steps[0][0]], steps[0][1])
    run = await here.ask("rollback", who=ON_CALL)
    pressed = asyncio.create_task(here.press(ON_CALL, "approve", run))
    for (name, how), after in zip(steps, [*steps[1:], None], strict=True):
        await here.until(lambda fault=fault: fault.struck, f"the run comes to “{name}”")
        # the next one is there before this one goes: the run is quick
        following = begins(wires, BACK[after[0]], after[1]) if after else fault
        await told_of(wires, fault, name, how, run)
        fault = following
    assert (await pressed).ok
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert changes.raised == changes.lowered == dict.fromkeys(SERVICES, 1)
    was_done_once(here, changes, run, "v2.0.0", "v1.2.0")


STAGES = [
    ("plan: the Deployments", How.LOST, "can't be reached"),
    ("plan: the Deployments", How.SILENT, "did not answer in time"),
    ("taking the place", How.BROKEN, "HTTP 500"),
    ("taking the Deployments", How.SILENT, "did not answer in time"),
    ("evidence: looking", How.SILENT, ""),
    ("room: the nodes", How.LOST, ""),
    ("backend: the change", How.LOST, "can't be reached"),
    ("backend: the change", How.SILENT, "did not answer in time"),
    ("frontend: watching the Deployment", How.BROKEN, "frontend"),
    ("backend: putting maxSurge back", How.BROKEN, "HTTP 500"),
    ("check", How.SILENT, "did not answer in time"),
    ("recording the release", How.BROKEN, "HTTP 500"),
]
"""What does not pass at that stage, and the word for it; none where going back does not need it."""


@pytest.mark.parametrize("stages", [STAGES[::2], STAGES[1::2]], ids=["even", "odd"])
@pytest.mark.parametrize(
    "wires", [{"cluster_call": 4.0, "cluster_patience": 4.0, "rollout_deadline": 15.0}], indirect=True
)
async def test_a_rollback_that_can_not_go_on_fails_by_name_with_the_lines_to_type_and_else_goes_on(
    wires: Wires, stages: list[tuple[str, How, str]]
):
    here = wires.here
    for name, how, words in stages:
        wires.clear()
        if {here.tag(service) for service in SERVICES} != {"v2.0.0"}:
            await here.deployed("v2.0.0")
        way = await here.bot.durable.manual_rollbacks.of("production")
        assert way is not None
        assert way.version == "v1.2.0"
        wires.clear()
        if "watching" in name:  # else it may be over before it is watched
            here.keep_unready("frontend", "v1.2.0")
        fault = wires.cluster.fail(how, wires.at(BACK[name]), times=FOREVER)
        run = await here.ask("rollback", who=ON_CALL)
        if not name.startswith("plan"):
            await here.press(ON_CALL, "approve", run)
        await here.until(lambda run=run: here.text(run, "result"), f"it ends: {name}, {how}")
        said = here.text(run, "result")
        assert fault.struck, name
        here.let_ready("frontend", "v1.2.0")
        if words:
            assert words in said, (name, how, said)
            assert "🔴" in said
            assert "🟢" not in here.text(run)
            for service in SERVICES:
                image = f"ghcr.io/omnicare/{service}:v1.2.0@{digest_of(service, 'v1.2.0')}"
                assert f"kubectl set image deployment/{service} {service}={image} -n omnicare-prod" in said, (name, how)
            assert here.event_names(run)[-1] == "run:failed"
        else:
            await here.ended_with(run, "Back on v1.2.0 in production")
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
        wires.tell("back", name, str(how))
    wires.clear()
    await here.deployed("v2.0.0")  # a place that could not be given back, or a maxSurge, is in nobody's way
    for service in SERVICES:
        assert here.deployment(service)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] != "100%"
