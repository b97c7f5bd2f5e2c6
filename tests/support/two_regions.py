"""An environment in two clusters, eu (home) and us, with the clients that the bot has of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import Place
from runbooks.fleet.fleet import Fleet, Lease, utc_now
from runbooks.kit.plan import Plan
from runbooks.kit.steps import PlainPulse, Results, StepContext, done
from runbooks.kit.targets import Environment, Region, Service
from runbooks.kit.timeouts import RolloutSettings
from runbooks.release.plans import plan_deploy, plan_rollback
from sandbox.cluster import Cluster
from sandbox.cluster.resources import DEPLOYMENT
from sandbox.outside.registry import Registry
from sandbox.regions import RegionServer
from tests.support.real import QUICK
from tests.support.worlds import FAST_CLUSTER

NAMESPACE = "omnicare-prod"
SETTINGS = RolloutSettings(region_seconds=0.3)


@dataclass
class TwoRegions:
    """Both clusters, and the clients of the environment that is in them."""

    environment: Environment
    servers: dict[str, RegionServer]
    clusters: dict[str, ClusterClient]
    registry: RegistryClient

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.clusters["eu"])

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(Place(self.environment.within(name), self.clusters[name], patience=30.0) for name in self.clusters)

    async def deploy(self, version: str = "v2.0.0", *regions: str) -> Plan:
        return await plan_deploy(
            self.clusters["eu"],
            self.registry,
            self.fleet,
            self.environment,
            version,
            places=self.places,
            regions=regions,
        )

    async def rollback(self, *regions: str, to: str | None = None) -> Plan:
        home = self.clusters["eu"]
        return await plan_rollback(
            home, self.registry, self.fleet, self.environment, places=self.places, regions=regions, to=to
        )

    def context(self, run: str) -> StepContext:
        home = self.clusters["eu"]
        return StepContext(
            pulse=PlainPulse(run),
            environment=self.environment,
            services={type(each): each for each in (home, self.registry, self.fleet, SETTINGS)},
            regions={name: {ClusterClient: cluster} for name, cluster in self.clusters.items()},
        )

    async def do(self, plan: Plan, run: str) -> Results:
        """What the bot does with an approved plan."""
        lease = Lease(run=run, title=plan.title, by="requester", since=utc_now())
        holder = (await self.fleet.read(self.environment)).run
        assert await self.fleet.take_over(self.environment, lease, of=holder)
        return await done(plan.steps, self.context(run))

    def tags(self, region: str) -> list[str]:
        found = [
            self.servers[region].cluster.store.get(DEPLOYMENT, NAMESPACE, name) for name in ("backend", "frontend")
        ]
        images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in found if each is not None]
        return [image.partition("@")[0].rpartition(":")[2] for image in images]


def with_regions(**more: Region) -> Environment:
    regions = {
        "eu": Region(name="eu", kubectl="kubectl --context eu", bake_seconds=0.2),
        "us": Region(name="us", kubectl="kubectl --context us"),
    }
    return Environment(
        name="production",
        namespace=NAMESPACE,
        record_namespace="omnicare-bot",
        services=tuple(
            Service(name=name, deployment=name, container=name, repository=f"ghcr.io/omnicare/{name}")
            for name in ("backend", "frontend")
        ),
        regions=tuple((regions | more).values()),
        home="eu",
    )


@asynccontextmanager
async def two_regions(folder: Path) -> AsyncIterator[TwoRegions]:
    """Both clusters while they are served; `folder`: for their kubeconfigs."""
    async with (
        RegionServer("eu", Cluster(FAST_CLUSTER)) as eu,
        RegionServer("us", Cluster(FAST_CLUSTER)) as us,
        Registry().serve() as url,
        RegistryClient({"ghcr.io": url}, plain_http=True) as registry,
    ):
        servers = {"eu": eu, "us": us}
        for name, server in servers.items():
            (folder / name).write_text(server.cluster.kubeconfig("admin"))
        async with (
            ClusterClient(kubeconfig=str(folder / "eu"), timing=QUICK) as home,
            ClusterClient(kubeconfig=str(folder / "us"), timing=QUICK) as away,
        ):
            yield TwoRegions(with_regions(), servers, {"eu": home, "us": away}, registry)
