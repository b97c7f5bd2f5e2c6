"""Migrations of a release: what a plan says of them, what the step does, and how each failure ends."""

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.backups.looking import Backups, BackupSettings
from runbooks.clients.kubernetes.jobs import JobSpec
from runbooks.gates.settings import GateSettings, SignatureSettings
from runbooks.gates.steps import CheckGates
from runbooks.kit.answers import NotUnderstood
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, Step, Stop, Stopped
from runbooks.kit.train import Part
from runbooks.migrations.lint import lint
from runbooks.migrations.migrating import MIGRATIONS, SKIP
from runbooks.migrations.pending import read_contained
from runbooks.migrations.settings import MigrationSettings
from runbooks.migrations.undoing import UndoMigration, plan_undo
from runbooks.release.restarting import RestartService
from runbooks.release.train import plan_migrate
from sandbox.cluster.fields import Writer
from sandbox.cluster.programs import Execution
from sandbox.cluster.resources import DEPLOYMENT, JOB, Json
from sandbox.migrations import BROKEN
from sandbox.outside.registry import digest_of
from tests.support.databases import Served, served
from tests.support.migrating import (
    NAMESPACE,
    NEW,
    RUN,
    SETTINGS,
    WHERE,
    MigratingPlace,
    change,
    migrating_place,
    the_step,
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture
async def here(tmp_path: Path, postgres: Served) -> AsyncIterator[MigratingPlace]:
    async with migrating_place(tmp_path, postgres) as made:
        yield made


async def test_what_is_pending_is_planned_applied_and_then_nothing_is(here: MigratingPlace) -> None:
    step = the_step(await here.part())
    assert step.pending == NEW
    done = await step.apply(here.context())
    assert done.applied == NEW
    again = await step.apply(here.context())  # a step that was killed after its end: the same Job
    assert again.applied == NEW
    assert here.schemas.ran == [(NAMESPACE, "migrate:up")]
    part = await here.part()
    assert (part.before, part.notes[0]) == ((), "No migration is pending.")


async def test_the_plan_names_locks_and_binds_the_approval_to_what_is_pending(here: MigratingPlace) -> None:
    part = await here.part(BROKEN)
    index, ward = part.warnings
    assert re.fullmatch(r"20261015_index_observations_by_code locks observations \(.+\) against writing\.", index)
    assert re.fullmatch(r"20261101_ward_as_number locks patients \(.+\) against reading and writing\.", ward)
    pending = the_step(part).changes()["pending"]
    assert pending == [*NEW, "20261101_ward_as_number"]
    assert all("hunter2" not in line and "kubectl" in line for line in the_step(part).by_hand())


async def test_a_failed_migration_is_an_error_with_the_end_of_its_log(here: MigratingPlace) -> None:
    step = the_step(await here.part(BROKEN))
    with pytest.raises(PermanentError, match="ended with exit status 1") as caught:
        await step.apply(here.context())
    assert caught.value.code is ReasonCode.MIGRATION_FAILED
    assert "invalid input syntax" in caught.value.diagnosis.log[-1]
    assert not any("hunter2" in line for line in caught.value.diagnosis.log)


async def _waits(execution: Execution) -> int:
    await execution.out(b"migrating now\n")
    await asyncio.Event().wait()
    return 0


async def test_a_migration_goes_on_when_the_run_is_stopped_and_no_other_is_planned_meanwhile(
    here: MigratingPlace,
) -> None:
    step = the_step(await here.part())
    here.script("migrate:up", _waits)
    pulse = PlainPulse(RUN)
    pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
    with pytest.raises(Stopped):
        await step.apply(here.context(pulse))
    (job,) = await here.client.jobs.of_kind(NAMESPACE, "migrate")
    assert job.ended is None
    assert "kubectl get jobs" in step.goes_on()[0]
    with pytest.raises(PermanentError, match="still running") as caught:
        await here.part()
    assert caught.value.code is ReasonCode.MIGRATION_RUNS


@pytest.mark.parametrize(
    ("printed", "code", "words"),
    [
        (b"", 0, "nothing was printed"),
        (b"<html>", 0, "no JSON"),
        (b'{"a": 1}', 0, "not a list"),
        (b'[{"name": 7}]', 0, "no usable name"),
        (b"[1", 0, "can't be read"),
        (b"[]", 3, "exit status 3"),
    ],
)
async def test_what_the_list_does_not_say_is_said_to_be_unknown_and_stops_nothing(
    here: MigratingPlace, printed: bytes, code: int, words: str
) -> None:
    async def listing(execution: Execution) -> int:
        await execution.out(printed)
        return code

    here.script("migrate:list", listing)
    part = await here.part()
    assert the_step(part).pending is None
    (warning,) = part.warnings
    assert words in warning


async def test_the_list_of_an_image_that_nobody_approved_gets_no_credentials(here: MigratingPlace) -> None:
    seen: list[dict[str, Any]] = []

    async def listing(execution: Execution) -> int:
        seen.append(execution.pod["spec"])
        await execution.out(b"[]")
        return 0

    def with_secrets(draft: Json) -> None:
        pods = draft["spec"]["template"]["spec"]
        pods["serviceAccountName"] = "backend"
        pods["containers"][0]["env"] = [{"name": "DATABASE_URL", "value": "postgres://owner:hunter2@postgres/emr"}]
        pods["containers"][0]["envFrom"] = [{"secretRef": {"name": "omnicare-database"}}]

    here.cluster.api.modify(DEPLOYMENT, NAMESPACE, "backend", with_secrets, Writer("kubectl-edit"))
    here.script("migrate:list", listing)
    await here.part()
    (pod,) = seen
    assert pod["automountServiceAccountToken"] is False
    assert pod.get("serviceAccountName", "default") == "default"
    assert "volumes" not in pod
    (container,) = pod["containers"]
    assert not container.get("env")
    assert "envFrom" not in container
    assert "ecret" not in json.dumps(pod)


def test_a_job_that_nobody_approved_is_refused_credentials() -> None:
    listing = SETTINGS.list_job(WHERE, change("v2.0.0").after)
    assert listing is not None
    up = SETTINGS.up_job(WHERE, change("v2.0.0").after)
    for more in ({"environment": up.environment}, {"service_account": "backend"}):
        with pytest.raises(ValidationError, match="nobody has approved"):
            JobSpec.model_validate({**listing.model_dump(), **more})


async def test_where_no_database_is_configured_the_migrations_run_unnamed(here: MigratingPlace) -> None:
    here.database = None
    part = await here.part()
    assert the_step(part).pending is None
    (warning,) = part.warnings
    assert "no `database` is configured" in warning


async def test_a_yes_to_whatever_is_pending_covers_each_list_and_a_yes_to_a_list_only_that(
    here: MigratingPlace,
) -> None:
    named = the_step(await here.part())
    unknown = named.model_copy(update={"pending": None})
    fewer = named.model_copy(update={"pending": NEW[:1]})
    elsewhere = named.model_copy(
        update={"spec": named.spec.model_copy(update={"image": "ghcr.io/omnicare/backend:v3"})}
    )
    deploy: list[Step] = [RestartService(change=change("v2.0.0"), cause="deploy")]

    def covers(approved: list[Step], now: list[Step]) -> bool:
        return Plan(title="Deploy", steps=tuple(now)).ends_as(Plan(title="Deploy", steps=tuple(approved)))

    assert covers([unknown, *deploy], [named, *deploy])
    assert covers([unknown, *deploy], deploy), "nothing is pending after all"
    assert covers([unknown, *deploy], [unknown, *deploy])
    assert named.completes(unknown)
    for approved, now in ((named, fewer), (fewer, named), (named, unknown), (unknown, elsewhere)):
        assert not covers([approved, *deploy], [now, *deploy])
        assert not now.completes(approved)
    assert not covers([named, *deploy], deploy)
    assert not covers(deploy, [named, *deploy])
    assert not covers([unknown, *deploy], [*deploy, named])
    assert not covers([unknown, *deploy], [named])
    assert not covers([unknown], [])


async def test_without_a_list_the_migrations_run_unnamed(here: MigratingPlace) -> None:
    part = await here.part(settings=SETTINGS.model_copy(update={"list": None}))
    assert the_step(part).pending is None
    here.database = None
    done = await the_step(part).apply(here.context())
    assert done.applied is None
    assert done.lines()[0].startswith("Migrations ran")


async def test_left_out_not_configured_or_not_changed_no_step_is_planned(here: MigratingPlace) -> None:
    left_out = await here.part(options={SKIP: "the schema is there"})
    assert (left_out.before, left_out.not_done) == ((), ("migrations (skipped as requested)",))
    assert [each.option for each in left_out.unusual] == ["--skip-migrations"]
    assert (await here.part(settings=None)).not_done == ("migrations (not configured)",)
    elsewhere = await here.part(settings=SETTINGS.model_copy(update={"service": "worker"}))
    assert elsewhere.before == ()


async def test_the_lines_by_hand_make_the_pod_that_the_bot_makes(here: MigratingPlace) -> None:
    def particular(draft: Json) -> None:
        pod = draft["spec"]["template"]["spec"]
        pod |= {
            "imagePullSecrets": [{"name": "ghcr"}],
            "serviceAccountName": "backend",
            "nodeSelector": {"disk": "ssd"},
        }
        pod["containers"][0]["securityContext"] = {"runAsNonRoot": True}

    here.cluster.api.modify(DEPLOYMENT, NAMESPACE, "backend", particular, Writer("kubectl-edit"))
    step = the_step(await here.part())
    create = shlex.split(step.by_hand()[0].removeprefix("job=$(").removesuffix(")"))
    by_hand = json.loads(create[2])["spec"]["template"]["spec"]
    await here.client.jobs.create(step.spec, RUN)
    made = here.cluster.api.get(JOB, NAMESPACE, step.spec.name(RUN))["spec"]["template"]["spec"]
    assert by_hand["imagePullSecrets"] == [{"name": "ghcr"}]
    (own,), (its,) = by_hand.pop("containers"), made["containers"]
    assert own["securityContext"] == {"runAsNonRoot": True}
    assert own == {key: its[key] for key in own}
    assert by_hand == {key: made[key] for key in by_hand}
    assert "ssd" in str(by_hand)
    gone = step.spec.model_copy(update={"like": "gone", "likeness": None})
    assert await here.client.jobs.planned(gone) == gone, "a line that is only shown stops no plan"


async def test_a_rollback_names_what_the_older_release_does_not_know_until_it_is_undone(here: MigratingPlace) -> None:
    assert (await here.part("v1.2.0", going_back=True)) == Part()
    await the_step(await here.part()).apply(here.context())
    back = await here.part("v1.2.0", going_back=True)
    assert back.before == ()
    (warning,) = back.warnings
    assert warning.startswith(f"v2.0.0 applied 2 migrations that v1.2.0 does not know: {NEW[0]} and {NEW[1]}.")
    assert "`db rollback --dry-run --env production`" in back.notes[0]
    for run, name in (("1", NEW[1]), ("2", NEW[0])):
        plan = await plan_undo(here.client, here.registry, here.database, SETTINGS, WHERE, None)
        (step,) = plan.steps
        assert isinstance(step, UndoMigration)
        assert (step.name, step.version) == (name, "v2.0.0")
        done = await step.apply(here.context(PlainPulse(f"production.db-rollback.{run}aaaaaaaa")))
        assert done.undone == (name,)
    assert (await here.part("v1.2.0", going_back=True)).warnings == ()
    with pytest.raises(PermanentError, match="which image can undo it"):
        await plan_undo(here.client, here.registry, here.database, SETTINGS, WHERE, None)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (
            "evil.example/omnicare/backend:v2.0.0@" + digest_of("backend", "v2.0.0"),
            "not from the configured repository",
        ),
        ("ghcr.io/omnicare/backend:v2.0.0@sha256:" + "a" * 64, "is another image"),
        ("ghcr.io/omnicare/backend:v9.9.9@sha256:" + "a" * 64, "is not confirmed"),
        ("ghcr.io/omnicare/backend:v2.0.0", "does not name a version and its digest"),
    ],
)
async def test_an_image_that_somebody_wrote_into_a_job_undoes_nothing(
    here: MigratingPlace, image: str, why: str
) -> None:
    step = the_step(await here.part())
    edited = step.model_copy(update={"spec": step.spec.model_copy(update={"image": image})})
    await edited.apply(here.context())
    back = await here.part("v1.2.0", going_back=True)
    assert back.notes == ()
    assert "no line to undo it by hand" in back.warnings[-1]
    assert why in back.warnings[-1]
    if image.startswith("evil"):
        assert back.warnings[0].startswith("evil.example/omnicare/backend:v2.0.0@sha256:")
    with pytest.raises(PermanentError, match=why) as caught:
        await plan_undo(here.client, here.registry, here.database, SETTINGS, WHERE, None)
    assert caught.value.code is ReasonCode.FOREIGN_IMAGE
    assert "db rollback VERSION" in caught.value.advice[0]
    plan = await plan_undo(here.client, here.registry, here.database, SETTINGS, WHERE, "v2.0.0")
    assert isinstance(plan.steps[0], UndoMigration)
    assert plan.steps[0].spec.image == change("v2.0.0").after.reference


