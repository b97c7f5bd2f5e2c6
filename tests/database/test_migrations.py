"""Migrations on a real PostgreSQL: what the plan reads there, what a migration leaves, drift, and undoing."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbooks.kit.steps import PlainPulse
from runbooks.migrations.migrating import ApplyMigrations
from runbooks.migrations.undoing import UndoMigration, plan_undo
from tests.support.databases import Served
from tests.support.migrating import NEW, SETTINGS, WHERE, MigratingPlace, migrating_place


@pytest.fixture
async def place(here: Served, tmp_path: Path) -> AsyncIterator[MigratingPlace]:
    async with migrating_place(tmp_path, here) as made:
        yield made


async def test_a_migration_is_planned_with_the_tables_size_applied_and_undone(
    here: Served, place: MigratingPlace
) -> None:
    part = await place.part()
    (step,) = part.before
    assert isinstance(step, ApplyMigrations)
    assert step.pending == NEW
    (warning,) = part.warnings
    assert re.fullmatch(
        r"20261015_index_observations_by_code locks observations \(\d+ k rows, .+ writes/s on average\) against writing\.",
        warning,
    )
    done = await step.apply(place.context())
    assert done.applied == NEW
    assert done.newest[:2] == tuple(reversed(NEW))
    assert here.sql("SELECT reason FROM encounters LIMIT 1")
    assert (await place.part()).before == ()
    (undo,) = (await plan_undo(place.client, place.registry, place.database, SETTINGS, WHERE, None)).steps
    assert isinstance(undo, UndoMigration)
    assert (undo.name, undo.version) == (NEW[1], "v2.0.0")
    undone = await undo.apply(place.context(PlainPulse("production.db-rollback.0f3a0f3b")))
    assert undone.undone == (NEW[1],)


async def test_a_migration_that_the_release_does_not_contain_is_drift(here: Served, place: MigratingPlace) -> None:
    here.sql("INSERT INTO schema_migrations VALUES ('20260909_by_hand')")
    try:
        part = await place.part()
    finally:
        here.sql("DELETE FROM schema_migrations WHERE version = '20260909_by_hand'")
    assert part.warnings[0].startswith("Drift: the database has 1 migration that this release does not contain")


async def test_where_the_reader_may_not_read_the_table_what_is_pending_is_said_to_be_unknown(
    here: Served, place: MigratingPlace
) -> None:
    here.sql("REVOKE SELECT ON schema_migrations FROM omnicare_reader")
    try:
        part = await place.part()
    finally:
        here.sql("GRANT SELECT ON schema_migrations TO omnicare_reader")
    (step,) = part.before
    assert isinstance(step, ApplyMigrations)
    assert step.pending is None
    assert "schema_migrations can't be read" in part.warnings[-1]
