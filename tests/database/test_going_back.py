"""Going back over migrations on a real PostgreSQL: proved on a scratch database, declared, unknown, and refused."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbooks.fleet.schema_proofs import SchemaProof
from runbooks.gates import planning as gates
from runbooks.gates.steps import CheckGates
from runbooks.jobs.running import run_job
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from runbooks.kit.train import Part, Train
from runbooks.migrations.migrating import MIGRATIONS, SKIP
from runbooks.migrations.proving import ProveSchema, plan_proof
from runbooks.migrations.settings import MigrationSettings
from runbooks.migrations.undoing import ANYWAY, UndoMigration, plan_undo
from sandbox.cluster.programs import Execution
from sandbox.cluster.resources import JOB
from sandbox.migrations import DROPS
from sandbox.postgres.schema import FIRST_MIGRATIONS
from tests.support.databases import Served
from tests.support.migrating import (
    NAMESPACE,
    NEW,
    PROVING,
    WHERE,
    MigratingPlace,
    change,
    image,
    migrating_place,
    the_step,
)


@pytest.fixture
async def place(here: Served, tmp_path: Path) -> AsyncIterator[MigratingPlace]:
    async with migrating_place(tmp_path, here) as made:
        yield made


async def _planned(place: MigratingPlace, version: str, older: str | None = "v1.2.0") -> ProveSchema:
    plan = await plan_proof(place.client, place.registry, PROVING, WHERE, version, older)
    (step,) = plan.steps
    assert isinstance(step, ProveSchema)
    return step


async def _proved(place: MigratingPlace, version: str, run: str = "production.prove.0f3a0f3c") -> SchemaProof:
    return await (await _planned(place, version)).apply(place.context(PlainPulse(run)))


def _strict() -> MigrationSettings:
    return PROVING.model_copy(
        update={"proof": PROVING.proof and PROVING.proof.model_copy(update={"required": "proven"})}
    )


def _train(place: MigratingPlace, version: str, options: dict[str, str]) -> Train:
    clients = {**place.clients, MigrationSettings: _strict()}
    return Train(
        environment=WHERE, version=version, changes=(change(version),), now=datetime.now(UTC), clients=clients,
        options=options,
    )  # fmt: skip


async def _gate(place: MigratingPlace, version: str, **options: str) -> tuple[Part, CheckGates]:
    """The gates' part of a deploy where going back has to be proven, and its step: there is no table of gates."""
    part = await gates.plan_part(_train(place, version, options))
    (step,) = part.first
    assert isinstance(step, CheckGates)
    return part, step


async def _back(place: MigratingPlace, **options: str) -> Part:
    return await place.part("v1.2.0", PROVING, going_back=True, options=options)


async def test_a_release_that_runs_on_the_new_schema_is_proved_and_goes_back_without_a_warning(
    here: Served, place: MigratingPlace
) -> None:
    before = await place.part("v2.0.0", PROVING)
    assert before.warnings[0].startswith("Whether v1.2.0 still runs after the migration is unknown: there is no proof")
    proof = await _proved(place, "v2.0.0")
    assert proof.runs
    assert proof.evidence.endswith("of v1.2.0 passed on v2.0.0's schema")
    assert place.schemas.ran == [], "no database but the scratch one"
    assert here.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'reason'") == [(0,)]
    part = await place.part("v2.0.0", PROVING)
    assert part.notes[0].startswith(
        "A rollback to v1.2.0 works after the migration (proven): the database test and the smoke tests of v1.2.0"
    )
    assert the_step(part).changes()["going back"] == "proven"
    assert not Plan(title="", steps=part.before).ends_as(Plan(title="", steps=before.before)), "it is asked again"
    await the_step(part).apply(place.context())
    back = await _back(place)
    assert (back.warnings, back.refused_by) == ((), ())
    assert back.notes[1].startswith("v1.2.0 runs on the present schema (proven): ")


