"""Rolling back: one person, at once, past locks and runs, and further back the second time."""

import asyncio
from pathlib import Path

from runbooks.wording import short_id
from sandbox.outside.registry import digest_of
from sandbox.scenarios import BY_NAME
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, REQUESTER, SERVICES, Story, story


async def back(here: Story, who: str = ON_CALL, text: str = "rollback") -> str:
    """Asks and confirms, alone."""
    run = await here.ask(text, who=who)
    await here.press(who, "approve", run)
    return run


async def test_who_is_on_call_goes_back_alone_with_one_confirmation(here: Story):
    await here.deployed("v2.0.0")
    run = await back(here)
    await here.ended_with(run, "Back on v1.2.0 in production")
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
    assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
    assert "5 min" in here.text(run, "result")
    assert "approval:granted" in here.event_names(run)


async def test_its_time_runs_on_the_head_message_and_past_it_people_are_mentioned(tmp_path: Path):
    async with story(tmp_path / "world", times={"late_after": 0.5}) as here:
        here.configure(lambda raw: raw["environments"]["production"].update(call="the schedule ops-primary"))
        await here.inside()
        await here.deployed("v2.1.0-slow")
        older = await here.ask('deploy v2.0.0 --reason "the slow one is slow"')
        await here.press(APPROVER, "approve", older)
        await here.ended_with(older, "v2.0.0 runs in production")
        here.keep_unready()
        run = await back(here)
        said = await here.says(run, "rolling back · ")
        assert "of the 5 min budget" in said
        assert "🔵" in said
        late = await here.says(run, "Roll back production still runs after", "late")
        for each in ("U0INES", "U0TOMAS", "Call the schedule ops-primary"):
            assert each in late
        here.let_ready()
        await here.ended_with(run, "Back on v2.1.0-slow in production")
        assert "🟢" in here.text(run)
        assert "of the 5 min budget" in here.text(run)
        here.nothing_was_said_twice(run)


async def test_a_second_rollback_goes_further_back_not_forth(here: Story):
    await here.deployed("v2.0.0")
    await here.deployed("v2.1.0-slow")
    first = await back(here)
    await here.ended_with(first, "Back on v2.0.0 in production")
    second = await back(here)
    await here.ended_with(second, "Back on v1.2.0 in production")
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}


async def test_a_failed_deploy_is_rolled_back_by_its_own_approval(here: Story):
    failed = await here.deployed("v2.1.0-bad", ends="stopped")
    await here.press(REQUESTER, "type-rollback", failed)
    await here.until(lambda: len(here.runs()) == 2, "the rollback's own run")
    run = here.runs()[-1]
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert "approval" not in here.said(run), "nobody was asked again"
    assert "approval:granted" in here.event_names(run)
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert here.environment().undecided is None
    assert "Tomas" in here.deployment("backend")["metadata"]["annotations"]["kubernetes.io/change-cause"]


async def test_a_lock_refuses_a_deploy_and_not_a_rollback(here: Story):
    await here.deployed("v2.0.0")
    await here.type(ON_CALL, '/omnicare lock --reason "clinic go-live"')
    await here.until(lambda: here.environment().freeze is not None, "production is locked")
    refused = await here.ask("deploy v2.1.0-slow")
    await here.says(refused, "Ines locked production: clinic go-live", "result")
    assert here.event_names(refused)[-1] == "run:failed"
    run = await here.ask("rollback", who=ON_CALL)
    await here.says(run, "passes Ines' lock" if "Ines' lock" in here.text(run, "plan") else "lock", "plan")
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert "lock is still in place" in here.text(run, "result")
    assert here.environment().freeze is not None


async def test_a_rollback_takes_the_place_of_a_run_that_goes_on(here: Story):
    await here.deployed("v2.0.0")
    slow = await here.rolling()
    run = await back(here)
    await here.ended_with(slow, "was overtaken by run")
    await here.ended_with(run, "Back on v2.0.0 in production")
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v2.0.0")}
    assert here.environment().run is None
    assert here.environment().undecided is None, "who took the place answered what it stopped"
    assert here.tag("frontend") == "v2.0.0"


async def test_going_back_to_a_named_release_is_approved_like_a_deploy(here: Story):
    await here.deployed("v2.0.0")
    await here.deployed("v2.1.0-slow")
    run = await here.ask("rollback --to v2.0.0")
    await here.press(REQUESTER, "approve", run)
    await here.whispered(REQUESTER, "You can't approve your own request")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "Back on v2.0.0 in production")


