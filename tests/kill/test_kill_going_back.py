"""`kill -9` and SIGTERM while a rollback has raised `maxSurge` or keeps its evidence: the bot that returns ends it, and puts back what was raised."""

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runbooks.deployments.service_state import SURGE
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, Json
from sandbox.cluster.store import Change
from sandbox.outside.registry import digest_of
from tests.support.worlds import ON_CALL, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]


def surge(here: Story, service: str) -> tuple[object, str | None]:
    """`maxSurge` and the annotation that keeps the Deployment's own."""
    seen = here.deployment(service)
    annotations = seen["metadata"].get("annotations", {})
    return seen["spec"]["strategy"]["rollingUpdate"]["maxSurge"], annotations.get(SURGE)


def raised(obj: Json) -> bool:
    return SURGE in obj["metadata"].get("annotations", {})


def is_raised(change: Change) -> bool:
    """The cluster takes the change that raises it."""
    return change.kind == DEPLOYMENT and raised(change.obj)


def is_complete(change: Change) -> bool:
    """The backend's new pods alone are there and it is still raised: putting it back is what comes next."""
    if change.kind != DEPLOYMENT or change.obj["metadata"]["name"] != "backend" or not raised(change.obj):
        return False
    status = change.obj.get("status", {})
    seen = status.get("observedGeneration", 0) >= change.obj["metadata"]["generation"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return bool(seen and counts == {3})


def evidence_is_written(change: Change) -> bool:
    """The cluster takes the evidence, and the bot has no answer yet."""
    return change.kind == CONFIG_MAP and change.obj["metadata"]["name"].startswith("evidence-")


def ended_when(here: Story, seen: Callable[[Change], bool], how: signal.Signals) -> None:
    """Ends the bot in the very moment in which the cluster sees that."""
    assert here.world.bot is not None
    pid = here.world.bot.pid
    assert pid is not None
    done: list[bool] = []

    def look(change: Change) -> None:
        if not done and seen(change):
            done.append(True)
            os.kill(pid, how)

    here.world.cluster.store.listen(look)


@pytest.mark.parametrize(
    ("moment", "how"),
    [
        (is_raised, signal.SIGKILL),
        (is_raised, signal.SIGTERM),
        (is_complete, signal.SIGKILL),
        (evidence_is_written, signal.SIGKILL),
        (evidence_is_written, signal.SIGTERM),
    ],
)
async def test_the_rollback_ends_and_what_was_raised_is_put_back(
    tmp_path: Path, moment: Callable[[Change], bool], how: signal.Signals
):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.deployed("v2.0.0")
        before = {service: surge(here, service) for service in SERVICES}
        revisions = {service: here.revision(service) for service in SERVICES}
        raises: list[str] = []
        here.world.cluster.store.listen(lambda change: _note_raise(change, raises))
        ended_when(here, moment, how)
        restarted = asyncio.create_task(here.back_again())
        run = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", run)
        await here.until(restarted.done, "the bot was started again")
        await restarted
        await here.ended_with(run, "Back on v1.2.0 in production")
        assert {service: surge(here, service) for service in SERVICES} == before
        assert sorted(raises) == sorted(SERVICES), "each was raised once"
        for service in SERVICES:
            assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
            assert here.revision(service) == revisions[service] + 1
        assert here.environment().run is None
        assert here.environment().undecided is None
        assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
        names = Counter(here.event_names(run))
        assert [names[name] for name in ("run:requested", "run:started", "run:succeeded")] == [1, 1, 1]
        assert names["step:started"] == names["step:finished"] == 4, "taking, going back, check, record"
        kept = [
            each
            for each in here.world.cluster.store.all(CONFIG_MAP, "omnicare-bot")
            if each["metadata"]["name"].startswith("evidence-") and each["data"]["run"] == run
        ]
        assert len(kept) == 1


def _note_raise(change: Change, raises: list[str]) -> None:
    if change.kind == DEPLOYMENT and raised(change.obj) and change.old is not None and not raised(change.old):
        raises.append(change.obj["metadata"]["name"])


async def test_a_bot_that_knows_nothing_of_the_run_puts_back_what_it_left_raised(tmp_path: Path):
    """The bot was killed and its disk is lost: what it changed for a while stands on the Deployments themselves."""
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.deployed("v2.0.0")
        before = {service: surge(here, service) for service in SERVICES}
        ended_when(here, is_raised, signal.SIGKILL)
        run = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", run)
        await here.ended()
        assert any(surge(here, service)[1] is not None for service in SERVICES)
        shutil.rmtree(here.world.folder / "state")
        await here.start()
        again = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", again)
        await here.ended_with(again, "in production")
        assert here.event_names(again)[-1] == "run:succeeded"
        assert {service: surge(here, service) for service in SERVICES} == before
        assert here.environment().run is None
        here.nothing_is_written_twice(again)