async def test_a_release_that_fails_on_the_new_schema_is_not_gone_back_to_until_it_is_undone(
    here: Served, place: MigratingPlace
) -> None:
    proof = await _proved(place, DROPS)
    assert not proof.runs
    assert proof.evidence.startswith(
        f"the database test of v1.2.0 passed on its own schema, and failed on {DROPS}'s (exit status 1)"
    )
    assert here.sql("SELECT ward FROM patients LIMIT 1"), "production's is as it was"
    part = await place.part(DROPS, PROVING)
    assert part.warnings[0].startswith(
        "v1.2.0 does not run after the migration: the database test of v1.2.0 passed on its own schema, and failed"
    )
    await the_step(part).apply(place.context())
    back = await _back(place)
    undo, restore, anyway = back.refused_by
    assert undo.what.startswith(
        "v1.2.0 can't run on the present schema: the database test of v1.2.0 passed on its own schema, and failed"
    )
    assert undo.button == ("Undo a migration", "db rollback --env production")
    assert "3 times" in undo.advice
    assert "no `backups` are configured" in restore.what
    assert anyway.button == ("Go back anyway", "rollback --env production --anyway")
    insisted = await _back(place, **{ANYWAY: "the ward is on fire"})
    assert insisted.refused_by == ()
    (unusual,) = insisted.unusual
    assert (unusual.option, unusual.needs_reason) == ("--anyway", True)
    assert unusual.what.endswith("The rollback goes back anyway, and does not change the schema.")
    for run, name in enumerate(("20261120_drop_ward", *reversed(NEW))):
        (step,) = (await plan_undo(place.client, place.registry, place.database, PROVING, WHERE, None)).steps
        assert isinstance(step, UndoMigration)
        done = await step.apply(place.context(PlainPulse(f"production.db-rollback.0f3a0f{run}d")))
        assert done.undone == (name,)
    assert (await _back(place)).refused_by == ()
    assert here.sql("SELECT ward FROM patients LIMIT 1")


async def _known_not_to_run(place: MigratingPlace) -> None:
    older, newer = image("v1.2.0"), image(DROPS)
    proof = SchemaProof(
        older="v1.2.0", older_digest=older.digest or "", newer=DROPS, newer_digest=newer.digest or "",
        runs=False, evidence="the database test failed", at="2026-11-20T10:00:00+00:00", by="Dana",
    )  # fmt: skip
    await place.fleet.record_schema_proof(WHERE, proof)


async def test_a_migration_that_no_list_names_is_warned_of_and_stops_no_rollback(
    here: Served, place: MigratingPlace
) -> None:
    unlisted = PROVING.model_copy(update={"list": None})
    await _known_not_to_run(place)
    await the_step(await place.part(DROPS, unlisted)).apply(place.context())
    back = await place.part("v1.2.0", unlisted, going_back=True)
    assert back.refused_by == ()
    (warning,) = back.warnings
    assert "It is unknown whether that still holds" in warning
    assert "v1.2.0 can't run on the schema: the database test failed" in warning
    for run in range(3):
        (step,) = (await plan_undo(place.client, place.registry, place.database, unlisted, WHERE, DROPS)).steps
        await step.apply(place.context(PlainPulse(f"production.db-rollback.0f3a0f{run}d")))
    assert here.sql("SELECT ward FROM patients LIMIT 1")
    assert (await place.part("v1.2.0", unlisted, going_back=True)).refused_by == ()


async def test_a_migration_that_failed_where_the_table_is_not_read_stops_no_rollback(place: MigratingPlace) -> None:
    async def fails(execution: Execution) -> int:
        await execution.err(b"Error: no such host\n")
        return 3

    await _known_not_to_run(place)
    place.script("migrate:up", fails)
    step = the_step(await place.part(DROPS, PROVING))
    place.database = None
    with pytest.raises(PermanentError, match="exit status 3"):
        await step.apply(place.context())
    back = await _back(place)
    assert back.refused_by == ()
    assert "It is unknown whether that still holds" in back.warnings[0]


@pytest.mark.parametrize(
    ("tag", "names", "says"),
    [
        (DROPS, None, "It is unknown whether that still holds"),
        (DROPS, ["20261120_drop_ward"], ""),
        ("v9.9.9", list(FIRST_MIGRATIONS)[:1], "is not confirmed"),
    ],
)
async def test_a_job_that_anybody_may_create_stops_no_rollback(
    place: MigratingPlace, tag: str, names: list[str] | None, says: str
) -> None:
    await _known_not_to_run(place)
    spec = PROVING.up_job(WHERE, image(DROPS).model_copy(update={"tag": tag}))
    if names is not None:
        spec = spec.model_copy(update={"annotations": {MIGRATIONS: json.dumps(names)}})

    async def nothing(_: Execution) -> int:
        return 0

    place.script("migrate:up", nothing)
    await run_job(PlainPulse("production.deploy.0f3a0f3f"), place.client, spec)
    back = await _back(place)
    assert back.refused_by == ()
    assert says in " ".join(back.warnings)


async def test_what_an_image_declares_counts_where_nothing_is_proved(here: Served, place: MigratingPlace) -> None:
    part = await place.part(DROPS, PROVING)
    assert f"{DROPS} declares {DROPS} as the oldest release that runs on its schema" in part.warnings[0]
    refused, step = await _gate(place, DROPS)
    (refusal,) = refused.refused_by
    assert step.results[0].state == "failed"
    assert (refusal.button, "in two steps" in refusal.advice) == (None, True)


