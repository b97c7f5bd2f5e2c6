"""Migrations on a real PostgreSQL: what the plan reads there, what a migration leaves, drift, and undoing."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.database.databases import Database
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.kit.train import Part, Train
from runbooks.migrations.migrating import Migrate
from runbooks.migrations.planning import plan_part
from runbooks.migrations.settings import MigrationSettings
from runbooks.migrations.undoing import UndoMigration, plan_undo
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.migrations import Schemas
from sandbox.outside.registry import Registry, digest_of
from tests.support.clusters import QUICK
from tests.support.databases import Served

WHERE = Environment(
    name="production",
    namespace="omnicare-prod",
    record_namespace="omnicare-bot",
    services=(
        Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"),
    ),
)
SETTINGS = MigrationSettings(
    list=("npm", "run", "--silent", "migrate:list"), secret="omnicare-database", deadline=60
)  # fmt: skip
NEW = ("20261001_add_encounter_reason", "20261015_index_observations_by_code")
Clients = dict[type, object]


@pytest.fixture
async def clients(here: Served, tmp_path: Path) -> AsyncIterator[Clients]:
    cluster, schemas = Cluster(QUICK), Schemas(here.world)
    seed_omnicare(cluster)
    cluster.add_scripts(schemas.scripts())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(cluster.serve())
        path = tmp_path / "bot.kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        client = await stack.enter_async_context(ClusterClient(kubeconfig=str(path)))
        address = await stack.enter_async_context(Registry().serve())
        registry = await stack.enter_async_context(RegistryClient({"ghcr.io": address}, plain_http=True))
        found = {ClusterClient: client, Database: here.database(), MigrationSettings: SETTINGS}
        yield {**found, RegistryClient: registry}
        await schemas.reset()


async def _part(clients: Clients) -> Part:
    before, after = (
        Image(repository="ghcr.io/omnicare/backend", tag=tag, digest=digest_of("backend", tag))
        for tag in ("v1.2.0", "v2.0.0")
    )
    change = ImageChange(
        service="backend", namespace="omnicare-prod", deployment="backend", container="backend",
        before=before, after=after,
    )  # fmt: skip
    return await plan_part(
        Train(environment=WHERE, version="v2.0.0", changes=(change,), now=datetime.now(UTC), clients=clients)
    )


def _context(clients: Clients, run: str) -> StepContext:
    return StepContext(pulse=PlainPulse(run), environment=WHERE, services=clients)


async def test_a_migration_is_planned_with_the_tables_size_applied_and_undone(here: Served, clients: Clients) -> None:
    part = await _part(clients)
    (step,) = part.before
    assert isinstance(step, Migrate)
    assert step.pending == NEW
    (warning,) = part.warnings
    assert re.fullmatch(
        r"20261015_index_observations_by_code locks observations \(\d+ k rows, .+ writes/s on average\) against writing\.",
        warning,
    )
    done = await step.apply(_context(clients, "production.deploy.0f3a0f3a"))
    assert done.applied == NEW
    assert done.newest[:2] == tuple(reversed(NEW))
    assert here.sql("SELECT reason FROM encounters LIMIT 1")
    assert (await _part(clients)).before == ()
    client, database, registry = clients[ClusterClient], clients[Database], clients[RegistryClient]
    assert isinstance(registry, RegistryClient)
    assert isinstance(client, ClusterClient)
    assert isinstance(database, Database)
    (undo,) = (await plan_undo(client, registry, database, SETTINGS, WHERE, None)).steps
    assert isinstance(undo, UndoMigration)
    assert (undo.name, undo.version) == (NEW[1], "v2.0.0")
    undone = await undo.apply(_context(clients, "production.db-rollback.0f3a0f3b"))
    assert undone.undone == (NEW[1],)


async def test_a_migration_that_the_release_does_not_contain_is_drift(here: Served, clients: Clients) -> None:
    here.sql("INSERT INTO schema_migrations VALUES ('20260909_by_hand')")
    try:
        part = await _part(clients)
    finally:
        here.sql("DELETE FROM schema_migrations WHERE version = '20260909_by_hand'")
    assert part.warnings[0].startswith("Drift: the database has 1 migration that this release does not contain")


async def test_where_the_reader_may_not_read_the_table_what_is_pending_is_said_to_be_unknown(
    here: Served, clients: Clients
) -> None:
    here.sql("REVOKE SELECT ON schema_migrations FROM omnicare_reader")
    try:
        part = await _part(clients)
    finally:
        here.sql("GRANT SELECT ON schema_migrations TO omnicare_reader")
    (step,) = part.before
    assert isinstance(step, Migrate)
    assert step.pending is None
    assert "schema_migrations can't be read" in part.warnings[-1]
