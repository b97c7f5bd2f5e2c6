"""Backups: how good they are, a snapshot once only, and instances that are restored without touching what is there."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from runbooks.backups.looking import Backups, BackupSettings, judge_configuration, judge_restore, judge_snapshot, look
from runbooks.backups.plans import plan_drill, plan_part, plan_restore
from runbooks.backups.steps import BackUp, EndDrill, Restored, RestoreSnapshot, StartDrill, counted_as, named, read_as
from runbooks.clients.aws.bucket import ObjectState
from runbooks.clients.aws.rds import InstanceState, SnapshotState
from runbooks.clients.postgres.table_counts import TableCount
from runbooks.fleet.fleet import Fleet, ProvenRestore
from runbooks.gates.checklist import gates_of
from runbooks.gates.gate import GateSubject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import GateSettings
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, done
from runbooks.kit.train import Train
from sandbox.aws import Aws
from sandbox.aws_services import BACKUPS, INSTANCES, REGION, Rds
from tests.support.real import Place
from tests.support.refusing_aws import SECRET, refusing

INSTANCE = INSTANCES["production"]
RUN = "production.db-drill.0f3a9b7c"
NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
SETTINGS = BackupSettings(instance=INSTANCE, bucket=BACKUPS, prefix="config/")


def backups_at(url: str, *, patience: float = 30.0, read_seconds: float = 20.0) -> Backups:
    settings = BackupSettings(
        instance=INSTANCE, region=REGION, endpoint=url, bucket=BACKUPS, prefix="config/",
        look_seconds=0.05, patience_seconds=patience,
    )  # fmt: skip
    return Backups(settings, throw_away=True, read_seconds=read_seconds)


@dataclass
class World:
    place: Place
    aws: Aws
    rds: Rds
    backups: Backups
    said: list[str] = field(default_factory=list)

    def context(self, run: str = RUN, *, pulse: PlainPulse | None = None) -> StepContext:
        services = {Backups: self.backups, Fleet: self.place.fleet}
        return StepContext(
            pulse=pulse or PlainPulse(run), environment=self.place.environment, asked_by="Dana", services=services
        )

    async def newest(self) -> str:
        found = await self.backups.newest_snapshot()
        assert found is not None
        return found.id

    @property
    def drills(self) -> list[str]:
        return [name for name in self.rds.instances if "-drill-" in name]


@pytest.fixture
async def world(here: Place) -> AsyncIterator[World]:
    aws, rds = Aws(), Rds()
    aws.services.append(rds)
    async with aws.serve() as url:
        made = World(here, aws, rds, backups_at(url))
        await made.newest()
        rds.seconds = 0.2
        yield made


# how good they are


def snapshot(hours: float = 3, *, status: str = "available", encrypted: bool = True) -> SnapshotState:
    at = NOW - timedelta(hours=hours)
    return SnapshotState(id="rds:omnicare-prod-1", kind="automated", status=status, encrypted=encrypted, at=at)


def proof(days: float = 3, *, checked: bool = True) -> ProvenRestore:
    return ProvenRestore(snapshot="s", at=NOW - timedelta(days=days), minutes=21.5, by="Dana", checked=checked)


@pytest.mark.parametrize(
    ("found", "good", "says"),
    [
        (snapshot(), True, "3 h old, encrypted, available"),
        (None, False, "has no snapshot"),
        (snapshot(25), False, "25 h old"),
        (snapshot(encrypted=False), False, "not encrypted"),
        (snapshot(status="failed"), False, "failed"),
        (snapshot(-1), False, "rds:omnicare-prod-1"),
    ],
)
def test_a_snapshot_is_good_if_it_is_available_encrypted_and_young(found: SnapshotState | None, good: bool, says: str):
    judged = judge_snapshot(found, SETTINGS, NOW)
    assert judged.good is good
    assert says in judged.evidence
    assert bool(judged.advice) is not good


@pytest.mark.parametrize(
    ("hours", "size", "good", "says"),
    [(2, 1024, True, "2 h old"), (30, 1024, False, "30 h old"), (2, 0, False, "0 B"), (-1, 1024, False, "config/a"), (None, 0, False, "has no backup")],
)  # fmt: skip
def test_the_configurations_backup_is_good_if_it_is_young_and_not_empty(
    hours: float | None, size: int, good: bool, says: str
):
    found = ObjectState(key="config/a", size=size, at=NOW - timedelta(hours=hours)) if hours is not None else None
    judged = judge_configuration(found, SETTINGS, NOW)
    assert judged.good is good
    assert says in judged.evidence


def test_a_restore_that_was_not_read_proves_nothing_and_an_old_one_neither():
    assert judge_restore(proof(), SETTINGS, NOW).good is True
    assert judge_restore(proof(91), SETTINGS, NOW).good is False
    assert judge_restore(proof(checked=False), SETTINGS, NOW).good is None
    assert judge_restore(None, SETTINGS, NOW).good is False
    assert judge_restore(proof(-1), SETTINGS, NOW).good is None
    assert judge_restore(proof(-1 / 1440), SETTINGS, NOW).good is True, "two clocks differ by a minute"


def test_tables_without_rows_prove_nothing():
    assert read_as(INSTANCE, 12, 340).checked
    assert not read_as(INSTANCE, 12, 0).checked
    with pytest.raises(PermanentError, match="has no tables"):
        read_as(INSTANCE, 0, 0)


@pytest.mark.parametrize(
    ("rows", "hours", "checked", "says"),
    [
        (16000, 1, True, "encounters: 16,000 rows, the newest of 2026-05-04 02:00 UTC"),
        (16000, 25, False, "the newest row of encounters is 25 h older than the snapshot"),
        (0, None, False, "encounters has 0 rows and no time in any"),
    ],
)
def test_rows_prove_a_restore_if_the_newest_is_about_as_old_as_the_snapshot(
    rows: int, hours: float | None, checked: bool, says: str
):
    newest = NOW - timedelta(hours=hours) if hours is not None else None
    found = counted_as([TableCount("encounters", rows, newest)], NOW, 24)
    assert (found.checked, says in found.evidence) == (checked, True), found


async def test_all_of_it_is_seen_and_a_snapshot_in_progress_hides_no_good_one(world: World):
    world.rds.seconds = 600
    await world.backups.rds.take_snapshot("omnicare-prod-new", run=RUN)
    found = await look(world.backups, world.place.fleet, world.place.environment, datetime.now(UTC))
    assert (found.snapshot.good, found.configuration.good, found.restore.good) == (True, True, False)
    assert [each.status for each in found.snapshots] == ["creating", "available", "available"]
    assert found.configuration.evidence.startswith("config/")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "lacks the permission"),
        (400, "ExpiredToken", "has expired"),
        (400, "Throttling", "limits the account's requests"),
        (500, "InternalFailure", "right now"),
        (200, "", "can't"),
    ],
)
async def test_what_can_not_be_seen_is_unknown_and_says_why(here: Place, status: int, code: str, says: str):
    text = "<html>a proxy</html>" if not code else None
    async with refusing(status, code, text=text) as url:
        found = await look(backups_at(url), here.fleet, here.environment, datetime.now(UTC))
    assert found.snapshot.good is None or (not code and found.snapshot.good is False)
    if code:
        assert says in found.snapshot.evidence
    assert SECRET not in found.model_dump_json()


async def test_a_denied_action_is_named():
    async with refusing(403, "AccessDenied") as url:
        with pytest.raises(PermanentError) as caught:
            await backups_at(url).rds.snapshots()
    assert caught.value.code is ReasonCode.AWS_REFUSED
    assert "`rds:DescribeDBSnapshots`" in caught.value.advice[0]


async def test_an_aws_that_is_silent_or_down_may_answer_later():
    async with refusing(200, silent=True) as url:
        with pytest.raises(TemporaryError, match="can't be reached"):
            await backups_at(url, read_seconds=0.2).rds.instance()
    with pytest.raises(TemporaryError, match="can't be reached"):
        await backups_at(url).rds.instance()


async def test_the_gates_on_backups_pass_on_what_is_good_and_stop_on_what_is_not(world: World):
    keys = ("snapshot", "configuration-backup", "restore")
    where, now = world.place.environment, datetime.now(UTC)
    clients = {Backups: world.backups, Fleet: world.place.fleet}
    subject = GateSubject(environment=where, version="v2.0.0", images=(), at=now, clients=clients)
    gates = gates_of(GateSettings(images=False, backups=keys), subject)
    assert tuple(gate.key for gate in gates) == keys

    async def states() -> list[str]:
        return [found.state for found in await look_at(gates, subject, 15.0)]

    assert await states() == ["passed", "passed", "failed"]
    await world.place.fleet.record_restore(where, proof().model_copy(update={"at": now - timedelta(days=3)}))
    assert await states() == ["passed", "passed", "passed"]
    for each in world.rds.snapshots.values():
        each.encrypted = False
    await world.place.fleet.record_restore(where, proof(checked=False))
    assert await states() == ["failed", "passed", "unknown"]
    async with refusing(403, "AccessDenied") as url:
        world.backups = clients[Backups] = backups_at(url)
        assert await states() == ["unknown"] * 3


# a snapshot before a deploy


async def test_a_snapshot_is_taken_once_however_often_its_step_runs(world: World):
    step = BackUp(instance=INSTANCE)
    pulse = PlainPulse(RUN)
    first, again = await step.apply(world.context(pulse=pulse)), await step.apply(world.context())
    assert first.id == again.id == named(INSTANCE, "backup", RUN)
    assert sum(name == first.id for name in world.rds.snapshots) == 1
    assert any("creating" in said for said in pulse.said)


@pytest.mark.parametrize("times", [1, 4], ids=["once", "until boto3 gives up"])
async def test_what_aws_did_though_its_answer_was_lost_is_not_an_error(world: World, times: int):
    snapshot = await world.newest()
    world.aws.loses = [*["CreateDBSnapshot"] * times, *["RestoreDBInstanceFromDBSnapshot"] * times]
    taken = await BackUp(instance=INSTANCE).apply(world.context())
    assert taken.id in world.rds.snapshots
    made = await StartDrill(snapshot=snapshot, instance=INSTANCE).apply(world.context())
    assert world.drills == [made.instance]
    world.aws.loses = ["DeleteDBInstance"] * times
    await EndDrill(instance=INSTANCE).apply(world.context())
    assert (world.drills, world.aws.loses) == ([], [])


async def test_an_instance_that_is_being_deleted_already_is_deleted(world: World):
    made = await StartDrill(snapshot=await world.newest(), instance=INSTANCE).apply(world.context())
    found = await world.backups.rds.instance(made.instance)
    assert found is not None
    world.rds.instances[made.instance].status = "deleting"
    await world.backups.rds.delete_drill(found)


async def test_somebody_elses_snapshot_of_that_name_is_not_taken_for_the_runs_own(world: World):
    taken = await BackUp(instance=INSTANCE).apply(world.context())
    world.rds.snapshots[taken.id].tags = []
    with pytest.raises(PermanentError, match="this run did not create it"):
        await BackUp(instance=INSTANCE).apply(world.context())


async def test_a_snapshot_that_fails_or_takes_too_long_ends_the_deploy_before_anything_changed(world: World):
    world.rds.seconds = 600
    world.backups = world.backups.__class__(
        world.backups.settings.model_copy(update={"patience_seconds": 0.1}), throw_away=True
    )
    with pytest.raises(PermanentError, match="is not available after") as caught:
        await BackUp(instance=INSTANCE).apply(world.context())
    assert caught.value.code is ReasonCode.TIMED_OUT
    world.rds.snapshots[named(INSTANCE, "backup", RUN)].status = "failed"
    with pytest.raises(PermanentError, match="ended with status failed") as caught:
        await BackUp(instance=INSTANCE).apply(world.context())
    assert caught.value.code is ReasonCode.BACKUP_FAILED


async def test_only_a_deploy_with_that_setting_takes_one(world: World):
    def train(settings: BackupSettings | None, *, back: bool = False, standing: bool = False) -> Train:
        clients = {Backups: Backups(settings)} if settings is not None else {}
        return Train(
            environment=world.place.environment, version="v2.0.0", changes=(), going_back=back, standing=standing,
            clients=clients, now=NOW,
        )  # fmt: skip

    always = SETTINGS.model_copy(update={"before_deploy": True})
    migrating = SETTINGS.model_copy(update={"before_migration": True})
    assert (await plan_part(train(always))).before == (BackUp(instance=INSTANCE),)
    part = await plan_part(train(migrating))
    assert (part.before, part.only_with) == ((BackUp(instance=INSTANCE),), "migrate")
    assert (await plan_part(train(always, back=True))).before == ()
    assert (await plan_part(train(always, standing=True))).before == ()
    assert (await plan_part(train(SETTINGS))).before == ()
    assert (await plan_part(train(None))).not_done == ("database backup (not configured)",)


# restoring


async def test_a_restore_makes_one_new_instance_and_leaves_the_old_one_alone(world: World):
    before = dict(world.rds.instances)
    plan = await plan_restore(world.backups, "production", await world.newest(), datetime.now(UTC))
    assert "which was taken 3 h" in plan.warnings[0]
    (step,) = plan.steps
    assert isinstance(step, RestoreSnapshot)
    run = "production.db-restore.0f3a9b7c"
    made, again = await step.apply(world.context(run)), await step.apply(world.context(run))
    assert made.instance == again.instance == f"{INSTANCE}-restore-0f3a9b7c"
    assert set(world.rds.instances) - set(before) == {made.instance}
    assert made.address
    new = world.rds.instances[made.instance]
    assert (new.storage_encrypted, new.deletion_protection) == (True, True)


async def test_a_snapshot_that_is_not_there_is_refused_with_those_that_are(world: World):
    with pytest.raises(PermanentError, match="has no snapshot omnicare-prod-gone") as caught:
        await plan_restore(world.backups, "production", "omnicare-prod-gone", datetime.now(UTC))
    assert await world.newest() in caught.value.advice[0]


async def test_a_retry_of_a_restore_that_took_too_long_waits_for_the_same_instance(world: World):
    newest, patient = await world.newest(), world.backups
    world.rds.seconds = 600
    world.backups = Backups(patient.settings.model_copy(update={"patience_seconds": 0.1}), throw_away=True)
    (first,) = (await plan_restore(world.backups, "production", newest, datetime.now(UTC))).steps
    with pytest.raises(PermanentError, match="is not available after"):
        await first.apply(world.context("production.db-restore.aaaaaaaa"))
    world.backups = patient
    plan = await plan_restore(world.backups, "production", newest, datetime.now(UTC))
    (again,) = plan.steps
    assert "is being restored from this snapshot already" in plan.notes[0]
    assert again.completes(first)
    assert f"{INSTANCE}-restore-aaaaaaaa" in str(again.shown())
    world.rds.seconds = 0
    assert isinstance(again, RestoreSnapshot)
    made = await again.apply(world.context("production.db-restore.bbbbbbbb"))
    assert made.instance == f"{INSTANCE}-restore-aaaaaaaa"
    assert [name for name in world.rds.instances if "-restore-" in name] == [made.instance]


async def test_somebody_elses_instance_of_that_name_is_not_taken_over(world: World):
    run = "production.db-restore.0f3a9b7c"
    step = RestoreSnapshot(snapshot=await world.newest(), instance=INSTANCE)
    made = await step.apply(world.context(run))
    world.rds.instances[made.instance].tags = []
    with pytest.raises(PermanentError, match="this run did not create it"):
        await step.apply(world.context(run))


async def test_an_instance_that_can_not_be_restored_ends_the_run(world: World):
    step = RestoreSnapshot(snapshot=await world.newest(), instance=INSTANCE)
    made = await step.apply(world.context())
    world.rds.instances[made.instance].status = "incompatible-parameters"
    with pytest.raises(PermanentError, match="ended with status incompatible-parameters") as caught:
        await step.apply(world.context())
    assert caught.value.code is ReasonCode.BACKUP_FAILED


# the drill


async def test_a_drill_restores_deletes_and_records_its_minutes(world: World):
    plan = await plan_drill(world.backups, "production", datetime.now(UTC))
    results = await done(plan.steps, world.context())
    made = results.only(StartDrill, Restored)
    assert made.instance not in world.rds.instances
    assert INSTANCE in world.rds.instances
    recorded = await world.place.fleet.proven_restore(world.place.environment)
    assert recorded is not None
    assert (recorded.run, recorded.by, recorded.checked) == (RUN, "Dana", False)
    found = await look(world.backups, world.place.fleet, world.place.environment, datetime.now(UTC))
    assert found.restore.good is None, "without reading its tables it proves nothing"


async def test_a_drill_that_was_stopped_or_killed_leaves_nothing_behind(world: World):
    world.rds.seconds = 600
    start = StartDrill(snapshot=await world.newest(), instance=INSTANCE)
    pulse = PlainPulse(RUN)
    pulse.ask_to_stop(Stop(kind="overtaken", by="a rollback"))
    with suppress(Stopped):
        await start.apply(world.context(pulse=pulse))
    world.rds.seconds = 0
    killed = "production.db-drill.aaaaaaaa"
    await start.apply(world.context(killed))
    assert named(INSTANCE, "drill", killed) in world.drills
    await start.apply(world.context("production.db-drill.bbbbbbbb"))
    assert world.drills == [f"{INSTANCE}-drill-bbbbbbbb"], "the next drill deletes what is left"
    await start.put_back(world.context("production.db-drill.bbbbbbbb"))
    assert world.drills == []


async def test_the_end_of_a_run_does_not_wait_for_a_silent_aws_and_says_what_is_left(world: World):
    start = StartDrill(snapshot=await world.newest(), instance=INSTANCE)
    assert await start.put_back(world.context()) == ""
    async with refusing(200, silent=True) as url:
        world.backups = backups_at(url, read_seconds=1.0)
        left = await start.put_back(world.context())
    assert f"`aws rds delete-db-instance --db-instance-identifier {named(INSTANCE, 'drill', RUN)} --skip" in left
    assert "The next drill deletes it" in left


async def test_nothing_is_deleted_that_a_drill_did_not_create(world: World):
    like = await world.backups.rds.instance()
    assert like is not None
    with pytest.raises(PermanentError, match="was not created for a drill"):
        await world.backups.rds.delete_drill(like)
    with pytest.raises(PermanentError, match="was not created for a drill"):
        await world.backups.rds.delete_drill(InstanceState(id=INSTANCE, status="available", run=RUN, purpose="drill"))
    restored = await RestoreSnapshot(snapshot=await world.newest(), instance=INSTANCE).apply(world.context())
    found = await world.backups.rds.instance(restored.instance)
    assert found is not None
    with pytest.raises(RunbookError):
        await world.backups.rds.delete_drill(found)
    await EndDrill(instance=INSTANCE).apply(world.context())
    assert set(world.rds.instances) >= {INSTANCE, restored.instance}


def test_a_name_is_made_from_the_run_and_fits():
    assert named("omnicare-prod", "drill", RUN) == "omnicare-prod-drill-0f3a9b7c"
    long = named("a" * 63, "restore", "production.db-restore.ABCDEF-123456789xyz")
    assert len(long) <= 63
    assert long.endswith("-restore-abcdef123456")


async def test_a_record_that_somebody_changed_by_hand_is_unknown(world: World):
    where = world.place.environment
    await world.place.fleet.record_restore(where, proof())
    maps = await world.place.cluster.config_map(where.record_namespace, f"restores-{where.name}")
    await world.place.cluster.replace_config_map(maps, {"last": '{"snapshot": 7}'})
    found = await look(world.backups, world.place.fleet, where, datetime.now(UTC))
    assert found.restore.good is None
    assert "changed by hand" in found.restore.evidence