async def test_a_rollback_beside_a_running_migration_says_so_and_waits_for_nothing(here: MigratingPlace) -> None:
    step = the_step(await here.part())
    here.script("migrate:up", _waits)
    pulse = PlainPulse(RUN)
    pulse.ask_to_stop(Stop(kind="overtaken", by="Ines"))
    with pytest.raises(Stopped):
        await step.apply(here.context(pulse))
    (warning, *_) = (await here.part("v1.2.0", going_back=True)).warnings
    assert "A migration is still running" in warning


async def test_what_stands_on_a_job_that_somebody_edited_is_unknown_and_ends_nothing(here: MigratingPlace) -> None:
    step = the_step(await here.part())
    edited = step.model_copy(update={"spec": step.spec.model_copy(update={"annotations": {MIGRATIONS: "[[]]"}})})
    await edited.apply(here.context())
    (warning,) = (await here.part("v1.2.0", going_back=True)).warnings
    assert "v2.0.0 ran migrations" in warning


def test_names_alone_or_with_sql_are_read_and_hostile_ones_refused() -> None:
    assert [each.name for each in read_contained(b'log line\n["a", {"name": "b", "sql": 3}]')] == [
        "a",
        "b",
    ]
    with pytest.raises(NotUnderstood):
        read_contained(json.dumps(["a\x1b[2J"]).encode())
    with pytest.raises(NotUnderstood):
        read_contained(json.dumps(["x" * 300]).encode())


