"""The bot dies in the middle of a rollback and its disk is lost: what the fleet remembers is enough for the next person to go on.

What was left as bad is never gone forth to, and the place of a run that no engine knows any more can be had back.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from runbooks.wording import short_id
from sandbox.cluster.resources import CONFIG_MAP
from tests.faults.steps import patching
from tests.support.interference import How, cluster_through
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]

UNKNOWN = "this bot has no record of it: its files were lost, or another bot runs it"


async def died_going_back(here: Story, point: str) -> str:
    """v2.0.0 runs; a rollback of it is cut off there, with everything that the bot had on its disk. The rollback's id."""
    await here.start()
    await here.deployed("v2.0.0")
    await here.stop()
    await here.start(point)
    run = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended()
    await disk_lost(here)
    return run


async def disk_lost(here: Story) -> None:
    """With the log went what its kept heads are looked for in: a person takes them away, as docs/how-to/deploy-the-bot.md says."""
    shutil.rmtree(here.world.folder / "state")
    kept = here.world.cluster.store.get(CONFIG_MAP, "omnicare-bot", "book-heads")
    if kept is not None:
        here.world.cluster.store.remove(CONFIG_MAP, kept)
    await here.start()


async def waits_behind(here: Story, lost: str) -> str:
    """A deploy that somebody asks for names the run that nobody knows, and the two ways out; the deploy's id."""
    deploy = await here.ask("deploy v2.1.0-slow")
    said = await here.says(deploy, UNKNOWN)
    assert f"waiting for Ines: Roll back production (run {short_id(lost)})" in said
    assert f"resolve {lost} --reason …" in said
    assert here.button("approve", deploy) is None
    return deploy


async def status_of_it(here: Story) -> str:
    said = await here.answer(REQUESTER, "status", "production runs")
    assert UNKNOWN in said
    return said


async def goes_back_again(here: Story, lost: str) -> None:
    """The next rollback ends what the lost one began; the one after it goes further back, not forth."""
    await waits_behind(here, lost)
    again = await here.ask("rollback", who=ON_CALL)
    plan = await here.says(again, "to v1.2.0", "plan")
    assert "This replaces Ines's run" in plan
    assert "goes further back" not in plan
    await here.press(ON_CALL, "approve", again)
    await here.ended_with(again, "Back on v1.2.0 in production")
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert {(each.version, each.verdict) for each in here.releases()} == {("v1.2.0", "unproven"), ("v2.0.0", "bad")}
    further = await here.ask("rollback", who=ON_CALL)
    plan = await here.says(further, "to v1.1.0", "plan")
    assert "v1.2.0 → v1.1.0" in plan
    assert "v2.0.0" not in plan, "never forth to what was left"
    here.nothing_is_written_twice(again)


@pytest.mark.parametrize("point", ["place-taken", "take-done"])
async def test_the_next_rollback_ends_what_the_lost_one_began(tmp_path: Path, point: str):
    async with story(tmp_path / "world") as here:
        lost = await died_going_back(here, point)
        assert "production runs v2.0.0" in await status_of_it(here)
        await goes_back_again(here, lost)


async def test_the_next_rollback_takes_the_service_along_that_the_lost_one_had_not_reached(tmp_path: Path):
    kubeconfig = tmp_path / "world" / "bot.kubeconfig"
    async with story(tmp_path / "world") as here, cluster_through(kubeconfig, tmp_path) as (cluster, through):
        here.configure(lambda document: route(document, str(through)))
        await here.start()
        await here.deployed("v2.0.0")
        kept = cluster.fail(How.LOST, patching("frontend", "/image"), times=1000)
        run = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", run)
        await here.until(lambda: kept.struck and here.new_pods("backend", "v1.2.0") == 3, "the backend alone went back")
        await here.kill()
        cluster.rules.clear()
        await disk_lost(here)
        assert UNKNOWN in await here.answer(
            REQUESTER, "status", "production runs different versions (backend v1.2.0 and frontend v2.0.0)"
        )
        await goes_back_again(here, run)


def route(document: dict[str, Any], kubeconfig: str) -> None:
    for environment in document["environments"].values():
        environment["cluster"]["kubeconfig"] = kubeconfig


async def test_a_rollback_that_had_arrived_is_said_to_have_and_its_place_can_be_had_back(tmp_path: Path):
    async with story(tmp_path / "world", times={"place_recheck": 0.3}) as here:
        lost = await died_going_back(here, "rollback-done")
        assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
        assert "production runs v1.2.0" in await status_of_it(here)
        deploy = await waits_behind(here, lost)
        plan = await here.answer(REQUESTER, "rollback --dry-run", "Dry run. Plan: Roll back production")
        assert (
            f"Ines's rollback (run {short_id(lost)}) has already rolled back v2.0.0: v1.2.0 runs. This goes further back."
            in plan
        )
        assert "v1.2.0 → v1.1.0" in plan
        old = here.button("approve", lost)
        if old is not None:
            await here.click(APPROVER, old)
            await here.whispered(APPROVER, "There is no run")

        await here.type(ON_CALL, f'/omnicare resolve {lost} --reason "the disk was lost, v1.2.0 serves"')
        answer = await here.whispered(ON_CALL, "stays as it is: the disk was lost, v1.2.0 serves")
        assert "The environment is free again." in shown_text(answer)
        assert here.environment().run is None
        assert here.event_names(lost)[-1] == "run:resolved"
        await here.press(APPROVER, "approve", deploy)
        await here.ended_with(deploy, "v2.1.0-slow runs in production")
        here.nothing_is_written_twice(deploy)

        await here.type(ON_CALL, f"/omnicare resolve {lost} --reason again")
        await here.whispered(ON_CALL, "There is no run")


async def test_a_failed_run_whose_bot_was_lost_can_still_be_resolved(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        failed = await here.deployed("v2.1.0-bad", ends="stopped")
        await here.until(lambda: here.environment().undecided, "the environment is undecided")
        await here.stop()
        shutil.rmtree(here.world.folder / "state")
        await here.start()
        await here.type(ON_CALL, f"/omnicare resolve {failed} --reason lost")
        answer = await here.whispered(ON_CALL, "stays as it is: lost")
        assert "no longer undecided" in shown_text(answer)
        assert here.environment().undecided is None
