"""An environment with two regions: deploys go through them one after the other, rollbacks through both at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, ON_CALL, SERVICES, Story, story

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
    await here.world.regions["us"].go_down()
    run = await here.ask("rollback", who=ON_CALL)
    plan = await here.says(run, "rollback --regions us", "plan")
    assert "us" in plan
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert (tags(here), tags(here, "us")) == ({"v1.2.0"}, {"v2.0.0"})
    assert "us was left as it is" in here.text(run, "result")
    await here.world.regions["us"].come_back()
    later = await here.ask("rollback --regions us", who=ON_CALL)
    await here.press(ON_CALL, "approve", later)
    await here.ended_with(later, "Back on v1.2.0 in production")
    assert tags(here, "us") == {"v1.2.0"}
    assert here.environment().undecided is None
