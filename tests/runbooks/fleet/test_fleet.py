"""The fleet's record: one place for one run, locks, releases, heads; also when several write at once."""

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from runbooks.fleet.fleet import (
    KEPT_RELEASES,
    EnvironmentRecord,
    Freeze,
    KeptHead,
    Lease,
    Measured,
    Release,
    ReleasedService,
    Undecided,
    utc_now,
)
from runbooks.fleet.records import KEPT_HEADS, environment_from, measured_from, releases_data, releases_from
from runbooks.fleet.signatures import Signature
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from tests.support.real import Place, image


def run(name: str) -> Lease:
    return Lease(run=name, title=f"Deploy by {name}", by="requester", since=utc_now())


def freeze(until: str | None = None) -> Freeze:
    return Freeze(person="approver", name="Approver", reason="clinic go-live", since=utc_now(), until=until)


def release(version: str, run_id: str = "run", verdict: str = "good") -> Release:
    services = (ReleasedService(service="backend", image=image("backend", version), revision=1),)
    made = {
        "version": version,
        "services": services,
        "run": run_id,
        "by": "requester",
        "at": utc_now(),
        "verdict": verdict,
    }
    return Release.model_validate(made)


async def test_one_of_many_runs_gets_the_place(here: Place):
    places = await asyncio.gather(*(here.fleet.take(here.environment, run(f"run-{n}")) for n in range(12)))
    winners = [place for place in places if place.taken]
    assert len(winners) == 1
    assert {place.holder for place in places} == {winners[0].holder}


async def test_taking_it_again_changes_nothing_and_only_its_holder_leaves_it(here: Place):
    fleet, where = here.fleet, here.environment
    assert (await fleet.take(where, run("one"))).taken
    assert (await fleet.take(where, run("one"))).taken
    assert not await fleet.leave(where, "two")
    assert await fleet.leave(where, "one")
    assert (await fleet.take(where, run("two"))).taken


