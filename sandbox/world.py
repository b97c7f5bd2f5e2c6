"""The local world: a Slack, a cluster, a registry and the bot, all on 127.0.0.1, seeded and ready in seconds.

The bot in it is `omnicare serve`, the same code as in production; only addresses differ. `sandbox.command` opens it for a person.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from aiohttp import web

from bot.surfaces.slack.manifest import manifest
from commands.kit import registry as commands
from runbooks.kit.waiting import merged
from sandbox import configuration, train
from sandbox.aws import Aws
from sandbox.bot_process import READY_SECONDS, BotDied, BotProcess
from sandbox.cache import CacheCluster
from sandbox.cluster import Cluster
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.cluster.view import PodView
from sandbox.elasticache import ElastiCache
from sandbox.load_balancer import TargetGroups
from sandbox.migrations import Schemas
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.certificates import TlsHosts
from sandbox.outside.github import Github
from sandbox.outside.health import HealthServer
from sandbox.outside.prometheus import PrometheusServer
from sandbox.outside.registry import Registry
from sandbox.people import furnish
from sandbox.postgres import Database
from sandbox.regions import RegionServer
from sandbox.regions import kubeconfig as kubeconfig_of
from sandbox.scenarios import (
    BY_NAME,
    CACHE,
    CERTIFICATES,
    DATABASE,
    ELASTICACHE,
    FREEZE,
    GATES,
    GROUPS,
    METRICS,
    REGIONS,
    TARGETS,
)
from sandbox.scenarios.playing import Playing
from sandbox.scenarios.scenario import Scenario
from sandbox.slack.page import create_page
from sandbox.slack.page.offers import CommandHint
from sandbox.slack.page.world import Breakage, Pod
from sandbox.slack.server import SlackServer
from sandbox.slack.settings import SlackApp, SlackSettings
from sandbox.slack.workspace import Workspace
from sandbox.smoke_tests import SmokeTests
from sandbox.sync_queue import SyncQueue, scripts_of
from sandbox.tries import tries

FOLDER = Path(".sandbox")
NAMESPACES = {"production": "omnicare-prod", "staging": "omnicare-staging"}


class SandboxError(Exception):
    """The sandbox can't be started; the message is a sentence."""


