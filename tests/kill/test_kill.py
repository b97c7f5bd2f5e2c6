"""`kill -9` on a real `omnicare serve`, everywhere: after a restart the deploy ends as if nothing had happened.

Each place is reached either by a crash point inside the process or by what can be seen from outside, and is also tried with SIGTERM:
that drains, ends with exit status 0, and loses as little. What must hold in the end is the same for all.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.surfaces.slack.outbound.own_messages import METADATA
from sandbox.cluster.resources import DEPLOYMENT
from sandbox.cluster.store import Change
from sandbox.outside.registry import digest_of
from tests.support.worlds import APPROVER, DEPLOYED, PRODUCTION, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]

SLOTS = {"head", "plan", "approval", "progress", "result"}

POINTS = [
    "request-noted",
    "head-posting",
    "head-posted",
    "plan-posted",
    "approval-posted",
    "approve-noted",
    "place-taken",
    "progress-posted",
    "rollout-backend-done",
    "rollout-backend-recorded",
    "record-done",
    "run-ended",
    "result-posted",
]
"""Inside the process. `-posted`: Slack has the message, the engine has not yet recorded that; `-done`: so with a step."""

SOFT = [
    "request-noted",
    "plan-posted",
    "approve-noted",
    "rollout-backend-recorded",
    "result-posted",
]


async def deployed_as_if_nothing_had_happened(here: Story, run: str, before: dict[str, int]) -> None:
    """The cluster, Slack, the audit log and the fleet's record all tell of one deploy, once."""
    await here.ended_with(run, "v2.0.0 runs in production")
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v2.0.0")}
        assert here.new_pods(service, "v2.0.0") == 3
        assert here.revision(service) == before[service] + 1, "each Deployment was changed once"
        assert here.revision(service) == 3
    assert [(release.version, release.run, release.verdict) for release in here.releases()] == [("v2.0.0", run, "good")]
    assert here.environment().run is None
    assert here.environment().undecided is None
    assert set(here.said(run)) == SLOTS
    here.nothing_was_said_twice(run)
    assert here.runs() == [run]
    assert [each.text for each in here.messages() if (each.metadata or {}).get("event_type") != METADATA] == []
    assert here.text(run).startswith("🟢")
    assert here.button("approve", run) is None
    assert here.button("cancel", run) is None
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))
    assert in_order(here.event_names(run))
    here.nothing_is_written_twice(run)


def in_order(names: list[str]) -> bool:
    """The milestones came in their order; what runs side by side (a click and its run) may interleave."""
    milestones = [
        "run:requested",
        "run:planned",
        "approval:asked",
        "approval:given",
        "approval:granted",
        "run:started",
        "run:succeeded",
    ]
    places = [names.index(name) for name in milestones]
    return places == sorted(places) and names[-1] == "run:succeeded"


def revisions(here: Story) -> dict[str, int]:
    return {service: here.revision(service) for service in SERVICES}


async def approved(here: Story) -> str:
    """The run, once somebody has approved it: as often as it takes, since a person whose click fails clicks again."""
    (run,) = await here.until(here.runs, "a run has a message")
    for _ in range(5):
        outcome = await here.click(APPROVER, await here.shown("approve", run))
        if outcome.ok:
            break
        # the bot died under the click: the person is told so, and clicks again when it is back
        assert outcome.error in ("dispatch_failed", "operation_timeout"), outcome.error
        await here.until(lambda: here.slack.app_connected, "the bot is connected again")
    assert outcome.ok, outcome.error
    return run


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(tmp_path: Path, point: str):
    async with story(tmp_path / "world") as here:
        await here.start(point)
        before = revisions(here)
        restarted = asyncio.create_task(here.back_again())
        outcome = await here.type("maya", "/omnicare deploy v2.0.0")
        assert outcome.ok, outcome.error
        run = await approved(here)
        await here.until(restarted.done, f"the bot came to {point} and was started again")
        await restarted
        await deployed_as_if_nothing_had_happened(here, run, before)


@pytest.mark.parametrize("point", SOFT)
async def test_asked_to_stop_at(tmp_path: Path, point: str):
    async with story(tmp_path / "world") as here:
        await here.start(point, "TERM")
        before = revisions(here)
        status: list[int] = []

        async def restart() -> None:
            status.append(await here.ended())
            await here.start()

        restarted = asyncio.create_task(restart())
        outcome = await here.type("maya", "/omnicare deploy v2.0.0")
        assert outcome.ok, outcome.error
        run = await approved(here)
        await here.until(restarted.done, f"the bot came to {point} and was started again")
        await restarted
        assert status == [0]
        await deployed_as_if_nothing_had_happened(here, run, before)


async def end_it(here: Story, how: str) -> None:
    """Ends the bot now, and starts another."""
    if how == "kill":
        await here.kill()
    else:
        assert await here.stop() == 0
    await here.start()


HOW = pytest.mark.parametrize("how", ["kill", "stop"])


