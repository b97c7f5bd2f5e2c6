"""The cache, as it is read and judged: from the sandbox's small cluster, and from a real Redis where one is installed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbooks.cache import judging
from runbooks.cache.caches import Cache
from runbooks.cache.judging import CacheTrouble, CacheTroubleKind
from runbooks.cache.reading import CacheReading
from runbooks.kit.reasons import ReasonCode
from sandbox.cache import CacheCluster
from tests.support.caches import PRIVATE, CacheUnderTest, cache, installed, real, small


@pytest.fixture(params=["small", "real"])
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheUnderTest]:
    if request.param == "small":
        async with small() as found:
            yield found
        return
    if not installed():
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    async with real(tmp_path) as servers:
        yield servers


@pytest.fixture
async def cluster() -> AsyncIterator[CacheCluster]:
    async with CacheCluster().serve() as found:
        yield found


async def _looked(asked: Cache) -> tuple[CacheReading, tuple[CacheTrouble, ...]]:
    regions = await asked.look()
    return regions[""], judging.troubles(regions)


async def test_one_node_names_the_others_and_each_finding_is_about_its_shard(here: CacheUnderTest) -> None:
    asked = cache(here.seed)
    reading, found = await _looked(asked)
    assert reading.shards == 3
    assert len(reading.primaries) == 3
    assert [each.facts is not None for each in reading.nodes] == [True] * len(reading.nodes)
    assert reading.health is not None
    assert (reading.health.well, reading.health.assigned) == (True, 16384)
    assert not [each for each in found if each.grave], found
    replica = next(each for each in reading.nodes if each.primary is False and each.shard == 3)
    assert replica.facts is not None
    assert replica.facts.link_up
    slow = [each for node in reading.nodes for each in node.slow]
    assert "patient/*" in {each.key.removesuffix("/chart") for each in slow if each.command == "HGETALL"}
    assert PRIVATE.lower() not in repr(reading).lower(), "keys are not even in memory"
    assert all(node.slow_from is not None for node in reading.nodes)

    await here.fill()
    await here.cut()
    reading, found = await _looked(asked)
    said = {each.kind: each.says for each in found if each.grave}
    assert said[CacheTroubleKind.MEMORY].startswith("The primary of shard 2 is full (")
    assert "evicts nothing (noeviction), so writes fail" in said[CacheTroubleKind.MEMORY]
    assert said[CacheTroubleKind.REPLICATION].startswith("The replica of shard 3 lost its primary")

    await here.stop_first()
    reading, found = await _looked(asked)
    said = {each.kind: each.says for each in found if each.grave}
    assert said[CacheTroubleKind.CLUSTER].startswith("The cache cluster is down: the nodes of 5,46")
    assert said[CacheTroubleKind.UNANSWERED].startswith("The primary of shard 1 can't be queried: 127.0.0.1:")
    assert said[CacheTroubleKind.UNANSWERED].endswith("refuses the connection: nothing listens there")


async def test_the_password_is_read_anew_and_each_refusal_is_a_sentence_of_its_own(
    here: CacheUnderTest, tmp_path: Path
) -> None:
    await here.account("bot", "first-4f1d09b2c7")
    file = tmp_path / "password"

    async def why(asked: Cache) -> tuple[str, ReasonCode | None]:
        _, (first, *_) = await _looked(asked)
        reading, _ = await _looked(asked)
        error = reading.nodes[0].error
        return first.says.partition(": ")[2].partition(" ")[2], error.code if error is not None else None

    assert await why(cache(here.seed)) == ("requires a password, and the bot sent none", ReasonCode.CACHE_REFUSED)
    asked = cache(here.seed, user="bot", secret_file=file)
    assert (await _looked(asked))[0].nodes[0].error is not None, "there is no file yet"
    file.write_text("wrong-91c2\n")
    assert await why(asked) == ("rejects the bot's user or password", ReasonCode.CACHE_REFUSED)
    file.write_text("first-4f1d09b2c7\n")
    reading, found = await _looked(asked)
    assert len(reading.answered) == len(reading.nodes)
    assert not [each for each in found if each.kind is CacheTroubleKind.UNANSWERED]
    await here.account("bot", "first-4f1d09b2c7", may=False)
    assert await why(asked) == ("does not let the bot's user send `INFO`", ReasonCode.CACHE_REFUSED)


async def test_what_a_managed_service_forbids_is_unknown_and_the_rest_is_told(cluster: CacheCluster) -> None:
    cluster.forbidden = {"CONFIG", "SLOWLOG"}
    reading, found = await _looked(cache(cluster.addresses[0]))
    assert found == ()
    assert len(reading.answered) == 6
    node = reading.nodes[0]
    assert (node.slow, node.slow_from) == ((), None)
    assert "does not accept `SLOWLOG GET 5`" in node.slow_unknown


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            "is loading its data into memory, and answers afterwards",
        ),
        (b"-CLUSTERDOWN The cluster is down\r\n", "says that the cluster is down: not every slot has a node"),
        (b"-MOVED 3999 10.0.0.9:6379\r\n", "redirects the bot to another node: the cluster is being resharded"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak the Redis protocol"),
        (b"-ERR unknown command\r\n", "does not accept `INFO`"),
        (b"*1\r\n" * 5000 + b":1\r\n", "does not speak the Redis protocol"),
        (b"*2000000000\r\n" + b":1\r\n" * 40_000, "answers with more than 1 MiB, which is not read"),
        (b"$1100000\r\n" + b"a:1\r\n" * 220_000 + b"\r\n", "answers with more than 1 MiB, which is not read"),
    ],
    ids=["loading", "down", "moved", "http", "unknown", "nested", "many", "long"],
)
async def test_each_error_is_a_sentence_that_names_the_node(
    cluster: CacheCluster, answer: bytes, sentence: str
) -> None:
    cluster.answer = answer
    _, (first, *_) = await _looked(cache(cluster.addresses[0]))
    assert first.says == f"No node of the cache can be queried: {cluster.addresses[0]} {sentence}"


@pytest.mark.parametrize(
    "reply",
    [b"$5\r\nhello\r\n", b":7\r\n", b"*2\r\n*1\r\n$1\r\nx\r\n:3\r\n", b"$-1\r\n", b"$18\r\nused_memory:lots\r\n\r\n"],
)
async def test_a_reply_of_another_form_is_unknown_and_never_zero(cluster: CacheCluster, reply: bytes) -> None:
    cluster.answer = reply
    reading, _ = await _looked(cache(*cluster.addresses[:2]))
    assert {each.address for each in reading.nodes} == set(cluster.addresses[:2]), "nobody listed others"
    assert [(each.full, each.hits, each.primary) for each in reading.nodes] == [(None, None, None)] * 2
    assert reading.nodes[0].facts is not None
    assert reading.nodes[0].facts.memory is None


async def test_regions_are_side_by_side_and_name_themselves(cluster: CacheCluster) -> None:
    async with CacheCluster().serve() as other:
        other.want("replica", broken=True)
        settings = cache(cluster.addresses[0], regions={"us": (other.addresses[0],)}).settings
        regions = await Cache(settings, cache("x")._redactor, home="eu").look()
        (found,) = judging.troubles(regions)
    assert [*regions] == ["eu", "us"]
    assert found.says.startswith("us: The replica of shard 3 lost its primary")


async def test_only_commands_of_the_list_are_sent(cluster: CacheCluster) -> None:
    await _looked(cache(cluster.addresses[0]))
    assert cluster.asked == {"INFO", "CLUSTER INFO", "CLUSTER SHARDS", "SLOWLOG GET", "CONFIG GET"}
