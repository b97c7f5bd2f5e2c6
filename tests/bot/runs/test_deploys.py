"""Deploying, from the typed command to the new version on every pod, and what may stand in its way."""

from typing import Any, cast

import pytest

from runbooks.kit.reasons import ReasonCode
from sandbox.outside.registry import digest_of
from sandbox.people import STAGING as STAGING_CHANNEL
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, REQUESTER, SERVICES, STAGING, Story


async def test_a_deploy_that_somebody_else_approved_runs_everywhere(here: Story):
    before = {service: here.revision(service) for service in SERVICES}
    run = await here.ask("deploy v2.0.0")
    await here.says(run, "waiting for approval")
    assert "v1.2.0" in here.text(run, "plan")
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v2.0.0")}
        assert here.revision(service) == before[service] + 1
        cause = here.deployment(service)["metadata"]["annotations"]["kubernetes.io/change-cause"]
        assert run in cause
        assert "approved by Tomas" in cause
    assert [(release.version, release.verdict) for release in here.releases()] == [("v2.0.0", "good")]
    assert here.environment().run is None
    assert here.event_names(run) == DEPLOYED
    assert '"user_id": "U0MAYA"' in here.text(run, "result")
    assert here.button("approve", run) is None
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


@pytest.mark.parametrize(
    ("version", "code"), [("v2.1.0-bad", ReasonCode.IMAGE_UNKNOWN), ("v2.1.0-crash", ReasonCode.CRASH_LOOP)]
)
async def test_a_version_that_does_not_start_ends_the_run_with_its_reason_and_three_ways_on(
    here: Story, version: str, code: ReasonCode
):
    run = await here.deployed(version, ends="stopped at Backend rollout")
    result = here.text(run, "result")
    assert code in result
    assert "Frontend was not touched" in result
    for label in ("Roll back", "Retry", "Leave as is"):
        assert label in result
    assert here.tag("frontend") == "v1.2.0"
    assert here.new_pods("backend", "v1.2.0") >= 2, "the old pods still serve"
    assert here.environment().run is None
    undecided = here.environment().undecided
    assert undecided is not None
    assert undecided.run == run
    assert here.event_names(run)[-2:] == ["step:failed", "run:failed"]
    assert here.releases() == []


async def test_leaving_a_failed_run_as_it_is_needs_a_reason_and_decides_it(here: Story):
    run = await here.deployed("v2.1.0-bad", ends="stopped")
    await here.press(ON_CALL, "open-resolve", run)
    await here.fill(ON_CALL, reason="fixed forward by hand")
    await here.until(lambda: here.environment().undecided is None, "the environment is decided")


async def test_retrying_a_failed_run_is_a_new_run_that_says_that_the_last_one_is_undecided(here: Story):
    failed = await here.deployed("v2.1.0-bad", ends="stopped")
    await here.press(REQUESTER, "type-retry", failed)
    await here.until(lambda: len(here.runs()) == 2, "a second run")
    retry = here.runs()[-1]
    assert "Warning" in await here.says(retry, "Plan", "plan")
    assert "v2.1.0-bad" in here.text(retry)


async def test_what_runs_already_is_said_so_and_asks_nobody(here: Story):
    run = await here.ask("deploy v1.2.0")
    await here.says(run, "nothing to do")
    await here.says(run, "already runs v1.2.0", "result")
    assert "approval" not in here.said(run)
    assert here.event_names(run) == ["run:requested", "run:planned", "run:skipped"]


async def test_a_version_that_has_no_image_offers_the_newest_that_exist(here: Story):
    run = await here.ask("deploy v9.9.9")
    result = await here.says(run, "v9.9.9", "result")
    assert "v2.0.0" in result
    await here.press(REQUESTER, "type-deploy", run)
    await here.until(lambda: len(here.runs()) == 2, "the button's own run")
    assert here.event_names(run) == ["run:requested", "run:failed"]