async def test_what_is_required_of_going_back_is_a_gate_that_is_looked_at_again_before_the_start(
    here: Served, place: MigratingPlace
) -> None:
    refused, step = await _gate(place, "v2.0.0")
    (refusal,) = refused.refused_by
    assert refusal.what.startswith(
        f"Gate Rollback after the migration (unknown): it is not proven that v1.2.0 still runs after {NEW[0]} and {NEW[1]}: "
    )
    assert refusal.button == ("Prove v2.0.0", "prove v2.0.0 --env production")
    assert (await place.part("v2.0.0", _strict())).refused_by == ()

    proof = await _proved(place, "v2.0.0")
    good, step = await _gate(place, "v2.0.0")
    assert good.refused_by == ()
    assert step.results[0].evidence.startswith("proven: the database test and the smoke tests of v1.2.0 passed")
    place.more = {MigrationSettings: _strict()}
    assert (await step.apply(place.context())).states == {"schema": "passed"}
    await place.fleet.record_schema_proof(WHERE, proof.model_copy(update={"runs": False}))
    with pytest.raises(PermanentError, match="The gate Rollback after the migration failed") as caught:
        await step.apply(place.context())
    assert caught.value.code is ReasonCode.GATE_FAILED


async def test_the_gate_on_going_back_is_overridden_like_others_and_asks_only_where_something_is_pending(
    here: Served, place: MigratingPlace
) -> None:
    part, step = await _gate(place, "v2.0.0", override="schema")
    (unusual,) = part.unusual
    assert (part.refused_by, unusual.option, list(unusual.gates)) == ((), "--override schema", ["schema"])
    place.more = {MigrationSettings: _strict()}
    assert (await step.apply(place.context())).states == {"schema": "unknown"}

    assert await gates.plan_part(_train(place, "v2.0.0", {SKIP: "yes"})) == Part(not_done=("gates (not configured)",))
    await the_step(await place.part()).apply(place.context())
    part, step = await _gate(place, "v2.0.0")
    assert (part.refused_by, step.results[0].evidence) == ((), "no migration is pending")


@pytest.mark.parametrize(
    ("failing", "says", "code"),
    [
        ("db:test v1.2.0", "fails on its own schema already", ReasonCode.JOB_FAILED),
        ("migrate:up v1.2.0", "don't run on an empty database", ReasonCode.JOB_FAILED),
        ("migrate:up v2.0.0", "v2.0.0's migrations failed", ReasonCode.MIGRATION_FAILED),
    ],
)
async def test_what_fails_before_the_new_schema_is_there_proves_nothing(
    here: Served, place: MigratingPlace, failing: str, says: str, code: ReasonCode
) -> None:
    name, version = failing.split()
    program = place.schemas.scripts()[name]

    async def fails(execution: Execution) -> int:
        if f":{version}@" in execution.image:
            await execution.err(b"Error: no such host\n")
            return 3
        return await program(execution)

    place.script(name, fails)
    with pytest.raises(PermanentError, match=says) as caught:
        await _proved(place, "v2.0.0")
    assert caught.value.code is code
    assert caught.value.diagnosis.log[-1] == "Error: no such host"
    assert await place.fleet.schema_proofs(WHERE) == ()


async def test_a_test_that_fails_when_the_scratch_database_restarted_proves_nothing(place: MigratingPlace) -> None:
    program = place.schemas.scripts()["db:test"]

    async def fails(execution: Execution) -> int:
        code = await program(execution)
        if code:
            place.cluster._kubelet._lives[execution.pod["metadata"]["uid"]].inits["scratch-database"].restarts += 1
        return code

    place.script("db:test", fails)
    with pytest.raises(PermanentError, match="the scratch database restarted or was killed meanwhile"):
        await _proved(place, DROPS)
    assert await place.fleet.schema_proofs(WHERE) == ()


async def test_the_job_of_a_proof_knows_no_secret_and_only_its_own_database(
    here: Served, place: MigratingPlace
) -> None:
    step = await _planned(place, "v2.0.0")
    await step.apply(place.context(PlainPulse("production.prove.0f3a0f3e")))
    pod = place.cluster.api.get(JOB, NAMESPACE, step.spec.name("production.prove.0f3a0f3e"))["spec"]["template"]["spec"]
    assert "secret" not in json.dumps(pod).lower()
    assert pod["automountServiceAccountToken"] is False
    database, *programs = (*pod["initContainers"], *pod["containers"])
    assert (database["image"], database["restartPolicy"]) == ("postgres:15", "Always")
    url = "postgresql://postgres@127.0.0.1:5432/postgres"
    assert all(each["env"] == [{"name": "DATABASE_URL", "value": url}] for each in programs)
    images = [each["image"].partition(":")[2].partition("@")[0] for each in programs]
    assert images == ["v1.2.0", "v1.2.0", "v1.2.0", "v2.0.0", "v1.2.0", "v1.2.0"]
    assert pod["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert "scratch-database" in step.by_hand()[0]