@HOW
async def test_right_after_the_acknowledgement(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start()
        before = revisions(here)
        outcome = await here.type("maya", "/omnicare deploy v2.0.0")
        assert outcome.ok, outcome.error
        await end_it(here, how)
        run = await approved(here)
        await deployed_as_if_nothing_had_happened(here, run, before)


@HOW
async def test_while_it_waits_for_somebody(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start()
        before = revisions(here)
        run = await here.ask("deploy v2.0.0")
        await here.says(run, "waiting for approval")
        await end_it(here, how)
        await here.until(lambda: here.said(run).get("approval"), "the approval is asked for")
        assert await approved(here) == run
        await deployed_as_if_nothing_had_happened(here, run, before)


@HOW
async def test_right_after_the_approving_click_was_acknowledged(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start()
        before = revisions(here)
        run = await here.ask("deploy v2.0.0")
        assert await approved(here) == run
        await end_it(here, how)
        await deployed_as_if_nothing_had_happened(here, run, before)


def when_changed(here: Story, service: str, act: Callable[[], None]) -> None:
    """Acts in the very moment in which the cluster takes the new image, before the bot has its answer."""
    done: list[bool] = []

    def see(change: Change) -> None:
        if change.kind != DEPLOYMENT or done or change.obj["metadata"]["namespace"] != PRODUCTION:
            return
        image = change.obj["spec"]["template"]["spec"]["containers"][0]["image"]
        if change.obj["metadata"]["name"] == service and ":v2.0.0@" in image:
            done.append(True)
            act()

    here.world.cluster.store.listen(see)


@pytest.mark.parametrize("service", SERVICES)
async def test_killed_in_the_moment_in_which_the_cluster_takes_the_change(tmp_path: Path, service: str):
    async with story(tmp_path / "world") as here:
        await here.start()
        before = revisions(here)
        assert here.world.bot is not None
        pid = here.world.bot.pid
        assert pid is not None
        when_changed(here, service, lambda: os.kill(pid, signal.SIGKILL))
        run = await here.ask("deploy v2.0.0")
        await approved(here)
        await here.back_again()
        await deployed_as_if_nothing_had_happened(here, run, before)


@HOW
async def test_in_the_middle_of_the_backend_rollout(tmp_path: Path, how: str):
    async with story(tmp_path / "world") as here:
        await here.start()
        before = revisions(here)
        run = await here.ask("deploy v2.0.0")
        await approved(here)
        await here.until(lambda: 0 < here.new_pods("backend", "v2.0.0") < 3, "some of the new pods are ready")
        await end_it(here, how)
        await deployed_as_if_nothing_had_happened(here, run, before)


async def test_killed_again_and_again(tmp_path: Path):
    """One run, and a bot that dies at every turn of it."""
    async with story(tmp_path / "world") as here:
        await here.start("plan-posted")
        before = revisions(here)
        outcome = await here.type("maya", "/omnicare deploy v2.0.0")
        assert outcome.ok, outcome.error
        await here.ended()
        await here.start("rollout-backend-done")
        run = await approved(here)
        await here.ended()
        await here.start("result-posted")
        await here.back_again()
        await deployed_as_if_nothing_had_happened(here, run, before)


async def test_a_command_that_was_never_acknowledged_is_closed_in_words_and_can_be_given_again(tmp_path: Path):
    """Killed between book and engine, and Slack gave up: the person read that it failed, and types it again."""
    async with story(tmp_path / "world", times={"abandoned_after": 0.5}) as here:
        await here.start("request-noted")
        before = revisions(here)
        typing = asyncio.create_task(here.type("maya", "/omnicare deploy v2.0.0"))
        await here.ended()
        typing.cancel()
        await here.start()
        await here.until(
            lambda: [event for event in here.events() if event.name == "run:abandoned"], "the request is closed"
        )
        outcome = await here.type("maya", "/omnicare deploy v2.0.0")
        assert outcome.ok, outcome.error
        run = await approved(here)
        await deployed_as_if_nothing_had_happened(here, run, before)
        abandoned = [event for event in here.events() if event.name == "run:abandoned"]
        assert len(abandoned) == 1
        assert abandoned[0].run != run


async def test_what_the_audit_trail_tells_of_a_run_stands_where_the_engine_has_lost_it(tmp_path: Path):
    """A lost database of the engine is no reason to write that a run never began."""
    async with story(tmp_path / "world", times={"abandoned_after": 0.5}) as here:
        await here.start()
        run = await here.ask("deploy v2.0.0")
        await here.says(run, "needs your approval", "approval")
        await here.stop()
        for file in (here.world.folder / "state").glob("engine.sqlite*"):
            file.unlink()
        await here.start("request-noted")
        typing = asyncio.create_task(here.type("maya", "/omnicare deploy v1.1.0 --env staging"))
        await here.ended()
        typing.cancel()
        await here.start()
        await here.until(
            lambda: [event for event in here.events() if event.name == "run:abandoned"], "the other one is closed"
        )
        assert run not in [event.run for event in here.events() if event.name == "run:abandoned"]


async def test_killed_while_a_rollback_runs(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.deployed("v2.0.0")
        await here.stop()
        await here.start("rollback-done")
        run = await here.ask("rollback", who="ines")
        restarted = asyncio.create_task(here.back_again())
        await here.press("ines", "approve", run)
        await restarted
        await here.ended_with(run, "Back on v1.2.0 in production")
        for service in SERVICES:
            assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
            assert here.revision(service) == 4
        assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


async def test_killed_while_it_is_being_cancelled(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        run = await here.ask("deploy v2.1.0-unready")
        await approved(here)
        await here.until(lambda: here.tag("backend") == "v2.1.0-unready", "the backend is rolling")
        await here.stop_run("maya", run)
        await here.kill()
        await here.start()
        await here.ended_with(run, "was stopped by Maya")
        assert here.tag("frontend") == "v1.2.0"
        assert here.environment().run is None
        assert here.event_names(run)[-1] == "run:cancelled"
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
