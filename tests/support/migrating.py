"""A backend with migrations in the sandbox's cluster, on a real PostgreSQL: for tests of what is planned and done about a schema."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.database.databases import Database
from runbooks.fleet.fleet import Fleet
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.kit.train import Part, Train
from runbooks.migrations.migrating import ApplyMigrations
from runbooks.migrations.planning import plan_part
from runbooks.migrations.settings import MigrationSettings, ProofSettings
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.programs import Execution
from sandbox.migrations import Schemas
from sandbox.outside.registry import Registry, digest_of
from sandbox.smoke_tests import SmokeTests
from tests.support.clusters import QUICK
from tests.support.databases import Served

RUN = "production.deploy.0f3a0f3a0f3a0f3a"
NAMESPACE = "omnicare-prod"
WHERE = Environment(
    name="production",
    namespace=NAMESPACE,
    record_namespace="omnicare-bot",
    services=(
        Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"),
    ),
)
SETTINGS = MigrationSettings(
    list=("npm", "run", "--silent", "migrate:list"), secret="omnicare-database", deadline=30, list_seconds=60
)  # fmt: skip
PROVING = SETTINGS.model_copy(update={"proof": ProofSettings(image="postgres:15", deadline=30)})
NEW = ("20261001_add_encounter_reason", "20261015_index_observations_by_code")


class MigratingPlace:
    """A cluster with OmniCare in it, and the migrations of its backend."""

    def __init__(self, cluster: Cluster, client: ClusterClient, schemas: Schemas, registry: RegistryClient) -> None:
        self.cluster, self.client, self.schemas, self.registry = cluster, client, schemas, registry
        self.database: Database | None = None
        self.fleet = Fleet(client)
        self.more: dict[type, object] = {}

    @property
    def clients(self) -> dict[type, object]:
        return {
            ClusterClient: self.client,
            RegistryClient: self.registry,
            Fleet: self.fleet,
            **({Database: self.database} if self.database is not None else {}),
            **self.more,
        }

    def script(self, name: str, program: Callable[[Execution], Awaitable[int]]) -> None:
        self.cluster.add_scripts({name: program})

    async def part(
        self, version: str = "v2.0.0", settings: MigrationSettings | None = SETTINGS, **more: object
    ) -> Part:
        train = Train(
            environment=WHERE, version=version, changes=(change(version),), now=datetime.now(UTC),
            clients={**self.clients, **({MigrationSettings: settings} if settings else {})}, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        return await plan_part(train)

    def context(self, pulse: PlainPulse | None = None) -> StepContext:
        return StepContext(pulse=pulse or PlainPulse(RUN), environment=WHERE, services=self.clients, asked_by="Dana")


def image(tag: str) -> Image:
    return Image(repository="ghcr.io/omnicare/backend", tag=tag, digest=digest_of("backend", tag))


def change(version: str, before: str = "v1.2.0") -> ImageChange:
    return ImageChange(
        service="backend", namespace=NAMESPACE, deployment="backend", container="backend",
        before=image(before), after=image(version),
    )  # fmt: skip


def the_step(part: Part) -> ApplyMigrations:
    (step,) = part.before
    assert isinstance(step, ApplyMigrations)
    return step


@asynccontextmanager
async def migrating_place(folder: Path, postgres: Served) -> AsyncIterator[MigratingPlace]:
    """At its end the schema is as it was."""
    cluster, schemas = Cluster(QUICK), Schemas(postgres.world)
    seed_omnicare(cluster)
    cluster.add_scripts({**schemas.scripts(), **SmokeTests(trouble=schemas.trouble).scripts()})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(cluster.serve())
        path = folder / "bot.kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        client = await stack.enter_async_context(ClusterClient(kubeconfig=str(path)))
        address = await stack.enter_async_context(Registry().serve())
        registry = await stack.enter_async_context(RegistryClient({"ghcr.io": address}, plain_http=True))
        made = MigratingPlace(cluster, client, schemas, registry)
        made.database = postgres.database()
        yield made
        await schemas.reset()