async def test_a_dry_run_shows_the_plan_changes_nothing_and_is_asked_for_in_earnest_by_one_press(here: Story):
    shown = await here.answer(REQUESTER, 'deploy v2.0.0 --dry-run --reason "mends faxes"', "Dry run. Plan")
    _, blocks = shown.split("\n", 1)
    for words in ("Dry run: ", "Deploy v2.0.0", "production", "v1.2.0", "v2.0.0", "mends faxes"):
        assert words in blocks
    assert here.runs() == []
    await here.click(REQUESTER, here.button_named("Request this"))
    run = await here.until(lambda: next(iter(here.runs()), ""), "the request in earnest")
    await here.says(run, "waiting for approval")
    assert "mends faxes" in here.text(run, "plan")
    assert here.tag("backend") == "v1.2.0"


async def test_a_dry_run_of_what_runs_already_offers_nothing(here: Story):
    assert "Request this" not in await here.answer(REQUESTER, "deploy v1.2.0 --dry-run", "already runs v1.2.0")


async def test_something_older_than_what_runs_needs_a_reason(here: Story):
    run = await here.ask("deploy v1.1.0")
    await here.says(run, "needs a reason")
    await here.says(run, "Give the reason", "result")
    with_reason = await here.ask('deploy v1.1.0 --reason "v1.2.0 loses faxes"')
    await here.says(with_reason, "waiting for approval")
    assert "v1.2.0 loses faxes" in here.text(with_reason, "plan")


async def test_two_environments_are_deployed_at_the_same_time(here: Story):
    production = await here.ask("deploy v2.0.0")
    staging = await here.ask("deploy v2.0.0", where=STAGING_CHANNEL)
    assert staging.startswith("staging.")
    await here.press(APPROVER, "approve", production)
    await here.press(APPROVER, "approve", staging)
    await here.ended_with(production, "v2.0.0 runs in production")
    await here.ended_with(staging, "v2.0.0 runs in staging")
    for service in SERVICES:
        assert here.pod_digests(service, STAGING) == {digest_of(service, "v2.0.0")}
    assert here.said(staging)["head"][0].channel == STAGING_CHANNEL


async def test_a_second_deploy_waits_for_the_first_and_is_planned_again_and_then_asks(here: Story):
    first = await here.rolling()
    await here.says(first, "running")
    second = await here.ask('deploy v2.0.0 --reason "the slow one is too slow"', who=ON_CALL)
    await here.says(second, "waiting for Maya: Deploy v2.1.0-slow")
    assert "approval" not in here.said(second)
    here.let_ready()
    await here.ended_with(first, "v2.1.0-slow runs in production")
    await here.says(second, "needs your approval", "approval")
    plan = here.text(second, "plan")
    assert "v2.1.0-slow" in plan
    assert "v1.2.0" not in plan


async def test_what_was_planned_before_another_run_changed_it_is_planned_and_asked_again(here: Story):
    early = await here.ask('deploy v2.0.0 --reason "as planned"', who=ON_CALL)
    await here.says(early, "waiting for approval")
    await here.deployed("v2.1.0-slow")
    await here.press(APPROVER, "approve", early)
    await here.says(early, "The plan changed meanwhile", "approval")
    assert here.tag("backend") == "v2.1.0-slow"
    assert len(here.said(early)["approval"]) == 1
    await here.press(APPROVER, "approve", early)
    await here.ended_with(early, "v2.0.0 runs in production")


async def test_an_identical_request_that_is_still_open_is_pointed_to(here: Story):
    run = await here.ask("deploy v2.0.0")
    await here.says(run, "waiting for approval")
    await here.type(REQUESTER, "/omnicare deploy v2.0.0")
    told = await here.whispered(REQUESTER, "Already requested: Deploy v2.0.0 to production (run ")
    assert "Nothing was started a second time." in shown_text(told)
    assert "Show the run" in shown_text(told)
    assert here.runs() == [run]


