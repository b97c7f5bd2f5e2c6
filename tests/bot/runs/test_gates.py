"""The gates of a deploy, from the typed command to the card: shown, refused, asked again, and looked at right before the start."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.scenarios import BY_NAME, GATES
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("gates",)) as made:
        await made.inside()
        yield made


async def test_a_plan_shows_each_gate_and_is_refused_where_one_has_not_passed(here: Story) -> None:
    await here.world.play(BY_NAME["gate-promotion"])
    run = await here.ask("deploy v2.0.0")
    await here.says(run, "gates not passed")
    plan = here.text(run, "plan")
    for each in (
        "1 failed, ",
        " passed",
        "✗ failed",
        "coverage is 91.4 %",
        "pending sync item",
        "v2.0.0 has no record in staging",
    ):
        assert each in plan
    assert plan.index("v2.0.0 has no record in staging") < plan.index("coverage is 91.4 %") < plan.index("Order")
    said = await here.answered("can't be approved as it is")
    for each in ("Gate Promotion (failed)", "deploy v2.0.0 --env staging", "gates-not-passed", "Deploy again"):
        assert each in said
    assert here.event_names(run) == ["run:requested", "run:planned", "run:skipped"]  # nobody was asked
    dry = await here.answer(REQUESTER, "deploy v2.0.0 --dry-run", "Dry run")
    assert "has no record in staging" in dry
    assert "Request this" not in dry


async def test_each_scenario_breaks_just_its_gate(here: Story) -> None:
    for scenario in GATES:
        await here.world.play(scenario)
        assert scenario.cause in await here.answer(REQUESTER, f"{scenario.command} --dry-run"), scenario.name
        await here.world.end(scenario)


async def test_the_scenario_of_a_freeze_window_refuses_every_deploy(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("gates",)) as here:
        scenario = BY_NAME["freeze"]
        await here.world.play(scenario)
        await here.inside()
        assert scenario.cause in await here.answer(REQUESTER, f"{scenario.command} --dry-run", "frozen by")


async def test_a_gate_that_fails_while_people_are_asked_refuses_what_they_approved(here: Story) -> None:
    run = await here.ask("deploy v2.0.0")
    await here.shown("approve", run)
    here.world.sync["omnicare-prod"].break_it("stuck")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "gates not passed")
    assert "Gate Clinical work in flight (failed)" in await here.answered("can't be approved as it is")
    assert here.tag("backend") == "v1.2.0"
    assert "run:started" not in here.event_names(run)


async def test_an_advisory_gate_that_changes_while_people_are_asked_asks_again(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("gates",)) as here:
        here.configure(lambda raw: raw["environments"]["production"]["gates"].update(advisory=["sync"]))
        await here.inside()
        run = await here.ask("deploy v2.0.0")
        await here.shown("approve", run)
        here.world.sync["omnicare-prod"].break_it("stuck")
        await here.press(APPROVER, "approve", run)
        await here.says(run, "The plan changed meanwhile", "approval")
        assert "Advisory gate Clinical work in flight (failed)" in here.text(run, "plan")
        assert "✗ failed (advisory)" in here.text(run, "plan")
        await here.press(APPROVER, "approve", run)
        await here.ended_with(run, "v2.0.0 runs in production")


async def test_a_gate_that_fails_right_before_the_start_changes_nothing_and_leaves_nothing_undecided(
    here: Story,
) -> None:
    queue = here.world.sync["omnicare-prod"]

    def break_after_two(count: int) -> None:  # the plan, and the plan once more
        if count == 2:
            queue.break_it("missing")

    queue.on_status = break_after_two
    run = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "stopped at Check the gates")
    said = await here.answered("stopped at Check the gates")
    for each in ("The gate Clinical work in flight is now unknown", "Nothing was changed", "gate-failed", "Retry"):
        assert each in said
    assert "Leave as is" not in said
    assert here.tag("backend") == "v1.2.0"
    assert "undecided" not in await here.answer(ON_CALL, "status", "v1.2.0")
    queue.mend()
    await here.click(REQUESTER, here.button_named("Retry"))
    again = await here.until(lambda: next(iter(set(here.runs()) - {run}), None), "the retry")
    await here.press(APPROVER, "approve", again)
    await here.ended_with(again, "v2.0.0 runs in production")


async def test_who_may_signs_from_the_refused_plan_and_it_can_be_deployed_again(here: Story) -> None:
    await here.world.play(BY_NAME["gate-signature"])
    run = await here.ask("deploy v2.0.0")
    await here.says(run, "gates not passed")
    said = await here.answered("can't be approved as it is")
    assert "sign v2.0.0 api-documentation --env production" in said
    assert "the role on-call" in said
    documentation = here.button_named("Sign: API documentation updated")
    communication = here.button_named("Sign: Customer communication drafted")
    again = here.button_named("Deploy again")
    await here.click(REQUESTER, documentation)
    await here.whispered(REQUESTER, "Only somebody with the role on-call in production can sign `")
    await here.click(ON_CALL, documentation)
    await here.answered("Ines signed for v2.0.0 in production: API documentation updated")
    await here.click(ON_CALL, communication)
    await here.answered("Ines signed for v2.0.0 in production: Customer communication drafted")
    signed = [event for event in here.events() if event.name == "gate:signed"]
    assert [(event.actor, event.environment) for event in signed] == [(ON_CALL, "production")] * 2
    await here.click(REQUESTER, again)
    next_run = await here.until(lambda: next(iter(set(here.runs()) - {run}), None), "the next request")
    await here.shown("approve", next_run)
    assert "signed by Ines" in here.text(next_run, "plan")
    await here.type(ON_CALL, "/omnicare sign v2.0.0 something")
    await here.whispered(ON_CALL, "Use `customer-communication` or `api-documentation`")


async def test_a_freeze_window_is_overridden_by_two_approvals_and_nothing_else_is(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("gates",)) as here:

        def frozen(raw: dict[str, Any]) -> None:
            production = raw["environments"]["production"]
            production["gates"] |= {"windows": {"frozen": ["* * * * *"]}, "override_role": "on-call"}
            production["permissions"]["gate:override"] = ["release-manager"]

        here.configure(frozen)
        await here.inside()
        queue = here.world.sync["omnicare-prod"]
        queue.on_status = lambda count: queue.break_it("missing") if count == 2 else None
        await here.type(ON_CALL, '/omnicare deploy v2.0.0 --override time --reason "patients wait"')
        await here.whispered(ON_CALL, "You may not override the gates of a deploy to production")

        run = await here.ask('deploy v2.0.0 --override time --reason "patients wait"')
        await here.press(APPROVER, "approve", run)
        assert "✗ failed (overridden)" in here.text(run, "plan")
        asked = await here.says(run, "Tomas approved", "approval")
        for each in ("Riskier than usual", "2 of: ", "one of them with the role on-call"):
            assert each in asked
        for each in (here.text(run, "plan"), asked):
            assert "Gate overridden: Time (failed" in each
        await here.press(ON_CALL, "approve", run)
        await here.ended_with(run, "stopped at Check the gates")  # a gate that was not overridden has failed since
        (noted,) = [event for event in here.events(run) if event.name == "gate:overridden"]
        assert list(noted.details["gates"]) == ["time"]
        assert noted.details["approved_by"] == [APPROVER, ON_CALL]
        assert (noted.actor, noted.reason) == (REQUESTER, "patients wait")

        queue.mend()
        await here.type(ON_CALL, f"/omnicare retry {run}")
        await here.whispered(ON_CALL, "You may not override the gates of a deploy to production")
        await here.type(REQUESTER, f"/omnicare retry {run}")
        again = await here.until(lambda: next(iter(set(here.runs()) - {run}), None), "the retry")
        await here.press(APPROVER, "approve", again)
        await here.says(again, "Tomas approved", "approval")
        await here.press(ON_CALL, "approve", again)
        await here.ended_with(again, "v2.0.0 runs in production")
        assert "Gate overridden: Time (failed" in await here.answered("v2.0.0 runs in production")
