"""`diagnose` on offline sync, its WebSocket connections and the application's pool: named where they are broken, quiet where they are not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.regions import RegionMonitoring
from runbooks.database.pool import ApplicationPool, PoolScript
from runbooks.metrics.reading import Metrics
from runbooks.metrics.settings import MetricsSettings
from runbooks.metrics.standing import MetricHistory, NamedSeries
from runbooks.sync.queue import SyncQueue as Queue
from runbooks.sync.queue import SyncScripts
from runbooks.troubleshooting.asking import diagnose
from runbooks.troubleshooting.findings import Confidence, RuleAnswer, Trouble
from runbooks.troubleshooting.pools import ApplicationPools
from runbooks.troubleshooting.rule import Rule
from runbooks.troubleshooting.syncs import SyncQueues, Websockets
from runbooks.websockets.measured import drops_of
from runbooks.websockets.settings import WINDOW, WebsocketSettings
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.log_moods import ANNOTATION, Mood, annotation
from sandbox.cluster.programs import Execution
from sandbox.cluster.settings import Settings
from sandbox.outside.prometheus import PrometheusServer, Raised
from sandbox.sync_queue import SyncQueue, scripts_of
from tests.support.cases import PRODUCTION, case
from tests.support.two_regions import with_regions

_POOL = b'{"max": 4, "total": 4, "active": %d, "idle": 1, "waiting": %d}\n'


@dataclass
class Here:
    """A cluster whose backend has a queue and a pool."""

    cluster: Cluster
    client: ClusterClient
    queue: SyncQueue
    pool: bytes = _POOL % (1, 0)

    async def print_pool(self, execution: Execution) -> int:
        await execution.out(self.pool)
        return 0

    async def look(self, rule: Rule, *, configured: bool = True) -> RuleAnswer:
        clients: dict[type, object] = {}
        if configured:
            clients[Queue] = Queue(self.client, PRODUCTION, SyncScripts())
            clients[ApplicationPool] = ApplicationPool(self.client, PRODUCTION, PoolScript())
        async with case(clients, cluster=self.client) as asked:
            return await rule.look(asked)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    cluster, queue = Cluster(Settings(nodes=3)), SyncQueue()
    seed_omnicare(cluster)
    async with cluster.serve():
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client:
            made = Here(cluster, client, queue)
            cluster.add_scripts({**scripts_of({PRODUCTION.namespace: queue}), "db:pool:status": made.print_pool})
            yield made


async def test_what_is_well_is_found_well_and_what_is_not_configured_is_no_trouble(here: Here):
    for rule in (SyncQueues(), Websockets(), ApplicationPools()):
        assert (await here.look(rule)).well, rule.name
        assert (await here.look(rule, configured=False)).not_configured, rule.name


async def test_a_stuck_queue_is_named_with_its_age(here: Here):
    here.queue.break_it("stuck")
    (stuck,) = (await here.look(SyncQueues())).found
    assert stuck.kind is Trouble.SYNC_STUCK
    assert stuck.cause.startswith("Offline sync is stuck: 894 items waiting, the oldest for 21 min")
    assert [each.command for each in stuck.to_do] == ["sync status", "sync websocket", "restart backend"]


async def test_scripts_that_are_missing_are_why_nobody_could_look(here: Here):
    here.queue.break_it("missing")
    async with case({Queue: Queue(here.client, PRODUCTION, SyncScripts())}, cluster=here.client) as asked:
        said = await diagnose(asked, (SyncQueues(),))
    ((name, why),) = said.unknown
    assert (name, said.findings) == ("offline sync", ())
    assert "has no script for this" in why


async def test_a_queue_of_which_nobody_knows_how_long_it_is_is_unknown_and_not_well(here: Here):
    async def print_failed_alone(execution: Execution) -> int:
        await execution.out(b'{"failed": 0}\n')
        return 0

    here.cluster.add_scripts({"sync:status": print_failed_alone})
    assert "does not say how many items wait" in (await here.look(SyncQueues())).unknown[0]


async def test_connections_that_drop_are_named_with_their_pods_and_stand_before_the_queue(here: Here):
    pods = sorted(pod.name for pod in here.cluster.pods(PRODUCTION.namespace) if pod.deployment == "backend")
    for name in pods[:1]:
        here.cluster.annotate_pod(
            PRODUCTION.namespace, name, ANNOTATION, annotation(Mood.DROPS, here.cluster.clock.now())
        )
    (one,) = (await here.look(Websockets())).found
    assert one.cause == f"backend: WebSocket connections drop in pod {pods[0]}"
    for name in pods[1:]:
        here.cluster.annotate_pod(
            PRODUCTION.namespace, name, ANNOTATION, annotation(Mood.DROPS, here.cluster.clock.now())
        )
    here.queue.break_it("stuck")
    async with case({Queue: Queue(here.client, PRODUCTION, SyncScripts())}, cluster=here.client) as asked:
        said = await diagnose(asked, (SyncQueues(), Websockets()))
    assert [each.kind for each in said.findings] == [Trouble.WEBSOCKET_DROPS, Trouble.SYNC_STUCK]
    assert said.findings[0].cause == "backend: WebSocket connections drop in all pods"
    assert "Mostly code 1006, idle timeout." in said.findings[0].evidence
    assert "its idle timeout has to be longer" in said.findings[0].to_do[-1].text
    assert f" drops a minute in the last {WINDOW} min, up from " in said.findings[0].evidence[0]


async def test_drops_that_go_on_after_a_restart_are_counted_by_prometheus(here: Here):
    clock = here.cluster.clock.now
    old = {pod.name for pod in here.cluster.pods(PRODUCTION.namespace)}
    for name in old:
        here.cluster.delete_pod(PRODUCTION.namespace, name)
    async with asyncio.timeout(60), aclosing(here.cluster.changes(PRODUCTION.namespace)) as changes:
        async for pods in changes:
            if len(pods) == len(old) and all(pod.ready and pod.name not in old for pod in pods):
                break
    prometheus = PrometheusServer(here.cluster)
    async with prometheus.serve():
        found = Metrics(PRODUCTION, MetricsSettings(prometheus=MonitoringServer(url=prometheus.url)))
        clients: dict[type, object] = {Queue: Queue(here.client, PRODUCTION, SyncScripts()), Metrics: found}
        async with case(clients, cluster=here.client, now=clock()) as asked:
            assert (await Websockets().look(asked)).well
        prometheus.raised["websocket_disconnects_total"] = Raised((clock() - timedelta(minutes=12)).timestamp())
        async with case(clients, cluster=here.client, now=clock()) as asked:
            (over,) = (await Websockets().look(asked)).found
        async with case(clients, cluster=here.client, now=clock() + timedelta(minutes=WINDOW + 1)) as asked:
            (one,) = (await Websockets().look(asked)).found
    assert (over.recovering, over.confidence) == (True, Confidence.POSSIBLE), "they are counted for some minutes more"
    assert over.cause == "backend: WebSocket connections dropped until its pods were replaced"
    assert (one.kind, one.cause) == (Trouble.WEBSOCKET_DROPS, "backend: WebSocket connections drop")
    assert " by Prometheus, up from " in one.evidence[0]
    assert "All its pods have started since then" in one.evidence[-1]
    assert one.to_do[0].command == "sync websocket"


def test_drops_that_have_ended_with_the_pods_that_had_them_are_no_trouble():
    usual = NamedSeries(values=(2.1, 1.9, 2.0, 2.2, 2.0, 2.1, 1.9, 2.0, 2.1, 2.0, 49.0, 51.0, 48.0, 50.0, 49.0, 50.0))
    drops = next(each for each in WebsocketSettings().queries() if each.name == "drops")
    minute = timedelta(minutes=1)
    going_on = MetricHistory(query=drops, start=datetime.now(UTC), step=minute, count=16, series=(usual,))
    rise = drops_of(None, going_on).rise
    assert rise is not None
    assert (rise.at, rise.before) == (going_on.at(10), 2.0)
    over = replace(going_on, count=17, series=(NamedSeries(values=(*usual.values, 2.12)),))
    assert drops_of(None, over) == (None, 2.12), "not 2.12 a minute, up from 2"


async def test_drops_that_a_regions_own_prometheus_counts_are_named_with_the_region(here: Here):
    where, now = with_regions(), here.cluster.clock.now()
    home, us = PrometheusServer(here.cluster), PrometheusServer(here.cluster)
    us.raised["websocket_disconnects_total"] = Raised((now - timedelta(minutes=12)).timestamp())
    regions = {name: {ClusterClient: here.client} for name in ("eu", "us")}
    async with home.serve(), us.serve():
        own = {"us": RegionMonitoring(prometheus=MonitoringServer(url=us.url))}
        found = Metrics(where, MetricsSettings(prometheus=MonitoringServer(url=home.url)), own)
        clients: dict[type, object] = {Queue: Queue(here.client, where, SyncScripts()), Metrics: found}
        async with case(clients, cluster=here.client, environment=where, regions=regions, now=now) as asked:
            (one,) = (await Websockets().look(asked)).found
    assert (one.region, one.cause) == ("us", "backend: WebSocket connections drop")


async def test_a_pool_that_is_used_up_is_named_and_one_that_is_not_understood_is_unknown(here: Here):
    here.pool = _POOL % (4, 9)
    (full,) = (await here.look(ApplicationPools())).found
    assert "its connection pool is used up in pod backend-" in full.cause
    assert full.evidence == ("4 in use, 4 at most, 9 requests waiting.",)
    here.pool = b"ready\n"
    assert "was not understood" in (await here.look(ApplicationPools())).unknown[0]
