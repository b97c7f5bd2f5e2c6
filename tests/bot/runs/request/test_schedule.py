"""`deploy --at`: approved now, started at its time at somebody's go, or not at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sandbox.people import DEPLOYS
from tests.support.terminals import omnicare
from tests.support.worlds import APPROVER, ON_CALL, OUTSIDER, REQUESTER, SERVICES, Story

VERSION = "v2.0.0"
SOON, LATER = 10.0, 3600.0
"""Seconds ahead: within a test, and not within it."""


def at(seconds: float) -> str:
    """That far ahead, as it is typed."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def timed(world: Story, **times: float) -> None:
    world.configure(lambda document: document["times"].update(times))


async def scheduled(here: Story, seconds: float, more: str = "") -> str:
    """Asked for, approved, and waiting for its time."""
    run = await here.ask(f"deploy {VERSION} --at {at(seconds)}{more}")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "waiting until")
    return run


def untouched(here: Story) -> None:
    assert {here.tag(service) for service in SERVICES} == {"v1.2.0"}
    assert here.environment().run is None
    assert here.chain_holds()


async def test_it_waits_for_its_time_and_for_a_go_and_then_runs(world: Story):
    timed(world, go_before=LATER)
    await world.inside()
    run = await scheduled(world, SOON)
    card = await world.says(run, "Go or no-go: Deploy v2.0.0 to production", "go")
    assert "U0MAYA" in card
    assert "U0INES" in card  # on call
    assert "U0TOMAS" not in card  # he approves, and need not wake up
    assert world.environment().run is None, "it holds no place while it waits"
    await world.press(REQUESTER, "go", run)
    await world.says(run, "Its plan is made again then", "go")
    assert "run:started" not in world.event_names(run)
    await world.ended_with(run, "v2.0.0 runs in production")
    names = [name for name in world.event_names(run) if name.startswith(("approval", "go", "run"))]
    assert names == [
        "run:requested", "run:planned", "approval:asked", "approval:given", "approval:granted",
        "run:scheduled", "go:asked", "go:given", "run:started", "run:succeeded",
    ]  # fmt: skip
    (started,) = [event.at for event in world.events(run) if event.name == "run:started"]
    (appointed,) = [event.details["at"] for event in world.events(run) if event.name == "run:scheduled"]
    assert started >= datetime.fromisoformat(appointed)
    await world.until(lambda: world.button("no-go", run) is None, "nothing is left to press")
    world.nothing_was_said_twice(run)
    world.nothing_is_written_twice(run)


async def test_with_no_go_it_expires_and_nothing_was_started(world: Story):
    timed(world, go_before=LATER, go_grace=3.0)
    await world.inside()
    run = await scheduled(world, SOON)
    reminder = await world.says(run, "nobody has said go", "reminder-go")
    assert "U0MAYA" in reminder
    assert "U0INES" in reminder
    await world.says(run, "expired: nobody said go, so nothing was started", "result")
    await world.says(run, "Expired: nobody said go", "go")
    assert world.button("go", run) is None
    assert world.event_names(run)[-1] == "run:expired"
    untouched(world)
    world.nothing_was_said_twice(run)
    before = set(world.runs())
    await world.type(REQUESTER, f"/omnicare retry {run}")
    (again,) = await world.until(lambda: set(world.runs()) - before, "it is asked for once more")
    await world.says(again, "Approval by Tomas or Ines", "approval")  # that was for another time
    await world.press(APPROVER, "approve", again)
    await world.ended_with(again, "v2.0.0 runs in production")


async def test_a_go_after_its_time_and_within_the_grace_starts_it_at_once(world: Story):
    timed(world, go_before=LATER)
    await world.inside()
    run = await scheduled(world, SOON)
    (appointed,) = [event.details["at"] for event in world.events(run) if event.name == "run:scheduled"]
    over = datetime.fromisoformat(appointed) + timedelta(seconds=0.5)
    await world.until(lambda: datetime.now(UTC) > over, "its time is over")
    assert "run:started" not in world.event_names(run)
    await world.type(ON_CALL, f"/omnicare go {run}")
    await world.ended_with(run, "v2.0.0 runs in production")


