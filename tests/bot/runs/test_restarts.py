"""`restart SERVICE`: new pods, the same image, nothing else touched."""

import re
import time

from sandbox.cluster.resources import POD
from tests.support.worlds import APPROVER, PRODUCTION, REQUESTER, Story


def pods_of(here: Story, service: str) -> set[str]:
    return {
        pod["metadata"]["uid"]
        for pod in here.world.cluster.store.all(POD, PRODUCTION)
        if pod["metadata"]["labels"].get("app") == service and not pod["metadata"].get("deletionTimestamp")
    }


async def test_a_restart_makes_new_pods_of_the_same_image_and_leaves_the_rest(here: Story):
    await here.deployed("v2.0.0")
    before = {service: (pods_of(here, service), here.image(service)) for service in ("backend", "frontend")}
    run = await here.ask('restart backend --reason "picks up the new certificate"')
    assert "the same, new pods" in await here.says(run, "Restart backend in production", "plan")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "backend was restarted in production")
    assert "3/3 new pods ready" in here.text(run, "result")
    assert here.button_named("Diagnose"), "the next question is whether the trouble is gone"
    assert here.image("backend") == before["backend"][1]
    assert not pods_of(here, "backend") & before["backend"][0]
    assert pods_of(here, "frontend") == before["frontend"][0]
    assert [release.version for release in here.releases()] == ["v2.0.0"], "a restart is no release"
    assert here.environment().undecided is None
    here.nothing_is_written_twice(run)


async def test_a_service_that_was_started_by_hand_is_restarted_without_its_image_being_pinned(here: Story):
    image = here.image("frontend")
    run = await here.ask("restart frontend")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "frontend was restarted")
    assert here.image("frontend") == image
    said = await here.answer(REQUESTER, "status", "production runs v1.2.0")
    stamps = {int(stamp) for stamp in re.findall(r"<!date\^(\d+)\^\{date", said)}
    long_ago = [stamp for stamp in stamps if time.time() - stamp > 86_400]
    assert len(long_ago) == len(stamps) > 0, "the restart set no image"


async def test_which_service_has_to_be_said(here: Story):
    await here.type(REQUESTER, "/omnicare restart")
    await here.whispered(REQUESTER, "needs the service")