async def test_cancelling_in_the_middle_leaves_what_was_done_and_says_so(here: Story):
    run = await here.rolling()
    await here.stop_run(REQUESTER, run)
    await here.ended_with(run, "was stopped by Maya")
    assert here.tag("frontend") == "v1.2.0"
    assert here.environment().run is None
    assert here.event_names(run)[-1] == "run:cancelled"
    assert "Roll back" in here.text(run, "result")
    here.nothing_is_written_twice(run)


async def test_a_bug_at_the_very_end_keeps_nobody_waiting(here: Story):
    """Else the request would wait for a word that never comes, and hold the environment as long as it waits."""

    class Broken:
        def __init__(self, audit_log: Any) -> None:
            self._audit_log = audit_log

        def __getattr__(self, name: str) -> Any:
            return getattr(self._audit_log, name)

        async def head(self) -> Any:
            raise KeyError("nobody foresaw it")

    heads = here.bot.durable.heads
    heads._audit_log = cast("Any", Broken(heads._audit_log))
    run = await here.deployed("v2.0.0")
    assert here.event_names(run)[-1] == "run:succeeded"
    await here.says(await here.ask("deploy v2.1.0-slow"), "waiting for approval")


async def test_a_head_that_somebody_wrote_by_hand_keeps_no_run_from_ending(world: Story):
    name = {"name": "book-heads", "namespace": "omnicare-bot"}
    by_hand = {"omnicare-0": "by hand"}
    await world.inside()
    run = await world.ask("deploy v2.0.0")
    await world.says(run, "waiting for approval")
    await world.press(APPROVER, "approve", run)
    await world.until(lambda: world.tag("backend") == "v2.0.0", "the run has begun")
    # before that it would keep all but a way back from starting (test_kept_heads)
    world.world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": by_hand})
    await world.ended_with(run, "v2.0.0 runs in production")
    assert world.environment().run is None
    assert world._record("book-heads") == by_hand, "what may be a trace is not written over"


async def test_one_service_alone_needs_two_and_status_names_both_versions(here: Story) -> None:
    run = await here.ask("deploy v2.0.0 --only backend")
    await here.press(APPROVER, "approve", run)
    assert "Only backend is deployed: frontend (v1.2.0" in await here.says(run, "Tomas approved", "approval")
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "backend v2.0.0 runs in production")
    assert (here.tag("backend"), here.tag("frontend")) == ("v2.0.0", "v1.2.0")
    assert here.releases()[0].unusual == ("--only backend",)
    await here.answer(ON_CALL, "status", "production runs different versions (backend v2.0.0 and frontend v1.2.0)")
    await here.answer(ON_CALL, "releases", "v2.0.0, v1.2.0 (--only backend)")


async def test_the_head_message_has_a_bar_and_an_estimate_from_earlier_runs(here: Story) -> None:
    await here.deployed("v2.1.0-slow")
    here.keep_unready("backend", "v2.0.0")
    run = await here.ask('deploy v2.0.0 --reason "the slow one is slow"')
    await here.press(APPROVER, "approve", run)
    assert "Usually takes" in (plan := here.text(run, "plan"))
    assert "(backend " in plan
    head = await here.says(run, "left")
    assert " % · about " in head
    assert "▱" in head
    here.let_ready("backend", "v2.0.0")
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "▱" not in here.text(run)


async def test_one_service_alone_leaves_the_environment_undecided_while_another_one_hangs(here: Story) -> None:
    here.world.cluster.faults.unready.add("/frontend:v2.0.0")
    hangs = await here.ask("deploy v2.0.0")
    await here.press(APPROVER, "approve", hangs)
    await here.until(lambda: here.tag("frontend") == "v2.0.0", "the frontend is rolling")
    await here.stop_run(REQUESTER, hangs)
    await here.ended_with(hangs, "was stopped by Maya")
    run = await here.ask("deploy v2.1.0-sqlerror --only backend")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "Tomas approved", "approval")
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "backend v2.1.0-sqlerror runs in production")
    assert "frontend does not run completely, so this is not recorded as good" in here.text(run, "result")
    assert here.releases()[0].verdict == "unproven"
    undecided = here.environment().undecided
    assert undecided is not None
    assert undecided.run == run