async def test_a_no_go_ends_it_and_counts_after_a_go_too(world: Story):
    timed(world, go_before=2 * LATER)
    await world.inside()
    run = await scheduled(world, LATER)
    await world.press(REQUESTER, "go", run)
    await world.says(run, "Its plan is made again then", "go")
    await world.type(ON_CALL, f'/omnicare no-go {run} --reason "the night shift is short of people"')
    await world.says(run, "No-go by Ines: Deploy v2.0.0 to production: the night shift is short of people", "result")
    await world.says(run, "No-go by Ines", "go")
    assert world.event_names(run)[-1] == "go:refused"
    await world.type(ON_CALL, f"/omnicare retry {run}")
    await world.whispered(ON_CALL, "did not fail")
    untouched(world)


async def test_nobody_but_who_asked_and_who_is_on_call_says_go_or_no_go(world: Story):
    timed(world, go_before=2 * LATER)
    await world.inside()
    run = await scheduled(world, LATER)
    for who, words in ((APPROVER, "rollout:go"), ("noor", "rollout:go"), (OUTSIDER, "not listed")):
        for act in ("go", "no-go"):
            await world.press(who, act, run)
            await world.whispered(who, words)
    assert not {"go:given", "go:refused"} & set(world.event_names(run))
    await world.says(run, "waiting until")
    untouched(world)


async def test_it_is_too_early_for_a_go_and_never_for_a_no_go(here: Story):
    run = await scheduled(here, LATER)
    await here.type(REQUESTER, f"/omnicare go {run}")
    await here.whispered(REQUESTER, "It is too early: run")
    assert here.said(run).get("go") is None
    await here.type(ON_CALL, f"/omnicare no-go {run}")
    await here.says(run, "No-go by Ines", "result")
    untouched(here)


@pytest.mark.parametrize(
    ("who", "act", "said", "event"),
    [
        (REQUESTER, "withdraw", "Maya withdrew", "run:withdrawn"),
        (REQUESTER, "cancel", "was stopped by Maya before it started", "run:cancelled"),
        (APPROVER, "cancel", "was stopped by Tomas before it started", "run:cancelled"),
    ],
)
async def test_while_it_waits_it_can_be_taken_back(here: Story, who: str, act: str, said: str, event: str):
    run = await scheduled(here, LATER)
    await here.type(who, f"/omnicare {act} {run}")
    await here.says(run, said, "result")
    await here.says(run, "⚪")
    assert here.event_names(run)[-1] == event
    untouched(here)


async def test_plan_and_approval_say_the_time_in_full(here: Story):
    night = datetime.now(UTC) + timedelta(days=2)
    run = await here.ask(f"deploy {VERSION} --at {night:%Y-%m-%d}T02:00+01:00")
    plan = await here.says(run, "UTC+01:00", "plan")
    assert f"{night:%A} {night.day} {night:%B %Y}, 02:00 UTC+01:00" in plan
    assert "if nobody says go by" in plan
    await here.says(run, "The approval is valid until", "approval")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "waiting until 02:00 UTC+01:00")
    assert "Waits until" in await here.answer(REQUESTER, f"runs {run}", "Waits until")
    await here.answer(REQUESTER, "runs", "🟡 waiting until")
    assert "waiting until " in await here.answer(REQUESTER, "status", f"go {run.rpartition('.')[2][:4].upper()}")


async def test_a_time_of_day_is_that_of_who_asks(here: Story):
    here.slack.people["U0MAYA"] = replace(here.slack.people["U0MAYA"], tz="Asia/Tokyo")
    hour = 2 if datetime.now(ZoneInfo("Asia/Tokyo")).hour not in (1, 2) else 5  # not one that is about to pass
    run = await here.ask(f"deploy {VERSION} --at 0{hour}:00")
    await here.says(run, f"0{hour}:00 UTC+09:00", "plan")
    await here.press(APPROVER, "approve", run)
    await here.says(run, f"waiting until 0{hour}:00 UTC+09:00")
    twin = await here.type(REQUESTER, f"/omnicare deploy {VERSION} --at {hour}:00")
    assert twin.ok
    await here.whispered(REQUESTER, "Already requested: ")
    assert here.runs() == [run]


async def test_what_was_locked_meanwhile_does_not_start(world: Story):
    timed(world, go_before=LATER)
    await world.inside()
    run = await scheduled(world, SOON)
    await world.type(ON_CALL, '/omnicare lock --reason "the interface engine is down"')
    await world.press(REQUESTER, "go", run)
    await world.says(run, "Ines locked production: the interface engine is down", "result")
    untouched(world)


