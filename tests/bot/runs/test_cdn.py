"""The CDN at the end of a deploy and of a rollback, and invalidated by a command of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws_services import DISTRIBUTIONS, CloudFront
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story, story

PRODUCTION = DISTRIBUTIONS["production"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("cdn",)) as made:
        yield made


def paid(here: Story) -> list[tuple[str, tuple[str, ...]]]:
    (service,) = here.world.aws.services
    assert isinstance(service, CloudFront)
    return service.created


async def test_a_deploy_and_its_rollback_invalidate_the_cdn_and_paths_are_invalidated_alone(here: Story):
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert PRODUCTION in here.text(run, "plan")
    assert "Invalidate the CDN" in here.text(run, "progress")
    assert paid(here) == [(PRODUCTION, ("/*",))]
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
    assert paid(here) == [(PRODUCTION, ("/*",))] * 2
    alone = await here.ask("cdn invalidate /index.html /assets/*")
    await here.press(APPROVER, "approve", alone)
    await here.ended_with(alone, "2 paths invalidated in production's CDN")
    assert paid(here)[2:] == [(PRODUCTION, ("/index.html", "/assets/*"))]
    alone = await here.ask("cdn invalidate #release:v2.0.0")
    await here.press(APPROVER, "approve", alone)
    await here.ended_with(alone, "1 cache tag invalidated in production's CDN")
    assert paid(here)[3:] == [(PRODUCTION, ("#release:v2.0.0",))]
    card = await here.answer(REQUESTER, "cdn", "The CDN of production is deployed, no invalidation in progress")
    assert "#release:v2.0.0" in card
    assert "x-amz-meta-cache-tag" in card
    await here.type(REQUESTER, "/omnicare cdn invalidate assets")
    await here.whispered(REQUESTER, "a path must begin with `/`")


async def test_a_deploy_whose_cdn_refuses_has_succeeded_and_says_what_is_left_to_do(world: Story):
    def elsewhere(document: dict[str, Any]) -> None:
        document["environments"]["production"]["cdn"]["distribution"] = "E2SOMEBODYELSE"

    world.configure(elsewhere)
    await world.inside()
    run = await world.deployed("v2.0.0")
    said = world.text(run, "result")
    assert "The CDN was not invalidated: CloudFront can't invalidate E2SOMEBODYELSE" in said
    assert "aws cloudfront create-invalidation --distribution-id E2SOMEBODYELSE" in said
