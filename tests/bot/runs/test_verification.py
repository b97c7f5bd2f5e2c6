"""A deploy is verified before its release counts as good."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worlds import ON_CALL, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("verification",)) as made:
        await made.inside()
        yield made


async def test_a_good_release_tells_its_values_and_one_with_errors_stops_and_is_verified_again(
    here: Story,
) -> None:
    run = await here.deployed("v2.0.0")
    result = here.text(run, "result")
    assert "10 of 10 checks passed" in result
    assert "error rate 0.021 %" in result
    assert "backend health, frontend health, database connection, alert receivers, API p95" in here.text(run, "plan")
    assert here.releases()[0].version == "v2.0.0"

    bad = await here.deployed("v2.1.0-errors", ends="stopped at Verification")
    result = here.text(bad, "result")
    assert "error rate 2.4 % (must be < 0.1 %, before 0.021 %)" in result
    assert "verification-failed" in result
    assert here.releases()[0].version == "v2.0.0"
    assert here.environment().undecided is not None

    assert "new critical alerts HighErrorRate" in result
    prometheus, alertmanager = here.world.prometheus, here.world.alertmanager
    assert prometheus is not None
    assert alertmanager is not None
    prometheus.values["http_requests_total"] = "0.02"
    alertmanager.silenced = True
    again = await here.ask(f"retry {bad}")
    await here.ended_with(again, "v2.1.0-errors runs in production")
    assert "10 of 10 checks passed" in here.text(again, "result")
    assert here.releases()[0].version == "v2.1.0-errors"


async def test_no_data_stops_the_deploy_without_going_back_and_a_rollback_only_tells_it(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("verification",)) as here:
        here.configure(lambda document: document["environments"]["production"].update(on_failure="rollback"))
        await here.inside()
        prometheus = here.world.prometheus
        assert prometheus is not None
        prometheus.silent.add("page_load_duration_seconds")
        run = await here.deployed("v2.0.0", ends="page load p95 can't be judged: no data")
        result = here.text(run, "result")
        assert "verification-inconclusive" in result
        assert "page_load_duration_seconds_bucket" in result, "the query is shown"
        assert here.tag("backend") == "v2.0.0"
        assert len(here.runs()) == 1, "no rollback follows by itself"

        back = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", back)
        await here.ended_with(back, "Back on v1.2.0")
        assert "Inconclusive: page load p95 has no result" in here.text(back, "result")