async def test_where_the_plan_has_changed_it_asks_again_and_does_not_start_by_itself(world: Story):
    timed(world, go_before=LATER)
    await world.inside()
    run = await scheduled(world, SOON, ' --reason "the slow one is too slow"')
    other = await world.ask("deploy v2.1.0-slow")
    await world.press(APPROVER, "approve", other)
    await world.ended_with(other, "v2.1.0-slow runs in production")
    await world.press(REQUESTER, "go", run)
    await world.says(run, "The plan changed meanwhile", "approval")
    assert {world.tag(service) for service in SERVICES} == {"v2.1.0-slow"}
    assert "run:started" not in world.event_names(run)
    await world.press(APPROVER, "approve", run)
    await world.ended_with(run, "v2.0.0 runs in production")
    assert world.event_names(run).count("go:asked") == 1


async def test_who_may_not_approve_any_more_by_then_has_not_approved_it(world: Story):
    timed(world, go_before=LATER)
    await world.inside()
    run = await scheduled(world, SOON)
    await world.leave()
    world.configure(lambda document: document["people"]["tomas"].update(roles=["dba"]))
    await world.inside()
    await world.press(REQUESTER, "go", run)
    await world.says(run, "may no longer approve it", "approval")
    untouched(world)
    assert "run:started" not in world.event_names(run)
    await world.press(ON_CALL, "approve", run)
    await world.ended_with(run, "v2.0.0 runs in production")
    assert world.event_names(run).count("go:asked") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024-01-01T02:00", "is in the past"),
        ("2999-01-01T02:00", "more than 7 days ahead"),
        ("25:00", "is not a time"),
        ("tomorrow", "is not a time"),
        ("2026-02-30T02:00", "is not a valid date"),
    ],
)
async def test_a_time_that_can_not_be_is_refused(here: Story, text: str, words: str):
    await here.type(REQUESTER, f"/omnicare deploy {VERSION} --at {text}", DEPLOYS)
    await here.whispered(REQUESTER, words)
    assert here.runs() == []


async def test_a_lock_that_is_over_by_then_keeps_nobody_from_planning_it(here: Story):
    await here.answer(ON_CALL, 'lock --until 30m --reason "clinic go-live"', "locked production")
    run = await scheduled(here, LATER)
    refused = await here.ask(f"deploy {VERSION} --at {at(60.0)}")
    await here.says(refused, "Ines locked production", "result")
    await here.type(REQUESTER, f"/omnicare withdraw {run}")
    await here.says(run, "Maya withdrew", "result")


async def test_an_approval_is_not_waited_for_longer_than_it_could_start(world: Story):
    timed(world, go_before=LATER, go_grace=1.0)
    await world.inside()
    run = await world.ask(f"deploy {VERSION} --at {at(SOON)}")
    await world.says(run, "nobody decided in time", "result")
    untouched(world)


def test_nothing_here_is_about_going_back() -> None:
    from commands.kit import registry

    found: dict[str, Any] = {spec.name: spec.parameter("at") for spec in registry.load()}
    assert found["deploy"] is not None
    assert found["rollback"] is None


async def test_from_a_terminal_the_time_is_that_of_its_clock(world: Story):
    timed(world, go_before=2 * LATER)
    await world.inside()
    ahead = datetime.now().astimezone() + timedelta(seconds=LATER)
    status, told = await omnicare(
        world.config, "--as", "maya", "--no-follow", "deploy", VERSION, "--at", f"{ahead:%H:%M}"
    )
    assert status == 0, told
    (run,) = await world.until(world.runs, "it is asked for")
    assert f"{ahead:%A} {ahead.day} {ahead:%B %Y}, {ahead:%H:%M} UTC" in await world.says(run, "Starts", "plan")
    status, told = await omnicare(world.config, "--as", "tomas", "approve", run)
    assert status == 0, told
    await world.says(run, f"waiting until {ahead:%H:%M}")
    status, told = await omnicare(world.config, "--as", "ines", "runs", run)
    assert "Waits until" in told
    status, told = await omnicare(world.config, "--as", "tomas", "go", run)
    assert status == 3, told
    status, told = await omnicare(world.config, "--as", "ines", "go", run)
    assert status == 0, told
    await world.says(run, "Its plan is made again then", "go")
    status, told = await omnicare(world.config, "--as", "maya", "no-go", run)
    assert status == 0, told
    await world.says(run, "No-go by Maya", "result")
    untouched(world)
