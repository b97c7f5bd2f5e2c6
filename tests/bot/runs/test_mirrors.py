"""A cluster whose admission rewrites every image of a Deployment to a mirror, from the deploy to the way back."""

import pytest

from tests.support.worlds import APPROVER, ON_CALL, SERVICES, Story

OWN, MIRROR = "ghcr.io/omnicare", "mirror.hospital.example/omnicare"


@pytest.mark.parametrize("configured", [True, False])
async def test_a_rollout_through_a_mirror_is_watched_to_its_end_and_gone_back_from(world: Story, *, configured: bool):
    if configured:
        world.configure(lambda document: document.update(mirrors={OWN: MIRROR}))
    await world.inside()
    await world.deployed("v2.0.0")  # before the mirror: recorded by its own names
    world.world.cluster.api.mirrors = {OWN: MIRROR}
    run = await world.ask("deploy v2.1.0-slow")
    await world.press(APPROVER, "approve", run)
    await world.ended_with(run, "v2.1.0-slow runs in production")
    assert all(world.image(service).startswith(f"{MIRROR}/") for service in SERVICES)
    back = await world.ask("rollback", who=ON_CALL)
    plan = await world.says(back, "v2.0.0", "plan")
    assert "v2.1.0-slow" in plan
    assert "by hand" not in plan
    assert ("the cluster pulls it from mirror.hospital.example/omnicare/backend" in plan) == configured
    await world.press(ON_CALL, "approve", back)
    await world.ended_with(back, "Back on v2.0.0 in production")
    assert {world.tag(service) for service in SERVICES} == {"v2.0.0"}
    again = await world.ask("deploy v2.0.0")
    await world.until(lambda: "run:skipped" in world.event_names(again), "there is nothing to do")
