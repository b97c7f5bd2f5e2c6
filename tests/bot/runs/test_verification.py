"""A deploy is verified before its release counts as good."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, REQUESTER, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("verification",)) as made:
        await made.inside()
        yield made


async def test_a_failed_flow_and_a_value_over_its_limit_stop_a_deploy_and_a_retry_checks_again(here: Story) -> None:
    here.world.smoke.failing.add("Clinical note creation")
    run = await here.deployed("v2.0.0", ends="stopped at Smoke tests: Clinical note creation failed")
    assert "verification-failed" in here.text(run, "result")
    assert "passed: User authentication" in here.text(run, "result")
    assert [each.version for each in here.releases()][:1] != ["v2.0.0"]
    assert here.environment().undecided is not None

    here.world.smoke.failing.clear()
    again = await here.ask(f"retry {run}")
    await here.ended_with(again, "v2.0.0 runs in production")
    result = here.text(again, "result")
    assert "Smoke tests: 4 of 4 flows passed" in result
    assert "Verification: 11 of 11 checks passed" in result
    assert "error rate 0.021 %" in result
    assert (here.releases()[0].version, here.releases()[0].verification) == ("v2.0.0", "passed")

    bad = await here.deployed("v2.1.0-errors", ends="stopped at Verification")
    result = here.text(bad, "result")
    assert "error rate 2.4 % (must be < 0.1 %, before 0.021 %)" in result
    assert "new critical alerts HighErrorRate" in result
    assert here.releases()[0].version == "v2.0.0"


async def test_no_data_stops_the_deploy_without_going_back_and_a_rollback_only_tells_it(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("verification",)) as here:
        here.configure(lambda document: document["environments"]["production"].update(on_failure="rollback"))
        await here.inside()
        prometheus = here.world.prometheus
        assert prometheus is not None
        prometheus.silent.add("page_load_duration_seconds")
        run = await here.deployed("v2.0.0", ends="page load p95 has no result: no data")
        result = here.text(run, "result")
        assert "verification-inconclusive" in result
        assert "page_load_duration_seconds_bucket" in result, "the query is shown"
        assert here.tag("backend") == "v2.0.0"
        assert len(here.runs()) == 1, "no rollback follows by itself"

        back = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", back)
        await here.ended_with(back, "Back on v1.2.0")
        assert "Inconclusive: page load p95 has no result" in here.text(back, "result")

        prometheus.silent.clear()
        before = set(here.runs())
        bad = await here.deployed("v2.1.0-errors", ends="stopped at Verification: error rate 2.4 %")
        (after,) = await here.until(lambda: set(here.runs()) - before - {bad}, "a rollback follows by itself")
        await here.ended_with(after, "Back on v1.2.0")


async def test_verify_shows_each_check_and_smoke_tests_and_benchmark_run_alone(here: Story) -> None:
    prometheus = here.world.prometheus
    assert prometheus is not None
    prometheus.values["http_requests_total"] = "3"
    card = await here.answer(REQUESTER, "verify", "10 of 11 checks passed in production: error rate failed")
    assert "API p95" in card
    assert "112 ms" in card
    assert "< 200 ms" in card
    assert '"text": "-"' not in card, "what has no limit has a dash, as in other tables"
    assert "Roll back" in card
    assert "metrics --env production" in card, "where to look next"

    run = await here.ask("verify smoke")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "The smoke tests in production passed")
    assert here.environment().undecided is None

    run = await here.ask("verify benchmark")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "The benchmark in production passed")
    assert "API p95 143 ms" in here.text(run, "result")
    here.world.smoke.measured["API p95"] = (243.0, "ms")
    run = await here.ask("verify benchmark")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "API p95 243 ms (must be < 200 ms)")
    assert here.environment().undecided is None, "no service was changed"

    await here.answer(AUDITOR, "verify", "offline sync is not checked: you need the permission sync:read.")


async def test_a_retry_that_only_records_is_held_to_the_gates_too(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("gates", "verification")) as here:
        await here.inside()
        here.world.smoke.failing.add("Clinical note creation")
        run = await here.deployed("v2.0.0", ends="stopped at Smoke tests: Clinical note creation failed")
        here.world.smoke.failing.clear()
        assert here.world.github is not None
        checks = here.world.github.versions["v2.0.0"].checks
        checks["Snyk"] = "failure"
        refused = await here.ask(f"retry {run}")
        await here.says(refused, "gates not passed")
        assert here.environment().undecided is not None
        assert [each.version for each in here.releases()][:1] != ["v2.0.0"]

        checks["Snyk"] = "success"
        await here.deployed("v2.0.0", ends="v2.0.0 runs in production")
        assert (here.releases()[0].version, here.releases()[0].verification) == ("v2.0.0", "passed")
