"""An environment with two regions: deploys go through them one after the other, rollbacks through both at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, SERVICES, Story, story

REGIONS = ("eu", "us")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", regions=REGIONS, times={"region_patience": 0.5}) as made:
        await made.inside()
        yield made


def tags(here: Story, region: str = "") -> set[str]:
    return {here.tag(service, region=region) for service in SERVICES}


async def test_a_deploy_reaches_the_second_region_after_the_first_has_baked(here: Story):
    run = await here.ask("deploy v2.0.0")
    plan = await here.says(run, "Region by region", "plan")
    assert "backend in eu" in plan
    assert "frontend in us" in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert tags(here) == tags(here, "us") == {"v2.0.0"}
    result = here.text(run, "result")
    assert "eu: backend 3/3 · frontend 3/3; us: backend 3/3 · frontend 3/3" in result
    keys = [event.details["key"] for event in here.events(run) if event.name == "step:started"]
    assert keys == [
        "take@eu",
        "rollout:backend@eu",
        "rollout:frontend@eu",
        "check@eu",
        "bake@eu",
        "check:baked@eu",
        "take@us",
        "rollout:backend@us",
        "rollout:frontend@us",
        "check@us",
        "record",
    ]
    assert [(each.version, each.regions) for each in here.releases()] == [("v2.0.0", ())]


async def test_the_second_region_is_not_touched_where_the_first_fails(here: Story):
    before = here.deployment("backend", region="us")
    failed = await here.deployed("v2.1.0-bad", ends="stopped at Backend rollout in eu")
    assert here.deployment("backend", region="us") == before
    result = here.text(failed, "result")
    assert "eu: v1.2.0 still serves backend" in result
    assert "Frontend was not touched in eu." in result
    assert "Backend and frontend were not touched in us." in result


async def test_a_rollback_goes_on_without_a_region_that_is_away_and_says_what_remains(here: Story):
    await here.deployed("v2.0.0")
    run = await here.ask("rollback", who=ON_CALL)
    await here.says(run, "backend in us", "plan")
    await here.world.regions["us"].go_down()
    await here.press(ON_CALL, "approve", run)  # covers going back without it
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert (tags(here), tags(here, "us")) == ({"v1.2.0"}, {"v2.0.0"})
    assert "us was left as it is." in here.text(run, "result")
    assert "rollback --regions us --env production" in here.text(run, "result")
    await here.type(REQUESTER, "/omnicare status")
    assert "production: region us does not answer, the rest runs v1.2.0" in await here.answered(
        "region us does not answer"
    )
    await here.world.regions["us"].come_back()
    later = await here.ask("rollback --regions us", who=ON_CALL)
    await here.press(ON_CALL, "approve", later)
    await here.ended_with(later, "Back on v1.2.0 in production")
    assert tags(here, "us") == {"v1.2.0"}


async def test_a_region_that_is_lost_during_a_rollback_leaves_the_environment_undecided(here: Story):
    await here.deployed("v2.0.0")
    away = here.world.regions["us"]
    away.cluster.faults.unready.add("/backend:v1.2.0")
    run = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.until(lambda: here.tag("backend", region="us") == "v1.2.0", "us goes back")
    await away.go_down()
    await here.ended_with(run, "Back on v1.2.0 in production, but not in us")
    assert tags(here) == {"v1.2.0"}
    result = here.text(run, "result")
    assert "us stopped answering" in result
    assert "kubectl --context us set image deployment/backend" in result
    undecided = here.environment().undecided
    assert undecided is not None
    assert undecided.run == run


async def test_what_all_regions_run_is_adopted_and_different_versions_are_not(here: Story):
    run = await here.ask("releases adopt")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v1.2.0 is recorded as a good release of production")
    checked = [event.details["key"] for event in here.events(run) if event.name == "step:started"]
    assert checked == ["take@eu", "check@eu", "take@us", "check@us", "record"]
    ((version, services),) = [(each.version, each.services) for each in here.releases()]
    assert (version, [each.service for each in services]) == ("v1.2.0", list(SERVICES))

    only = await here.ask("deploy v2.0.0 --regions eu")
    await here.press(APPROVER, "approve", only)
    await here.ended_with(only, "v2.0.0 runs in production")
    await here.type(REQUESTER, "/omnicare releases adopt --dry-run")
    await here.whispered(REQUESTER, "so production runs no one release")


async def test_a_rollback_by_itself_stays_in_the_regions_of_the_deploy_that_failed(here: Story):
    await here.leave()
    here.configure(lambda document: document["environments"]["production"].update({"on_failure": "rollback"}))
    await here.inside()
    run = await here.ask("deploy v2.1.0-bad --regions eu")
    await here.press(APPROVER, "approve", run)
    back = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the rollback")
    await here.ended_with(back, "Back on v1.2.0")
    keys = [event.details["key"] for event in here.events(back) if event.name == "step:started"]
    assert keys == ["rollback@eu", "check@eu", "record"]
    (granted,) = [event for event in here.events(back) if event.name == "approval:granted"]
    assert granted.details["covered_by"] == ["Tomas"]
    assert "Region us was left as it is." in here.text(back, "result")
    assert "rollback --regions us" not in here.text(back, "result")


async def test_the_approval_of_a_deploy_does_not_cover_a_region_that_it_was_not_about(here: Story):
    await here.deployed("v2.0.0")
    failed = await here.ask("deploy v2.1.0-bad --regions eu")
    await here.press(APPROVER, "approve", failed)
    await here.ended_with(failed, "stopped at Backend rollout in eu")
    run = await here.ask(f"rollback --regions us --after {failed}", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production")
    (granted,) = [event for event in here.events(run) if event.name == "approval:granted"]
    assert "covered_by" not in granted.details


async def test_status_offers_to_roll_back_the_region_that_has_not_gone_back(here: Story):
    await here.deployed("v2.0.0")
    run = await here.ask("rollback --regions us", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production")
    said = await here.answer(ON_CALL, "status", "production runs v2.0.0 in eu and v1.2.0 in us")
    assert said.count("Roll back eu") >= 1
    known = set(here.runs())
    await here.click(ON_CALL, here.button_named("Roll back eu"))
    back = await here.until(lambda: next(iter(set(here.runs()) - known), ""), "the rollback")
    await here.says(back, "Roll back production (eu only) to v1.2.0", "plan")
