"""The clients of everything that the bot speaks to besides Slack, opened once for the life of the process.

A new client or a new table of settings that steps need is a line in `_of_environment`: commands and steps find it by its class
(`Context.use`, `StepContext.use`), and what is not configured is not there.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bot.config import Settings
from bot.config.sections import ClusterSettings, TimeSettings
from runbooks.backups.looking import Backups
from runbooks.cache.caches import Cache
from runbooks.clients.aws.bucket import Bucket
from runbooks.clients.aws.cloudfront import Cdn
from runbooks.clients.aws.elasticache import ElastiCacheGroups
from runbooks.clients.aws.target_groups import TargetGroups
from runbooks.clients.github.access import GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.ecr import EcrLogins
from runbooks.clients.image_registry.logins import RegistryLogins
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.clients.postgres.credentials import CredentialsSource
from runbooks.clients.postgres.database import DatabaseClient
from runbooks.database.databases import Database
from runbooks.database.pool import ApplicationPool
from runbooks.fleet.fleet import Fleet
from runbooks.gates.promotion import PromotedFrom
from runbooks.gates.settings import GateSettings
from runbooks.kit.bugs import told
from runbooks.metrics.reading import Metrics
from runbooks.redaction.redactor import default_redactor
from runbooks.rotation.settings import Rotations
from runbooks.scripts.settings import Scripts
from runbooks.sync.queue import SyncQueue
from runbooks.verification.verification import Verification

_log = logging.getLogger(__name__)


def _quietly(client: TargetGroups | Cache) -> None:
    try:
        client.load()
    except Exception as error:  # noqa: BLE001 - the first call says what is wrong, to who asked
        _log.info("%s could not be loaded ahead: %s", type(client).__name__, told(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """What every environment shares, and what each has of its own."""

    clusters: Mapping[str, ClusterClient]
    images: RegistryClient
    health: HealthClient
    environments: Mapping[str, Mapping[type, object]]
    """Environment → clients and settings of its own, each by its class."""
    regions: Mapping[str, Mapping[str, Mapping[type, object]]] = field(default_factory=dict)
    """Environment → region → the clients that are others there."""

    async def load(self) -> None:
        """Import in a thread what the first `status` and `diagnose` would wait for: SDKs take a second, and several on a busy machine."""
        for found in self.environments.values():
            for client in found.values():
                if isinstance(client, TargetGroups | Cache):
                    await asyncio.to_thread(_quietly, client)


async def open_clients(settings: Settings, stack: AsyncExitStack) -> Clients:
    """Return all clients; `stack` closes them. Nothing is asked of any server yet."""
    clusters, regions = await _clusters(settings, stack)
    images = await stack.enter_async_context(
        RegistryClient(
            settings.registries,
            plain_http=settings.bot.sandbox,
            logins=RegistryLogins(settings.bot.registry_auth, default_redactor()),
            ecr=EcrLogins(settings.bot.registry_ecr, default_redactor(), throw_away=settings.bot.sandbox),
            versions=settings.bot.versions,
        )
    )
    health = await stack.enter_async_context(HealthClient(deadline=settings.times.health_deadline))
    return clients_of(settings, clusters, images, health, regions)


def clients_of(
    settings: Settings,
    clusters: Mapping[str, ClusterClient],
    images: RegistryClient,
    health: HealthClient,
    regions: Mapping[str, Mapping[str, ClusterClient]] | None = None,
) -> Clients:
    """Return these, and what each environment has of its own; for tests that open the clusters themselves."""
    environments = {name: _of_environment(settings, name, clusters) for name in settings.environments}
    return Clients(
        clusters=clusters,
        images=images,
        health=health,
        environments=environments,
        regions={
            name: {region: {ClusterClient: cluster} for region, cluster in found.items()}
            for name, found in (regions or {}).items()
        },
    )


def _of_environment(settings: Settings, name: str, clusters: Mapping[str, ClusterClient]) -> dict[type, object]:
    configured, cluster = settings.environments[name], clusters[name]
    scripts = Scripts(configured.scripts) if configured.scripts else None
    plain = (
        configured.build,
        configured.gates,
        configured.manifests,
        configured.migrations,
        configured.websockets,
        scripts,
    )
    found: list[object] = [configured.certificates, *(each for each in plain if each is not None)]
    if configured.sync is not None:
        found.append(SyncQueue(cluster, settings.environment(name), configured.sync, _exports(settings, name)))
    found += _database_clients(settings, name, cluster)
    found += _aws_clients(settings, name)
    if configured.verification is not None:
        queue = next((each for each in found if isinstance(each, SyncQueue)), None)
        found.append(Verification(settings.environment(name), configured.verification, cluster, queue))
    if (monitoring := settings.monitoring(name)) is not None:
        found.append(Metrics(settings.environment(name), monitoring.metrics, monitoring.own))
    if configured.cache is not None:
        found.append(Cache(configured.cache, default_redactor(), home=configured.home_region))
    if configured.rotations:
        found.append(Rotations(configured.rotations, throw_away=settings.bot.sandbox))
    if configured.github is not None:
        token = GithubToken(default_redactor(), throw_away=settings.bot.sandbox)
        found.append(GithubClient(configured.github, token, default_redactor()))
    if configured.gates is not None:
        found += _gate_clients(settings, configured.gates, clusters)
    return {type(each): each for each in found}


def _database_clients(settings: Settings, name: str, cluster: ClusterClient) -> Iterator[object]:
    """The server's, and the application's own view of its pool."""
    configured = settings.environments[name]
    if configured.database is not None:
        kubectl = settings.environment(name).kubectl
        source = CredentialsSource(
            configured.database, cluster, configured.namespace, default_redactor(), kubectl=kubectl
        )
        yield Database(name, DatabaseClient(configured.database, source))
    if configured.pool is not None:
        yield ApplicationPool(cluster, settings.environment(name), configured.pool)


def _aws_clients(settings: Settings, name: str) -> Iterator[object]:
    configured, throw_away = settings.environments[name], settings.bot.sandbox
    if configured.backups is not None:
        backups = Backups(configured.backups, throw_away=throw_away)
        yield from (backups, backups.rds)
    if configured.cdn is not None:
        yield Cdn(configured.cdn, throw_away=throw_away)
    if configured.elasticache is not None:
        yield ElastiCacheGroups(configured.elasticache, throw_away=throw_away)
    if configured.load_balancer is not None:
        yield TargetGroups(configured.load_balancer, throw_away=throw_away)


def _gate_clients(settings: Settings, gates: GateSettings, clusters: Mapping[str, ClusterClient]) -> Iterator[object]:
    """What the gates look at outside of their environment."""
    if (there := gates.promoted_from) is not None:
        verifies = settings.environments[there].verification is not None
        yield PromotedFrom(environment=settings.environment(there), fleet=Fleet(clusters[there]), verifies=verifies)


def _exports(settings: Settings, name: str) -> Bucket | None:
    """No credentials are looked for in a sandbox: its S3 is a process of this machine, and takes everybody."""
    found = settings.environments[name].exports
    return Bucket(found, throw_away=settings.bot.sandbox) if found is not None else None


async def _clusters(
    settings: Settings, stack: AsyncExitStack
) -> tuple[dict[str, ClusterClient], dict[str, dict[str, ClusterClient]]]:
    """Return each environment's cluster, which is its home region's, and those of its regions: one client for each cluster."""
    shared: dict[ClusterSettings, ClusterClient] = {}

    async def client(cluster: ClusterSettings) -> ClusterClient:
        if cluster not in shared:
            shared[cluster] = await stack.enter_async_context(
                ClusterClient(
                    kubeconfig=str(cluster.kubeconfig) if cluster.kubeconfig else None,
                    context=cluster.context,
                    timing=_timing(settings.times),
                    mirrors=settings.mirrors,
                )
            )
        return shared[cluster]

    homes, regions = {}, {}
    for name, environment in settings.environments.items():
        homes[name] = await client(environment.home_cluster)
        regions[name] = {region: await client(found) for region, found in environment.clusters().items()}
    return homes, regions


def _timing(times: TimeSettings) -> Timing:
    return Timing(
        call=times.cluster_call,
        watch=times.cluster_watch,
        watch_grace=times.cluster_watch / 5,
        retry=times.cluster_retry,
        refusals=times.cluster_refusals,
    )