async def test_sql_that_locks_or_drops_is_found_with_its_table() -> None:
    found = await lint(
        [
            ("1", 'CREATE INDEX i ON public."Notes" (a);\nALTER TABLE notes DROP COLUMN a;'),
            ("2", "SELECT 1;"),
        ]
    )
    assert {(each.migration, each.table, each.effect) for each in found} == {
        ("1", "Notes", "against writing"),
        ("1", "notes", "drops data"),
    }


async def test_a_migration_alone_waits_for_the_gates_that_concern_it_and_for_the_backup(here: MigratingPlace) -> None:
    gates = GateSettings(
        images=True,
        backups=("configuration-backup",),
        signatures=(SignatureSettings(name="recovery-tested", text="Recovery procedures tested"),),
    )
    backups = Backups(BackupSettings(instance="omnicare-prod", before_migration=True), throw_away=True)
    clients = {**here.clients, GateSettings: gates, Backups: backups, MigrationSettings: SETTINGS}

    async def planned(version: str | None) -> Plan:
        now = datetime.now(UTC)
        return await plan_migrate(here.client, here.registry, SETTINGS, WHERE, clients, version, now=now)

    plan = await planned("v2.0.0")
    (checked,) = [step for step in plan.steps if isinstance(step, CheckGates)]
    assert [each.gate for each in checked.results] == ["images", "signature:recovery-tested"], (
        "not what concerns services alone"
    )
    assert [step.kind for step in plan.steps] == ["gates", "back-up", "migrate"]
    (refusal,) = plan.refused_by
    assert refusal.button == ("Sign: Recovery procedures tested", "sign v2.0.0 recovery-tested --env production")
    assert (plan.decides, plan.settles) == (True, False)
    assert (await planned(None)).steps == (), (
        "nothing of the running release is pending, so nothing is asked or refused"
    )