async def test_a_lock_keeps_runs_out_until_it_runs_out(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.freeze(where, freeze())
    refused = await fleet.take(where, run("one"))
    assert not refused.taken
    assert refused.freeze is not None
    assert refused.freeze.reason == "clinic go-live"
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
    await fleet.freeze(where, freeze(until=past))
    assert (await fleet.take(where, run("one"))).taken


async def test_taking_over_passes_a_lock_and_takes_it_from_whom_it_was_read_to_have_it(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.take(where, run("one"))
    await fleet.freeze(where, freeze())
    holder = (await fleet.read(where)).run
    assert not await fleet.take_over(where, run("two"), of=None), "the place is not as it was read"
    assert await fleet.take_over(where, run("two"), of=holder)
    record = await fleet.read(where)
    assert record.run is not None
    assert (record.run.run, record.freeze is not None) == ("two", True)
    assert not await fleet.leave(where, "one")


async def test_whoever_waits_hears_when_the_place_is_free(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.take(where, run("one"))
    seen: list[EnvironmentRecord] = []
    heard = asyncio.Event()

    async def wait() -> None:
        async with aclosing(fleet.watch(where)) as records:
            async for record in records:
                seen.append(record)
                heard.set()
                if record.run is None:
                    return

    waiting = asyncio.create_task(wait())
    await heard.wait()
    await fleet.leave(where, "one")
    async with asyncio.timeout(60):
        await waiting
    assert seen[0].run is not None
    assert seen[-1].run is None


async def test_an_environment_without_a_record_is_told_at_once(here: Place):
    async with asyncio.timeout(60), aclosing(here.fleet.watch(here.environment)) as records:
        assert await anext(records) == EnvironmentRecord()


async def test_what_is_undecided_stays_until_somebody_decides(here: Place):
    fleet, where = here.fleet, here.environment
    undecided = Undecided(run="one", title="Deploy v2.0.0 stopped at Backend rollout", since=utc_now())
    await fleet.take(where, run("one"))
    assert await fleet.take_over(where, run("two"), of=(await fleet.read(where)).run, undecided=undecided)
    assert await fleet.take_over(where, run("two"), of=None), "taking it again changes nothing"
    assert await fleet.leave(where, "two")
    assert (await fleet.read(where)).undecided == undecided
    assert await fleet.decide(where) == undecided
    assert (await fleet.read(where)).undecided is None


async def test_a_migration_decides_only_what_a_migration_left(here: Place):
    fleet, where = here.fleet, here.environment
    for command, stays in (("deploy", True), ("migrate", False)):
        left = Undecided(run=f"production.{command}.0", title="It failed", since=utc_now())
        await fleet.take(where, run(left.run))
        await fleet.end(where, left.run, undecided=left)
        await fleet.take(where, run("production.migrate.1"))
        await fleet.end(where, "production.migrate.1", decided_of="migrate")
        assert ((await fleet.read(where)).undecided == left) is stays


async def test_the_newest_releases_are_kept_and_the_last_good_one_whatever_came_after(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.record_release(where, release("v1.0.0", "good"))
    for number in range(KEPT_RELEASES + 2):
        await fleet.record_release(where, release(f"v2.0.{number}", f"run-{number}", "bad"))
    kept = await fleet.releases(where)
    assert len(kept) == KEPT_RELEASES
    assert kept[0].version == f"v2.0.{KEPT_RELEASES + 1}"
    assert kept[-1].version == "v1.0.0"


async def test_recording_again_for_the_same_run_writes_it_once(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.record_release(where, release("v2.0.0"))
    await fleet.record_release(where, release("v2.0.0"))
    assert len(await fleet.releases(where)) == 1


async def test_a_version_is_marked_bad_also_when_it_never_ran_completely(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.record_release(where, release("v2.0.0"))
    assert await fleet.mark_bad(where, "v2.0.0", "left by run two") == 1
    assert await fleet.mark_bad(where, "v2.1.0", "left by run three") == 0
    verdicts = {r.version: (r.verdict, bool(r.services)) for r in await fleet.releases(where)}
    assert verdicts == {"v2.0.0": ("bad", True), "v2.1.0": ("bad", False)}


def head(book: str, number: int) -> KeptHead:
    return KeptHead(book=book, number=number, hash=f"{number:064x}", at="2026-05-04T18:00:00+00:00")


async def test_the_heads_of_each_audit_log_are_kept_and_an_older_one_is_not_put_behind_them(here: Place):
    fleet, where = here.fleet, here.environment
    kept: tuple[KeptHead, ...] = ()
    for number in range(1, KEPT_HEADS + 3):
        assert await fleet.keep_head(where, head("omnicare-0", number), kept)
        kept = (*kept, head("omnicare-0", number))[-KEPT_HEADS:]
    assert await fleet.keep_head(where, head("omnicare-0", 5), kept)
    assert await fleet.keep_head(where, head("book of two words", 1), ())
    assert await fleet.heads(where) == {"omnicare-0": kept, "book of two words": (head("book of two words", 1),)}


async def test_a_head_is_not_kept_beside_others_than_those_that_were_found(here: Place):
    fleet, where = here.fleet, here.environment
    await fleet.keep_head(where, head("omnicare-0", 7), ())
    assert not await fleet.keep_head(where, head("omnicare-0", 9), ())
    assert await fleet.heads(where) == {"omnicare-0": (head("omnicare-0", 7),)}


async def test_the_one_head_that_the_version_before_kept_is_read_and_stays_first(here: Place):
    fleet, where = here.fleet, here.environment
    old = head("omnicare-0", 7)
    text = old.model_dump_json(indent=2)
    await here.cluster.create_config_map(where.record_namespace, "book-heads", {"omnicare-0": text}, {})
    assert await fleet.keep_head(where, head("omnicare-0", 9), (old,))
    assert await fleet.heads(where) == {"omnicare-0": (old, head("omnicare-0", 9))}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{oops",
        "[]",
        "[{}]",
        '{"book":"omnicare-0"}',
        f"[{head('another', 7).model_dump_json()}]",
        f"[{head('omnicare-0', 9).model_dump_json()},{head('omnicare-0', 7).model_dump_json()}]",
    ],
)
async def test_kept_heads_that_can_not_be_read_are_said_to_be_and_not_written_over(here: Place, text: str):
    fleet, where = here.fleet, here.environment
    await here.cluster.create_config_map(where.record_namespace, "book-heads", {"omnicare-0": text}, {})
    for asked in (fleet.heads(where), fleet.keep_head(where, head("omnicare-0", 9), ())):
        with pytest.raises(PermanentError) as caught:
            await asked
        assert caught.value.code is ReasonCode.RECORD_UNREADABLE
    found = await here.cluster.config_map(where.record_namespace, "book-heads")
    assert found is not None
    assert found.data["omnicare-0"] == text


async def test_a_record_that_was_edited_into_nonsense_is_refused_not_guessed(here: Place):
    space = here.environment.record_namespace
    await here.cluster.create_config_map(space, "environment-production", {"run": "{oops"}, {})
    with pytest.raises(PermanentError) as caught:
        await here.fleet.take(here.environment, run("one"))
    assert caught.value.code is ReasonCode.RECORD_UNREADABLE


def test_a_lock_that_somebody_wrote_by_hand_without_a_zone_is_utc():
    """Else whatever looks at it would end by a bug, going back included."""
    by_hand = freeze(until="2026-05-04T18:00:00")
    assert by_hand.holds(datetime(2026, 5, 4, 17, 59, tzinfo=UTC))
    assert not by_hand.holds(datetime(2026, 5, 4, 18, 1, tzinfo=UTC))


def test_a_lock_whose_end_is_no_time_holds_until_it_is_taken_away_and_is_said():
    text = freeze().model_dump_json().replace('"until":null', '"until":"tomorrow"')
    record = environment_from({"freeze": text})
    assert record.freeze is not None
    assert record.freeze.holds(datetime(2100, 1, 1, tzinfo=UTC))
    assert record.warnings == ("In the fleet's record, `until` is not a valid time (in `freeze`), so it is unknown.",)


async def test_what_was_measured_counts_until_its_deploy_is_decided_or_recorded(here: Place):
    fleet, where = here.fleet, here.environment
    measured = Measured(version="v2.0.0", at=datetime.now(UTC) - timedelta(minutes=5), values={"sync": None})
    await fleet.keep_measured(where, measured)
    assert await fleet.measured(where, "v2.0.0") is None, "nothing is undecided"
    await fleet.take(where, run("one"))
    await fleet.end(where, "one", undecided=Undecided(run="one", title="Deploy v2.0.0 stopped", since=utc_now()))
    assert await fleet.measured(where, "v2.0.0") == measured
    assert await fleet.measured(where, "v2.1.0") is None, "another release was deployed then"
    await fleet.record_release(where, release("v2.0.0"))
    assert await fleet.measured(where, "v2.0.0") is None, "that deploy has ended"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "v2.0.0"}', '{"version": 1, "at": "now", "values": 2}'])
def test_a_measurement_that_can_not_be_read_is_none(text: str):
    assert measured_from({"last": text}) is None


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (Release, release("v2.0.0")),
        (ReleasedService, release("v2.0.0").services[0]),
        (Freeze, freeze()),
        (Lease, run("one")),
        (Undecided, Undecided(run="one", title="stopped", since=utc_now())),
        (Signature, Signature(version="v2.0.0", name="tested", person="ines", by="Ines", at=utc_now())),
    ],
)
def test_what_a_newer_version_wrote_is_read_without_the_fields_that_this_one_does_not_know(
    kind: type[BaseModel], entry: BaseModel
) -> None:
    newer = {**entry.model_dump(mode="json"), "invented": {"later": [1]}}
    assert kind.model_validate(newer) == entry


def test_a_new_field_is_written_only_where_it_says_something_so_a_version_before_reads_the_rest() -> None:
    """The version before this one refused what it did not know."""
    known = {"version", "services", "run", "by", "approved_by", "at", "verdict", "why", "seconds", "verification"}
    usual, alone = release("v1.2.0"), release("v2.0.0").model_copy(update={"unusual": ("--only backend",)})
    assert set(usual.model_dump()) == known
    data = releases_data((alone, usual), {}, unreadable=0)
    assert releases_from(data).releases == (alone, usual)
    assert [set(each) - known for each in json.loads(data["releases"])] == [{"unusual"}, set()]


@pytest.mark.parametrize(
    ("stood", "name", "reason"),
    [
        (None, "Ines", "rolled back"),
        (freeze(), "Approver", "clinic go-live"),
        (
            freeze("2100-01-01T00:00:00+00:00"),
            "Ines",
            "rolled back; Approver had locked it until 2100-01-01T00:00:00+00:00: clinic go-live",
        ),
        (freeze("2020-01-01T00:00:00+00:00"), "Ines", "rolled back"),
        (freeze().model_copy(update={"run": "an-older-one", "reason": "rolled back before"}), "Ines", "rolled back"),
    ],
)
async def test_a_rollback_locks_and_leaves_a_lock_that_somebody_else_has_to_end(
    here: Place, stood: Freeze | None, name: str, reason: str
):
    if stood is not None:
        await here.fleet.freeze(here.environment, stood)
    lock = Freeze(person="", name="Ines", reason="rolled back", since=utc_now(), run="one")
    found = await here.fleet.freeze_after(here.environment, lock)
    assert (found.name, found.reason, found.until) == (name, reason, None)
    assert (await here.fleet.read(here.environment)).freeze == found
