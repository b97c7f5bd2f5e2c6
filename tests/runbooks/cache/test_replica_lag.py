"""A replica that is connected and behind: named with how far, from a real Redis whose replication is held up, and at each limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from runbooks.cache import judging
from runbooks.cache.judging import BEHIND, LATE, CacheTroubleKind
from runbooks.cache.reading import CacheReading, NodeReading
from runbooks.clients.redis.parsing import facts_of
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from sandbox.ports import free_ports
from tests.support.caches import cache, installed, pinged, running, told

_MIB = 1 << 20


class _Between:
    """What stands between a primary and its replica: it can hold what the primary writes; acknowledgements always pass."""

    def __init__(self, primary: int) -> None:
        self._primary = primary
        self.flows = asyncio.Event()
        self.flows.set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            server.close()

    async def _serve(self, replica: asyncio.StreamReader, to_replica: asyncio.StreamWriter) -> None:
        primary, to_primary = await asyncio.open_connection("127.0.0.1", self._primary)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._passed(primary, to_replica, self.flows))
                group.create_task(self._passed(replica, to_primary))
        except* ConnectionError:
            pass
        finally:
            to_replica.close()
            to_primary.close()

    async def _passed(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event | None = None
    ) -> None:
        while data := await reader.read(64 << 10):
            if flows is not None:
                await flows.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@pytest.mark.skipif(not installed(), reason="Redis is not installed (Debian: apt-get install redis-server)")
async def test_a_replica_whose_connection_is_too_slow_is_named_until_it_has_caught_up(tmp_path: Path) -> None:
    first, second = free_ports(2)
    between = _Between(first)
    alone = ("--cluster-enabled", "no")
    async with between.serve() as port, running(tmp_path, first, *alone):
        replicates = ("--replicaof", f"127.0.0.1 {port}")
        async with (
            running(tmp_path, second, *alone, *replicates),
            Redis(host="127.0.0.1", port=first) as primary,
            Redis(host="127.0.0.1", port=second) as replica,
        ):
            await retried(lambda: pinged(primary), seconds=60)
            await retried(lambda: pinged(replica), seconds=60)
            await told(replica, "replication", "master_link_status", "up")
            asked = cache(f"127.0.0.1:{first}", f"127.0.0.1:{second}")

            async def lagging() -> list[str]:
                found = judging.troubles(await asked.look())
                return [each.says for each in found if each.kind is CacheTroubleKind.REPLICATION]

            async def caught_up() -> None:
                if said := await lagging():
                    raise TemporaryError(said[0], code=ReasonCode.CACHE_UNREACHABLE, retry_after=0.1)

            await retried(caught_up, seconds=60)
            between.flows.clear()
            for _ in range(40):
                await primary.set("load", b"x" * _MIB)
            (says,) = await lagging()
            assert says.startswith(f"The replica 127.0.0.1:{second} of the primary 127.0.0.1:{first} is ")
            assert says.endswith(" behind")
            assert (await replica.info("replication"))["master_link_status"] == "up"
            between.flows.set()
            await retried(caught_up, seconds=60)


@pytest.mark.parametrize(
    ("link", "told_as"),
    [
        (f"state=online,offset=0,lag={LATE - 1}", ""),
        (f"state=online,offset=0,lag={LATE}", "16 MiB and 10 s behind"),
        ("state=online,offset=1,lag=0", ""),
        ("state=online,lag=0", ""),
        ("state=online,offset=99999999,lag=0", ""),
        ("state=send_bulk,offset=0,lag=0", "being copied"),
    ],
)
def test_a_replica_is_late_by_bytes_or_by_seconds_and_not_before(link: str, told_as: str) -> None:
    written = BEHIND if told_as or "lag=0" in link else 1000
    info = f"role:master\r\nmaster_repl_offset:{written}\r\nslave0:ip=10.0.0.5,port=6379,{link}\r\n"
    node = NodeReading(address="10.0.0.4:6379", facts=facts_of(info.encode()))
    said = [each.says for each in judging.troubles({"": CacheReading(nodes=(node,))})]
    assert said == ([f"The replica 10.0.0.5:6379 of the primary 10.0.0.4:6379 is {told_as}"] if told_as else [])
