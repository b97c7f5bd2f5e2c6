"""Going back while the home region's cluster, which has the record, does not answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands.kit.registry import load
from runbooks.fleet.fleet import Lease, utc_now
from sandbox.cluster.resources import CONFIG_MAP
from sandbox.regions import RegionServer
from tests.support.standing import stands
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, SERVICES, Story, story

REGIONS = ("eu", "us")


@pytest.fixture
def patience() -> float:
    """Seconds that a rollback tries to reach a region."""
    return 20.0


@pytest.fixture
async def here(tmp_path: Path, patience: float) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", regions=REGIONS, times={"region_patience": patience}) as made:
        await made.inside()
        yield made


def home_of(here: Story) -> RegionServer:
    assert here.world.home is not None
    return here.world.home


def tags(here: Story, region: str = "") -> set[str]:
    return {here.tag(service, region=region) for service in SERVICES}


async def asked_by_button(here: Story, before: str, slot: str) -> str:
    """Press what a rollback offers that can't read the record; the run that it asks for."""
    await here.says(before, "rollback --without-record --env production", slot)
    known = set(here.runs())
    await here.click(ON_CALL, here.button_named("Roll back without the record"))
    return await here.until(lambda: next(iter(set(here.runs()) - known), ""), "the other request")


async def test_the_other_region_goes_back_and_the_record_learns_of_it_when_home_is_back(here: Story):
    await here.deployed("v2.0.0")
    await home_of(here).go_down()
    waits = await here.ask("rollback", who=ON_CALL)
    run = await asked_by_button(here, waits, "head")
    assert "the cluster has not answered for" in here.text(waits, "head")
    assert not here.text(waits, "result"), "it is offered while home is still tried"
    plan = await here.says(run, "the bot does not know which release is good", "plan")
    assert "When it answers again: " in plan
    assert "kubectl --context eu set image deployment/backend" in plan
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production, but not in eu")
    assert (tags(here), tags(here, "us")) == ({"v2.0.0"}, {"v1.2.0"})
    result = here.text(run, "result")
    assert "not recorded yet" in result
    assert "rollback --regions eu --env production" in result
    assert here.environment().freeze is None

    await home_of(here).come_back()
    told = await here.says(run, "is up to date again", "record")
    assert "production is undecided: Back on v1.2.0 in production, but not in eu." in told
    record = here.environment()
    assert record.run is None
    assert record.undecided is not None
    assert record.undecided.run == run
    assert record.freeze is not None
    assert record.freeze.run == run
    known = [(each.version, each.regions, each.verdict) for each in here.releases()]
    assert known == [("v1.2.0", ("us",), "unproven"), ("v2.0.0", (), "bad")]
    assert here.event_names(run)[-2:] == ["run:succeeded", "record:written"]
    locked = await here.ask("deploy v2.0.0")
    await here.says(locked, "without the record", "result")

    later = await here.ask("rollback --regions eu", who=ON_CALL)
    await here.press(ON_CALL, "approve", later)
    await here.ended_with(later, "Back on v1.2.0 in production")
    assert tags(here) == {"v1.2.0"}
    assert here.environment().undecided is None


async def test_a_run_that_is_under_way_when_home_is_lost_is_replaced(here: Story):
    await here.deployed("v2.0.0")
    here.world.regions["us"].cluster.faults.unready.add("/backend:v1.2.0")
    stuck = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", stuck)
    await here.until(lambda: here.tag("backend", region="us") == "v1.2.0", "us goes back")
    await home_of(here).go_down()
    run = await here.ask("rollback --to v1.1.0 --without-record", who=REQUESTER)
    await here.says(run, "because you named it", "plan")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "Back on v1.1.0 in production, but not in eu")
    await here.says(stuck, "was overtaken by", "result")
    assert tags(here, "us") == {"v1.1.0"}
    await home_of(here).come_back()
    await here.says(run, "is up to date again", "record")
    assert (here.environment().run, here.releases()[0].version) == (None, "v1.1.0")


@pytest.mark.parametrize("patience", [2.0])
async def test_a_version_that_a_run_went_back_from_is_skipped_unless_it_is_named(here: Story):
    await here.deployed("v2.0.0")
    first = await here.ask("rollback --regions us", who=ON_CALL)
    await here.press(ON_CALL, "approve", first)
    await here.ended_with(first, "Back on v1.2.0 in production")
    other = await here.ask("rollback --regions eu", who=ON_CALL)
    await here.shown("approve", other)
    assert "This goes further back." not in here.text(other, "plan")
    await home_of(here).go_down()
    run = await here.ask("rollback --without-record", who=ON_CALL)
    plan = await here.says(run, "Skipped: v2.0.0 (left by run ", "plan")
    assert "Roll back production (us only) to v1.1.0" in plan
    named = await here.ask("rollback --to v2.0.0 --without-record", who=ON_CALL)
    plan = await here.says(named, "v2.0.0 was marked bad (left by run ", "plan")
    assert "Skipped" not in plan


@pytest.mark.parametrize("patience", [2.0])
async def test_a_rollback_whose_home_is_lost_before_its_lease_offers_to_go_on_without(here: Story):
    await here.deployed("v2.0.0")
    before = await here.ask("rollback", who=ON_CALL)
    await here.shown("approve", before)
    await home_of(here).go_down()
    await here.press(ON_CALL, "approve", before)
    run = await asked_by_button(here, before, "result")
    await here.shown("approve", run)
    await home_of(here).come_back()
    await here.press(ON_CALL, "approve", run)
    await here.says(run, "The record of production can be read", "result")
    assert tags(here, "us") == {"v2.0.0"}


