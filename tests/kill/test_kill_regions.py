"""`kill -9` between two regions, and while one of them goes back without the record: the bot that returns goes on, and does nothing twice."""

from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, ON_CALL, SERVICES, story

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


async def test_a_bot_that_is_killed_while_it_goes_back_without_the_record_goes_on_and_writes_the_record_later(
    tmp_path: Path,
):
    async with story(tmp_path / "world", regions=("eu", "us")) as here:
        await here.start()
        await here.deployed("v2.0.0")
        await here.stop()
        home = here.world.home
        assert home is not None
        await here.start("rollback-us-done")
        await home.go_down()
        run = await here.ask("rollback --without-record", who=ON_CALL)
        await here.press(ON_CALL, "approve", run)
        await here.back_again()
        await here.ended_with(run, "Back on v1.2.0 in production, but not in eu")
        assert {here.tag(service, region="us") for service in SERVICES} == {"v1.2.0"}
        assert [here.revision(service, region="us") for service in SERVICES] == [4, 4]
        await here.kill()
        await home.come_back()
        await here.start()
        await here.says(run, "is up to date again", "record")
        record = here.environment()
        assert (record.run, record.freeze is not None) == (None, True)
        assert [(each.version, each.regions) for each in here.releases()] == [("v1.2.0", ("us",)), ("v2.0.0", ())]
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