async def test_one_service_alone_goes_back(here: Story):
    await here.deployed("v2.0.0")
    run = await back(here, text="rollback backend")
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert here.tag("backend") == "v1.2.0"
    assert here.tag("frontend") == "v2.0.0"


async def test_going_back_after_one_service_went_back_alone_leads_to_what_ran_then(here: Story):
    await here.deployed("v2.0.0")
    run = await here.ask("rollback backend", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0")
    await here.deployed("v2.1.0-slow")
    run = await back(here)
    await here.ended_with(run, "Back on v1.2.0, v2.0.0 in production")
    assert {service: here.tag(service) for service in SERVICES} == {"backend": "v1.2.0", "frontend": "v2.0.0"}


async def test_a_rollback_that_was_planned_before_the_run_went_on_goes_all_the_way_with_one_confirmation(here: Story):
    """Planned while only the backend rolls, confirmed when the frontend does too: both go back to the release that was named."""
    await here.deployed("v2.0.0")
    slow = await here.rolling()
    run = await here.ask("rollback", who=ON_CALL)
    await here.shown("approve", run)
    here.keep_unready("frontend")
    here.let_ready()
    await here.until(lambda: here.tag("frontend") == "v2.1.0-slow", "the frontend is rolling")
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(slow, "was overtaken by run")
    await here.ended_with(run, "Back on v2.0.0 in production")
    assert {here.tag(service) for service in SERVICES} == {"v2.0.0"}
    assert here.environment().run is None
    assert here.event_names(run).count("approval:asked") == 1
    assert here.event_names(run).count("approval:granted") == 2, "of the larger plan it is noted that the yes covers it"


async def test_a_rollback_that_is_withdrawn_while_it_asks_again_gives_the_place_back(here: Story):
    await here.deployed("v2.0.0")
    slow = await here.rolling()
    run = await here.ask("rollback", who=ON_CALL)
    await here.shown("approve", run)
    here.world.cluster.set_image("omnicare-prod", "frontend", "ghcr.io/omnicare/frontend:v1.1.0")
    await here.press(ON_CALL, "approve", run)
    await here.says(run, "The plan changed meanwhile", "approval")
    assert here.environment().run is not None, "the place is kept while it asks once more"
    await here.press(ON_CALL, "more", run)
    ending = await here.says(run, "Ines withdrew", "result")
    await here.until(lambda: here.environment().run is None, "the place is free")
    left = here.environment().undecided
    assert left is not None
    overtaken = f"Deploy v2.1.0-slow to production was overtaken by run {short_id(run)}"
    assert (left.run, left.title) == (slow, overtaken)
    assert f"production is undecided: {overtaken}." in ending
    assert "undecided" in await here.answer(ON_CALL, "status")
    planned = await here.ask("deploy v2.1.0-slow")
    assert overtaken in await here.says(planned, "The environment is undecided since", "plan")
    await here.press(REQUESTER, "more", planned)
    await here.says(planned, "Maya withdrew", "result")
    await here.type(ON_CALL, f'/omnicare resolve {slow} --reason "the slow one stays"')
    await here.whispered(ON_CALL, "stays as it is: the slow one stays")
    assert here.environment().undecided is None


async def test_a_rollback_that_is_overtaken_before_it_runs_leaves_undecided_what_it_stopped(here: Story):
    """The second takes the place from one that only asks: what has changed something is still the deploy."""
    await here.deployed("v2.0.0")
    slow = await here.rolling()
    first = await here.ask("rollback", who=ON_CALL)
    await here.shown("approve", first)
    here.world.cluster.set_image("omnicare-prod", "frontend", "ghcr.io/omnicare/frontend:v1.1.0")
    await here.press(ON_CALL, "approve", first)
    await here.says(first, "The plan changed meanwhile", "approval")
    left = here.environment().undecided
    assert left is not None
    assert left.run == slow
    second = await back(here, who=REQUESTER)
    await here.ended_with(second, "Back on v2.0.0 in production")
    assert here.environment().undecided is None


async def test_what_the_pods_said_is_one_button_away_after_they_went(here: Story):
    failed = await here.deployed("v2.1.0-crash", ends="stopped")
    run = await back(here)
    await here.ended_with(run, "Back on v1.2.0 in production")
    assert here.button("type-evidence", failed) is not None
    await here.press(ON_CALL, "type-evidence", run)
    told = await here.answered("Saved with Roll back production")
    assert "v2.1.0-crash" in told
    assert "log lines" in told


async def test_who_may_not_read_logs_reads_no_evidence(here: Story):
    await here.deployed("v2.0.0")
    run = await back(here)
    await here.ended_with(run, "Back on v1.2.0 in production")
    await here.type(AUDITOR, f"/omnicare evidence {run}")
    await here.whispered(AUDITOR, "logs:read")


async def test_two_who_go_back_from_the_same_thing_do_not_go_forth_to_it_again(here: Story):
    """The second yes comes while the first rollback goes on: that one is left alone, for the second's plan is no longer so."""
    await here.deployed("v2.0.0")
    first, second = await here.ask("rollback", ON_CALL), await here.ask("rollback", REQUESTER)
    await here.shown("approve", second)
    await here.press(ON_CALL, "approve", first)
    await here.until(lambda: here.tag("backend") == "v1.2.0", "the first goes back")
    await here.press(REQUESTER, "approve", second)
    await here.ended_with(first, "Back on v1.2.0 in production")
    await here.until(
        lambda: "🟡" not in here.text(second, "approval") or "The plan changed" in here.text(second, "approval"),
        "asked anew",
    )
    assert "to v2.0.0" not in here.text(second, "plan") + here.text(second, "result")
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert [each.verdict for each in here.releases() if each.version == "v2.0.0"] == ["bad"]


async def test_two_who_confirm_in_the_same_moment_go_back_once(here: Story):
    await here.deployed("v2.0.0")
    runs = [await here.ask("rollback", ON_CALL), await here.ask("rollback", REQUESTER)]
    for run in runs:
        await here.shown("approve", run)
    await asyncio.gather(here.press(ON_CALL, "approve", runs[0]), here.press(REQUESTER, "approve", runs[1]))
    await here.until(
        lambda: any("Back on v1.2.0" in here.text(run, "result") for run in runs), "one of them has gone back"
    )
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert not any("to v2.0.0" in here.text(run, "plan") for run in runs)


async def test_a_rollback_after_one_that_failed_goes_where_that_one_went(here: Story):
    """And not forth to what it left, which was good until then."""
    await here.deployed("v2.0.0")
    await here.deployed("v2.1.0-slow")
    await here.world.play(BY_NAME["quota"])
    failed = await back(here)
    await here.says(failed, "stopped at Roll back all services", "result")
    again = await here.ask("rollback", who=REQUESTER)
    await here.says(again, "Roll back production to v2.0.0", "plan")


async def test_a_second_rollback_soon_after_the_first_says_that_it_goes_further(here: Story):
    await here.deployed("v2.0.0")
    await here.deployed("v2.1.0-slow")
    await here.ended_with(await back(here), "Back on v2.0.0")
    second = await here.ask("rollback", who=REQUESTER)
    await here.says(second, "This goes further back", "plan")


async def test_a_rollback_locks_until_somebody_unlocks_and_a_refused_deploy_can_be_retried_again_and_again(
    tmp_path: Path,
):
    async with story(tmp_path / "world", parts=("lock",)) as here:
        await here.inside()
        await here.deployed("v2.0.0")
        run = await back(here)
        await here.ended_with(run, "Back on v1.2.0 in production")
        assert "production is locked afterwards" in here.text(run, "plan")
        assert "backend and frontend v2.0.0 → v1.2.0" in here.text(run)
        lock = here.environment().freeze
        assert lock is not None
        assert (lock.name, lock.reason) == ("Ines", f"rolled back from v2.0.0 (run {short_id(run)})")
        assert f"production is locked (Ines: {lock.reason})" in here.text(run, "result")
        unlock = here.button_named("Unlock")

        refused = await here.ask("deploy v2.0.0")
        said = await here.says(refused, "production has been locked since Ines's rollback", "result")
        assert "unlock --env production" in said
        await here.type(REQUESTER, f"/omnicare retry {refused}")
        still = await here.until(lambda: next(iter(set(here.runs()) - {run, refused, here.runs()[0]}), None), "a retry")
        await here.says(still, "locked since", "result")

        adopt = await here.ask("releases adopt")
        await here.press(APPROVER, "approve", adopt)
        await here.ended_with(adopt, "v1.2.0 is recorded as a good release of production")
        assert here.environment().freeze == lock

        further = await here.ask("rollback --to v1.1.0")
        await here.says(further, "It does not stop a rollback", "plan")
        await here.press(APPROVER, "deny", further)

        await here.click(ON_CALL, unlock)
        await here.answered("Ines unlocked production")
        known = set(here.runs())
        await here.type(REQUESTER, f"/omnicare retry {refused}")
        again = await here.until(lambda: next(iter(set(here.runs()) - known), None), "another retry")
        await here.press(APPROVER, "approve", again)
        await here.ended_with(again, "v2.0.0 runs in production")
        await here.type(REQUESTER, f"/omnicare retry {refused}")
        await here.whispered(REQUESTER, "was already retried")
