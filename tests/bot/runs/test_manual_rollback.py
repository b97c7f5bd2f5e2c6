"""Going back by itself, as approved; and by hand, where the bot can't or won't: the exact lines, digests included."""

from datetime import timedelta
from typing import Any, cast

from commands.kit.context import Actor
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.release.plans import plan_deploy
from sandbox.outside.registry import digest_of
from sandbox.scenarios import BY_NAME
from tests.support.shown import shown_text
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, OUTSIDER, REQUESTER, SERVICES, Story


def line(version: str = "v1.2.0") -> str:
    return f"deployment/backend backend=ghcr.io/omnicare/backend:{version}@{digest_of('backend', version)}"


async def by_itself(world: Story) -> None:
    world.configure(lambda document: document["environments"]["production"].update({"on_failure": "rollback"}))
    await world.inside()


async def test_a_deploy_that_fails_goes_back_by_itself_as_its_plan_said(world: Story):
    await by_itself(world)
    run = await world.ask("deploy v2.1.0-bad")
    await world.says(run, "it rolls back automatically to the last known good release", "plan")
    await world.press(APPROVER, "approve", run)
    await world.says(run, "A rollback follows automatically, as planned", "result")
    back = await world.until(lambda: next((each for each in world.runs() if each != run), ""), "the rollback")
    await world.ended_with(back, "Back on v1.2.0")
    assert "approval" not in world.said(back), "it was approved with the deploy"
    (requested,) = [event for event in world.events(back) if event.name == "run:requested"]
    assert (requested.actor, requested.details["follows"]) == ("maya", run)
    (granted,) = [event for event in world.events(back) if event.name == "approval:granted"]
    assert granted.details["covered_by"] == ["Tomas"]
    assert {world.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert world.environment().undecided is None
    world.nothing_is_written_twice(back)


async def test_what_a_person_stops_stays_as_they_said(world: Story):
    await by_itself(world)
    run = await world.ask("deploy v2.1.0-unready")
    await world.press(APPROVER, "approve", run)
    await world.until(lambda: world.tag("backend") == "v2.1.0-unready", "the backend is rolling")
    await world.stop_run(REQUESTER, run)
    await world.ended_with(run, "was stopped by Maya")
    assert world.runs() == [run]


async def test_an_approval_of_a_plan_that_goes_back_by_itself_is_another_one(world: Story):
    digests = []
    await world.inside()
    run = await world.ask("deploy v2.0.0")
    await world.says(run, "digest", "plan")
    digests.append(world.text(run, "plan"))
    await world.leave()
    await by_itself(world)
    again = await world.ask("deploy v2.0.0", who=ON_CALL)
    await world.says(again, "digest", "plan")
    first = {event.details["digest"] for event in world.events(run) if event.name == "run:planned"}
    second = {event.details["digest"] for event in world.events(again) if event.name == "run:planned"}
    assert first.isdisjoint(second)


async def test_a_rollback_that_fails_says_how_it_is_done_by_hand_and_whom_to_call(world: Story):
    world.configure(lambda document: document["environments"]["production"].update({"call": "the DBA on call, #dba"}))
    await world.inside()
    await world.deployed("v2.0.0")
    await world.world.play(BY_NAME["quota"])
    back = await world.ask("rollback", who=ON_CALL)
    await world.press(ON_CALL, "approve", back)
    await world.says(back, "stopped at Roll back all services", "result")
    result = world.text(back, "result")
    assert line() in result
    assert "Call the DBA on call, #dba" in result
    assert "serves backend: " in result
    assert "not touched" not in result
    for label in ("Retry", "Status", "Leave as is"):
        assert f'"{label}' in result


async def test_a_rollback_that_the_audit_log_keeps_from_starting_says_how_it_is_done_by_hand(here: Story):
    await here.deployed("v2.0.0")
    await here.bot.audit_log.close()
    await here.type(ON_CALL, "/omnicare rollback")
    told = shown_text(await here.whispered(ON_CALL, "The audit log can't be written"))
    assert line() in told
    assert "By hand, to roll back to v1.2.0" in told


async def test_who_may_look_and_not_go_back_is_told_how_it_is_done_by_hand_and_an_outsider_is_not(here: Story):
    await here.deployed("v2.0.0")
    await here.type(AUDITOR, "/omnicare rollback")
    assert line() in shown_text(await here.whispered(AUDITOR, "You may not"))
    await here.type(OUTSIDER, "/omnicare rollback")
    assert "kubectl" not in shown_text(await here.whispered(OUTSIDER, "not listed"))


async def test_the_way_back_is_known_when_the_cluster_no_longer_answers(here: Story):
    await here.deployed("v2.0.0")
    manual_rollbacks = here.bot.durable.manual_rollbacks
    known = await manual_rollbacks.of("production")
    assert known is not None
    assert known.version == "v1.2.0"

    def silent(*_: object, **__: object) -> object:
        raise TemporaryError("The cluster does not answer.", code=ReasonCode.CLUSTER_UNREACHABLE)

    later = known.found + timedelta(minutes=7)
    manual_rollbacks._context, manual_rollbacks._clock = cast("Any", silent), lambda: later
    assert await manual_rollbacks.of("production") == known
    assert known.told(later) == "By hand, to roll back to v1.2.0, as known 7 min ago:"
    assert await manual_rollbacks.of("nowhere") is None


async def test_what_a_run_changed_is_undone_by_lines_that_lead_back_from_it_though_nothing_answers_since(here: Story):
    await here.deployed("v2.0.0")
    durable = here.bot.durable
    context = durable.context(Actor(key="bot", name="OmniCare", surface="bot"), "production")
    forth = await plan_deploy(context.cluster, context.registry, context.fleet, context.where, "v1.1.0")
    manual_rollbacks = durable.manual_rollbacks
    before = await manual_rollbacks.of("production")
    assert before is not None
    assert before.version == "v1.2.0"

    def silent(*_: object, **__: object) -> object:
        raise TemporaryError("The cluster does not answer.", code=ReasonCode.CLUSTER_UNREACHABLE)

    manual_rollbacks._context = cast("Any", silent)
    undo = [undo for step in forth.steps if (undo := step.undo_by_hand())]
    await manual_rollbacks.changed("production", undo)
    known = await manual_rollbacks.of("production")
    assert known is not None
    assert known.version == "v2.0.0"
    assert any(digest_of("backend", "v2.0.0") in each for each in known.lines)
    await manual_rollbacks.changed("production", ())
    assert await manual_rollbacks.of("production") is None, "what led back from what runs no more is forgotten"
