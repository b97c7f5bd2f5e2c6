"""`scale SERVICE N`, from the typed command to the pods."""

from tests.support.worlds import APPROVER, Story


async def test_a_service_is_scaled_after_an_approval_and_never_below_its_minimum(here: Story):
    refused = await here.ask("scale backend 2")
    await here.says(refused, "needs at least 3 pods", "result")
    run = await here.ask('scale backend 5 --reason "Monday morning"')
    said = await here.says(run, "Scale backend to 5 pods in production", "plan")
    assert "sets it back" in said, "what is not kept anywhere else is said"
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "backend has 5 pods in production")
    assert "backend 5/5 ready, 3 before." in here.text(run, "result")
    assert "5/5 pods ready" in await here.says(run, "5/5 pods ready", "progress"), "three of them are not new"
    assert here.releases() == [], "a number of pods is no release"
    assert here.environment().undecided is None
    here.nothing_is_written_twice(run)