def test_only_a_rollback_goes_on_without_the_record():
    found = {spec.name for spec in load() if spec.parameter("without_record") is not None}
    assert found == {"rollback"}


async def two_asked(here: Story) -> tuple[str, str]:
    """Two rollbacks without the record, of which the first waits for its approval."""
    await here.deployed("v2.0.0")
    await home_of(here).go_down()
    first = await here.ask("rollback --without-record", who=ON_CALL)
    await here.shown("approve", first)
    second = await here.ask("rollback backend --without-record", who=REQUESTER)
    return first, second


async def test_nothing_else_begins_beside_it(here: Story):
    first, second = await two_asked(here)
    await here.shown("approve", second)  # one that waits for its approval holds nobody up
    here.world.regions["us"].cluster.faults.unready.add("/backend:v1.2.0")
    await here.press(ON_CALL, "approve", first)
    await here.until(lambda: here.tag("backend", region="us") == "v1.2.0", "us goes back")
    await home_of(here).come_back()
    await here.press(ON_CALL, "approve", second)
    await here.says(second, "is already rolling production back without the record", "result")
    third = await here.ask("rollback", who=REQUESTER)
    await here.says(third, "is already rolling production back without the record", "result")
    waits = await here.ask("deploy v1.1.0")
    await here.says(waits, "waiting for Ines: Roll back production without the record")
    here.world.regions["us"].cluster.let_ready("/backend:v1.2.0")
    await here.ended_with(first, "Back on v1.2.0 in production, but not in eu")
    await here.says(waits, "without the record", "result")  # locked by it
    await here.says(first, "is up to date again", "record")
    said = [slot for slot in here.said(first) if slot in ("result", "record")]
    assert said == ["result", "record"], "home answered before the run had told how it ended"


async def test_of_two_that_are_confirmed_at_the_same_moment_one_goes_back(here: Story):
    first, second = await two_asked(here)
    await here.shown("approve", second)
    await asyncio.gather(*(here.press(ON_CALL, "approve", run) for run in (second, first)))
    await here.until(lambda: here.tag("backend", region="us") == "v1.2.0", "us goes back")


async def test_one_that_looked_before_the_other_began_goes_back_alone(here: Story):
    first, second = await two_asked(here)
    await here.press(ON_CALL, "approve", second)
    await stands(here, second, "starting")
    await here.press(ON_CALL, "approve", first)  # the second one takes a while to begin: home does not answer
    await here.ended_with(second, "Back on v1.2.0 in production, but not in eu")
    await here.says(first, "is already rolling production back without the record", "result")
    assert not here.text(first, "progress"), "it never ran"


async def test_a_time_to_come_in_the_record_keeps_nothing_from_being_recorded(here: Story):
    """Anybody who may edit the record may write one."""
    await here.deployed("v2.0.0")
    await home_of(here).go_down()
    run = await here.ask("rollback --without-record", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production, but not in eu")
    store, never = here.world.cluster.store, "2999-01-01T00:00:00+00:00"
    found = store.get(CONFIG_MAP, "omnicare-bot", "environment-production")
    assert found is not None
    left = {"run": "production.deploy.ofanotherbot1", "title": "Deploy v3.0.0", "since": never}
    store.put(CONFIG_MAP, {**found, "data": {**found["data"], "undecided": json.dumps(left)}})
    releases = store.get(CONFIG_MAP, "omnicare-bot", "releases-production")
    assert releases is not None
    known = json.loads(releases["data"]["releases"])
    forged = {**known[0], "version": "v3.0.0", "run": "production.deploy.ofanotherbot1", "at": never}
    store.put(CONFIG_MAP, {**releases, "data": {**releases["data"], "releases": json.dumps([forged, *known])}})
    await home_of(here).come_back()
    await here.says(run, "is up to date again", "record")
    assert here.environment().freeze is not None


async def test_a_record_that_moved_on_meanwhile_is_left_as_it_is(here: Story):
    await here.deployed("v2.0.0")
    await home_of(here).go_down()
    run = await here.ask("rollback --without-record", who=ON_CALL)
    await here.press(ON_CALL, "approve", run)
    await here.ended_with(run, "Back on v1.2.0 in production, but not in eu")
    other = Lease(
        run="production.deploy.ofanotherbot1", title="Deploy v3.0.0 lopez@example.com", by="Maya", since=utc_now()
    )
    found = here.world.cluster.store.get(CONFIG_MAP, "omnicare-bot", "environment-production")
    assert found is not None
    data = {**found["data"], "run": json.dumps(other.model_dump())}
    here.world.cluster.store.put(CONFIG_MAP, {**found, "data": data})
    await home_of(here).come_back()
    await here.says(run, "was left as it is", "record")
    assert here.environment().run == other
    assert here.environment().freeze is None
    assert [each.version for each in here.releases()] == ["v2.0.0"]
    (left,) = [event for event in here.events(run) if event.name == "record:left"]
    assert left.reason == "Deploy v3.0.0 [e-mail 1] (run OFAN) has the lease there now."
    kept = b"".join(path.read_bytes() for path in (here.world.folder / "state").glob("*.sqlite*"))
    assert b"lopez@example.com" not in kept
