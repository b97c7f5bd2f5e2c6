"""`kill -9` after every step of the release train, in one run: nothing is done twice, and nothing is left out."""

from collections import Counter
from pathlib import Path

import pytest

from sandbox import train
from sandbox.aws_services import DISTRIBUTIONS, CloudFront
from sandbox.outside.registry import digest_of
from tests.kill.test_kill import approved
from tests.support.worlds import PRODUCTION, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]

POINTS = (
    "gates-done",
    "measure-before-done",
    "github-deployment-done",
    "migrate-backend-done",
    "rollout-frontend-done",
    "check-done",
    "invalidate-cdn-e2prodsandbox1-done",
    "verify-done",
)
"""In the order of the train: each step was done, and the engine has not yet recorded that."""


async def _killed_at_each(here: Story, points: tuple[str, ...], command: str) -> str:
    first, *rest = points
    await here.start(first)
    outcome = await here.type("maya", f"/omnicare {command}")
    assert outcome.ok, outcome.error
    run = await approved(here)
    await here.ended()
    for point in rest:
        await here.start(point)
        await here.ended()
    await here.start()
    return run


def _cdn(here: Story) -> CloudFront:
    (found,) = [each for each in here.world.aws.services if isinstance(each, CloudFront)]
    return found


async def test_a_deploy_that_is_killed_after_each_of_its_steps_does_each_once(tmp_path: Path):
    async with story(tmp_path / "world", parts=tuple(train.PARTS)) as here:
        run = await _killed_at_each(here, POINTS, "deploy v2.0.0")
        await here.ended_with(run, "v2.0.0 runs in production")
        for service in SERVICES:
            assert here.pod_digests(service) == {digest_of(service, "v2.0.0")}
            assert here.new_pods(service, "v2.0.0") == 3
        assert here.world.schemas.ran == [(PRODUCTION, "migrate:up")]
        assert _cdn(here).created == [(DISTRIBUTIONS["production"], ("/*",))]
        assert here.world.github is not None
        (shown,) = here.world.github.deployments
        assert [state["state"] for state in shown.states] == ["in_progress", "success"]
        assert sum(each.name.startswith("sheet-") for each in here.slack.files.values()) == 1
        finished = Counter(event.id for event in here.events() if event.name == "step:finished")
        assert set(finished.values()) == {1}
        assert [(each.version, each.verdict) for each in here.releases()] == [("v2.0.0", "good")]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