class SandboxWorld:
    """Everything around the bot, and the bot: what the page's *World* shows and breaks (`sandbox.slack.page.world.World`)."""

    breakages: Sequence[Breakage] = (
        Breakage("bot", "Kill the bot"),
        Breakage("slack", "Slack down for 20 s"),
        Breakage("connections", "Refresh Slack's connections"),
    )

    def __init__(
        self,
        folder: Path,
        *,
        settings: SlackSettings | None = None,
        cluster: ClusterSettings | None = None,
        database: Database | None = None,
    ) -> None:
        self.folder = folder
        self.database = database
        self.cluster = Cluster(cluster or ClusterSettings(nodes=3))
        self.regions: dict[str, RegionServer] = {}
        """Production's regions away from home."""
        self.home: RegionServer | None = None
        """The region with the record, or the one cluster; None where that is not the sandbox's own."""
        self.sync = {namespace: SyncQueue(takes_ids=name != "staging") for name, namespace in NAMESPACES.items()}
        self.cluster.add_scripts(scripts_of(self.sync))
        self.registry = Registry()
        self.health = HealthServer(self.cluster, NAMESPACES)
        self.smoke = SmokeTests()
        self.prometheus: PrometheusServer | None = None
        self.alertmanager: AlertmanagerServer | None = None
        """Where the release train has its verification."""
        self.monitoring: dict[str, tuple[PrometheusServer, AlertmanagerServer]] = {}
        """Those of the regions away from home."""
        self.offers_scenarios = True
        """False where the cluster is not the sandbox's own."""
        self._switched = asyncio.Event()
        self._playing = Playing(self, self._switched.set)
        self.cluster.on_change(self._playing.look)
        self.frozen = False
        """Whether the configuration has a freeze window now."""
        self._outdated = self._kept = False
        self.github: Github | None = None
        """Where the gates are served."""
        self.cache: CacheCluster | None = None
        self.tls: TlsHosts | None = None
        self.elasticache: ElastiCache | None = None
        self.target_groups: TargetGroups | None = None
        self.after_seed: list[Callable[[], None]] = []
        """What the parts of the release train add to the fleet as it is at first."""
        self.schemas = Schemas(database)
        self.aws = Aws()
        self.hurry: int | None = None
        """Seconds that a scenario waits instead of its own; for tests."""
        app = SlackApp.from_manifest(yaml.safe_load(manifest(commands.load())))
        self.workspace = Workspace(app=app, settings=settings)
        furnish(self.workspace)
        self.slack = SlackServer(self.workspace)
        self.kubeconfig_path = folder / "kubeconfig"
        self.bot: BotProcess | None = None
        self._environments = {namespace: name for name, namespace in NAMESPACES.items()}
        self._tending: set[asyncio.Task[None]] = set()
        self.closing = False

    # for the page

    def pods(self) -> list[Pod]:
        """Every pod of the environments; a Job's that has ended well serves nothing any more."""
        places = [("", self.cluster), *((f" in {name}", region.cluster) for name, region in self.regions.items())]
        return [
            Pod(self._environments[pod.namespace] + place, pod.deployment, pod.name, pod.version, pod.status, pod.ready)
            for place, cluster in places
            for pod in cluster.pods()
            if pod.namespace in self._environments
            and pod.phase != "Succeeded"
            and (not place or self._environments[pod.namespace] == next(iter(NAMESPACES)))
        ]

    async def changes(self) -> AsyncIterator[None]:
        """Whenever a pod comes, changes or goes, or a scenario is switched."""
        clusters = (self.cluster, *(each.cluster for each in self.regions.values()))
        streams = [*(cluster.changes() for cluster in clusters), self._switches()]
        async with merged(*streams) as changes:
            async for _ in changes:
                yield

    async def _switches(self) -> AsyncGenerator[tuple[PodView, ...]]:
        while True:
            await self._switched.wait()
            self._switched.clear()
            yield ()

    async def break_something(self, kind: str) -> str:
        """Break what mends itself."""
        assert self.bot is not None, "the world is open"
        if kind == "bot":
            await self.bot.kill()
            return "The bot was killed (kill -9). It starts again by itself, and what ran goes on."
        if kind == "slack":
            self.slack.go_down()
            self._tend(self._back_up(20.0))
            return "Slack is down for 20 s. What runs goes on; the thread is brought up to date afterwards."
        if (region := self._region(kind)) is not None:
            await region.go_down()
            self._tend(self._reachable_again(region, 60.0))
            return f"The cluster of {kind} does not answer for 60 s."
        await self.workspace.refresh_connections()
        return "Slack asked the bot to connect anew, as it does every few hours."

    async def _back_up(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.slack.come_back()

    def _region(self, name: str) -> RegionServer | None:
        return self.home if self.home is not None and name and name == self.home.name else self.regions.get(name)

    async def _reachable_again(self, region: RegionServer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await region.come_back()

    def _tend(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload] # a coroutine
        self._tending.add(task)
        task.add_done_callback(self._tending.discard)

    async def play(self, scenario: Scenario) -> str:
        """Switch the scenario on, beside those that are, and say what to type."""
        if self.hurry is not None and scenario.deadline is not None:
            scenario = replace(scenario, deadline=self.hurry)
        if scenario in DATABASE and self.database is None:
            raise SandboxError("This sandbox has no database to break.")
        self._playing.start(scenario)
        await self._started_again()
        self._switched.set()
        return f"{scenario.sentence} Type: /omnicare {scenario.command}"

    async def end(self, scenario: Scenario) -> str:
        """Switch it off: what it changed is as before, what somebody has mended stays."""
        self._playing.end(scenario)
        await self._started_again()
        self._switched.set()
        return f"{scenario.name} is off."

    @property
    def played(self) -> Sequence[Scenario]:
        """What is on."""
        return self._playing.on

    def freeze(self, *, frozen: bool) -> None:
        """Configure a freeze window, or take it out; a bot that runs has to start again (`_started_again`)."""
        self.frozen = frozen
        configuration.freeze(self.folder / "omnicare.toml", frozen=frozen)
        self._outdated = self.bot is not None and self.bot.pid is not None

    async def _started_again(self) -> None:
        """Once a bot whose configuration has changed runs with the new one."""
        if not self._outdated or self.bot is None:
            return
        self._outdated = False
        await self.bot.stop(5.0)
        if self._kept:
            while self.bot.pid is None:
                await asyncio.sleep(0.02)
        else:
            await self.bot.start()
        await self.bot_ready()

    async def switch(self, name: str, *, on: bool) -> str:
        """Switch a scenario on or off, for the page."""
        scenario = BY_NAME[name]
        return await (self.play(scenario) if on else self.end(scenario))

    @property
    def scenario_groups(self) -> Sequence[tuple[str, Sequence[Scenario]]]:
        """What the page offers, by group."""
        if not self.offers_scenarios:
            return ()
        left_out = (
            *(DATABASE if self.database is None else ()),
            *((*GATES, *FREEZE) if self.github is None else ()),
            *(METRICS if self.prometheus is None else ()),
            *(CACHE if self.cache is None else ()),
            *(CERTIFICATES if self.tls is None else ()),
            *(ELASTICACHE if self.elasticache is None else ()),
            *(TARGETS if self.target_groups is None else ()),
            *REGIONS,
        )
        groups = ((title, [each for each in group if each not in left_out]) for title, group in GROUPS)
        return [(title, group) for title, group in groups if group]

    @property
    def scenarios(self) -> Sequence[Scenario]:
        """What the page offers."""
        return [each for _, group in self.scenario_groups for each in group]

    async def reset(self) -> None:
        """The fleet as it was at first; conversations and the audit log stay."""
        for queue in self.sync.values():
            queue.reset()
        self._playing.forget()
        if self.frozen:
            self.freeze(frozen=False)
            await self._started_again()
        self._switched.set()
        await self.schemas.reset()
        for region in filter(None, (self.home, *self.regions.values())):
            await region.come_back()
            region.reset()
        if self.github is not None:
            self.github.reset()
        if self.prometheus is not None and self.alertmanager is not None:
            self.prometheus.raised.clear()
            self.alertmanager.firing.clear()
        if self.cache is not None:
            self.cache.mend()
        if self.target_groups is not None:
            self.target_groups.wanted.clear()
        for add in self.after_seed:
            add()
        if self.database is not None:
            await self.database.mend()
            self.database.hand_out(self.cluster)

    def kubeconfig(self, regions: Sequence[str], user: str) -> str:
        """The kubeconfig of the one cluster, or of all regions with a context for each."""
        if not regions:
            return self.cluster.kubeconfig(user)
        others = {name: region.cluster for name, region in self.regions.items()}
        return kubeconfig_of({regions[0]: self.cluster, **others}, user)

    # the bot

    async def start_bot(self, extra: dict[str, str] | None = None) -> None:
        """Starts `omnicare serve` and waits until Slack's deliveries reach it."""
        assert self.bot is not None, "the world is open"
        await self.bot.start(extra)
        await self.bot_ready()

    async def bot_ready(self) -> None:
        """Until the bot has its Socket Mode connections; `BotDied` where it ends before."""
        assert self.bot is not None, "the world is open"
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not self.workspace.app_connected:
                    if self.bot.pid is None:
                        raise BotDied(f"The bot ended before it was ready. The end of its log:\n{self.bot.tail()}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BotDied(
                f"The bot was not ready within {READY_SECONDS:g} s. The end of its log:\n{self.bot.tail()}"
            ) from None

    async def keep_bot(self) -> None:
        """Starts the bot again whenever it ends, as a cluster would."""
        assert self.bot is not None, "the world is open"
        self._kept = True
        while not self.closing:
            await self.bot.wait()
            if not self.closing:
                await asyncio.sleep(0.5)
                await self.bot.start()


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    kubeconfig: Path | None = None,
    times: dict[str, float] | None = None,
    settings: SlackSettings | None = None,
    cluster: ClusterSettings | None = None,
    slack: dict[str, object] | None = None,
    namespaces: dict[str, str] | None = None,
    record_namespace: str = "omnicare-bot",
    database: Database | None = None,
    parts: Collection[str] = (),
    regions: Sequence[str] = (),
    bake: float = 5.0,
    process: type[BotProcess] = BotProcess,
) -> AsyncIterator[SandboxWorld]:
    """The whole world, the bot in it not yet started. `database`: one that is served already; it may still be coming up; `parts`: of the
    release train (`sandbox.train`); `regions`: production's, the home region first; `bake`: seconds that a release runs in each;
    `process`: how the bot is started.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        world = SandboxWorld(folder, settings=settings, cluster=cluster, database=database)
        registry = await stack.enter_async_context(world.registry.serve())
        exports = await stack.enter_async_context(world.aws.serve())
        if kubeconfig is None:
            world.home = RegionServer(regions[0] if regions else "", world.cluster)
            await stack.enter_async_context(world.home)
            for name in regions[1:]:
                away = RegionServer(name, Cluster(cluster or ClusterSettings(nodes=3)))
                world.regions[name] = await stack.enter_async_context(away)
            account = folder / "bot.kubeconfig"
            for path, user in ((world.kubeconfig_path, "admin"), (account, "omnicare-bot")):
                path.write_text(world.kubeconfig(regions, user), encoding="utf-8")
                path.chmod(0o600)
            await stack.enter_async_context(world.health.serve())
            if database is not None:
                database.hand_out(world.cluster)
        else:
            account = world.kubeconfig_path = kubeconfig.resolve()
            world.offers_scenarios = False
        await stack.enter_async_context(world.slack)
        tables = await train.served(world, stack, parts)
        config = configuration.write(
            folder,
            kubeconfig=account,
            slack_api=world.slack.api_url,
            registry=registry,
            exports=exports,
            namespaces=namespaces or NAMESPACES,
            record_namespace=record_namespace,
            times=times,
            slack=slack,
            health=world.health.url_of if kubeconfig is None else None,
            database=database.settings(folder if kubeconfig else None) if database is not None else None,
            train=tables,
            regions=regions,
            bake=bake,
        )
        world.bot = process(
            config, bot_token=world.slack.bot_token, app_token=world.slack.app_token, log=folder / "bot.log"
        )
        try:
            yield world
        finally:
            world.closing = True
            await world.bot.stop(5.0)


async def _page(world: SandboxWorld, stack: AsyncExitStack, port: int) -> str:
    token = secrets.token_urlsafe(24)
    hints = [CommandHint(spec.name, spec.usage, spec.summary) for spec in commands.load()]
    application = create_page(world.workspace, token=token, commands=hints, world=world, tries=tries(world))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/?token={token}"
