"""`kill -9` between two regions: the bot that returns goes on with the bake time, and touches the second region once."""

from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, SERVICES, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(270)]


async def test_a_bot_that_is_killed_during_the_bake_time_goes_on_to_the_second_region(tmp_path: Path):
    async with story(tmp_path / "world", regions=("eu", "us"), bake=4.0) as here:
        await here.start()
        run = await here.ask("deploy v2.0.0")
        await here.press(APPROVER, "approve", run)
        await here.until(
            lambda: any(event.details.get("key") == "bake@eu" for event in here.events(run)), "the first region bakes"
        )
        assert {here.tag(service, region="us") for service in SERVICES} == {"v1.2.0"}
        await here.kill()
        await here.start()
        await here.ended_with(run, "v2.0.0 runs in production")
        assert {here.tag(service, region="us") for service in SERVICES} == {"v2.0.0"}
        assert [here.revision(service, region="us") for service in SERVICES] == [3, 3]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
