"""`diagnose` on the cache: named where it is broken, quiet where it is not."""

from collections.abc import AsyncIterator

import pytest

from runbooks.cache.caches import Cache
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.caches import Caches
from runbooks.troubleshooting.findings import Confidence, Trouble
from sandbox.cache import CacheCluster, CacheFault
from tests.support.caches import cache
from tests.support.cases import case


@pytest.fixture
async def cluster() -> AsyncIterator[CacheCluster]:
    async with CacheCluster().serve() as found:
        yield found


async def _said(cluster: CacheCluster, *, configured: bool = True, patience: float = 20.0) -> Diagnosed:
    clients: dict[type, object] = {Cache: cache(*cluster.addresses)} if configured else {}
    async with case(clients, patience=patience) as asked:
        return await diagnose(asked, (Caches(),))


async def test_a_healthy_cache_is_found_well_and_without_one_there_is_nothing_to_look_at(cluster: CacheCluster):
    (well,) = (await _said(cluster)).well
    assert well.startswith("cache (47 % of its memory used, 97 % hits")
    assert (await _said(cluster, configured=False)).not_configured == ("cache",)


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [
        ("full", Trouble.CACHE_MEMORY, "The primary of shard 2 is full (256 MiB of 256 MiB) and evicts nothing"),
        ("replica", Trouble.CACHE_REPLICATION, "The replica of shard 3 lost its primary 7 min ago"),
        ("node", Trouble.CACHE, "The cache cluster is down: the nodes of 5,461 slots do not answer"),
    ],
)
async def test_the_cause_comes_first(cluster: CacheCluster, fault: CacheFault, kind: Trouble, cause: str):
    cluster.want(fault, broken=True)
    said = await _said(cluster)
    first = said.findings[0]
    assert (first.kind, first.confidence) == (kind, Confidence.CERTAIN)
    assert first.cause.startswith(cause), said.findings
    assert first.to_do[-1].command == "cache"
    assert not said.unknown
    cluster.want(fault, broken=False)


async def test_a_cache_that_is_gone_is_a_cause_and_one_that_refuses_the_bot_could_not_be_looked_at(
    cluster: CacheCluster,
):
    cluster.accounts = {"default": "of-the-services"}
    said = await _said(cluster)
    assert not said.findings
    assert "requires a password, and the bot sent none" in said.unknown[0][1]
    cluster.answer = b"-LOADING Redis is loading the dataset in memory\r\n"
    (gone,) = (await _said(cluster)).findings
    assert gone.cause.startswith("No node of the cache can be queried: ")
    assert Trouble.ERRORS in gone.explains


async def test_silence_alone_is_no_cause_because_the_bot_may_be_the_slow_one(cluster: CacheCluster):
    cluster.answer = b""
    said = await _said(cluster, patience=1.0)
    assert not said.findings
    assert "did not answer within 2 s" in said.unknown[0][1]
