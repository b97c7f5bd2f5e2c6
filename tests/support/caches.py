"""Caches to hold our client to: the sandbox's small cluster, and Debian's real Redis in cluster mode, where it is installed."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from runbooks.cache.caches import Cache
from runbooks.clients.redis.access import CacheSettings
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.redaction.redactor import default_redactor
from sandbox.cache import CacheCluster
from sandbox.ports import free_ports

PRIVATE = "Hollis-Amberton"
"""A patient in a key of the slow log."""
_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


class CacheUnderTest(Protocol):
    """A cluster of three shards; the third's replica can be cut off, and the second can be filled."""

    seed: str

    async def fill(self) -> None: ...
    async def cut(self) -> None: ...
    async def stop_first(self) -> None: ...
    async def account(self, user: str, password: str, *, may: bool = True) -> None: ...


def cache(*nodes: str, **settings: object) -> Cache:
    """The client, for these nodes."""
    told = {"nodes": nodes, "tls": "disable", "sample_seconds": 0.1, "answer_timeout": 10.0, **settings}
    return Cache(CacheSettings.model_validate(told), default_redactor())


@dataclass
class Small:
    cluster: CacheCluster
    seed: str

    async def fill(self) -> None:
        self.cluster.want("full", broken=True)

    async def cut(self) -> None:
        self.cluster.want("replica", broken=True)

    async def stop_first(self) -> None:
        self.cluster.want("node", broken=True)

    async def account(self, user: str, password: str, *, may: bool = True) -> None:
        self.cluster.accounts[user] = password
        self.cluster.denied = set() if may else {"INFO", "CLUSTER"}


@asynccontextmanager
async def small() -> AsyncIterator[Small]:
    async with CacheCluster().serve() as cluster:
        yield Small(cluster, cluster.addresses[-1])


@dataclass
class Real:
    seed: str
    servers: list["Redis"] = field(default_factory=list)
    """The three primaries, then the third's replica."""

    async def fill(self) -> None:
        await self.servers[1].config_set("maxmemory", "1mb")  # less than an empty server uses

    async def cut(self) -> None:
        replica = self.servers[3]
        await replica.config_set("masteruser", "nobody")
        await replica.config_set("masterauth", "wrong")
        await replica.execute_command("CLIENT", "KILL", "TYPE", "master")
        await told(replica, "replication", "master_link_status", "down")

    async def stop_first(self) -> None:
        with contextlib.suppress(RedisError):
            await self.servers[0].execute_command("SHUTDOWN", "NOSAVE")
        await _state(self.servers[1], "fail")

    async def account(self, user: str, password: str, *, may: bool = True) -> None:
        rights = ("+info", "+cluster|info", "+cluster|shards", "+slowlog|get", "+config|get") if may else ("+ping",)
        for each in self.servers:
            await each.execute_command("ACL", "SETUSER", user, "reset", "on", f">{password}", "-@all", *rights)
            await each.execute_command("ACL", "SETUSER", "default", "on", "resetpass", ">of-the-test")


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Real]:
    async with AsyncExitStack() as stack:
        ports = free_ports(4)
        for port in ports:
            await stack.enter_async_context(running(folder, port))
        servers = [Redis(host="127.0.0.1", port=port) for port in ports]
        for each in servers:
            stack.push_async_callback(each.aclose)
            await retried(lambda each=each: pinged(each), seconds=60)  # type: ignore[misc]
        for each, (first, last) in zip(servers, _SLOTS, strict=False):
            await each.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for port in ports[1:]:
            await servers[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        for each in servers:
            await _state(each, "ok")
        third = (await servers[2].execute_command("CLUSTER", "MYID")).decode()
        await retried(lambda: _replicates(servers[3], third), seconds=60)
        await told(servers[3], "replication", "master_link_status", "up")
        await servers[0].hgetall("patient:" + PRIVATE + _tag(_SLOTS[0]))
        yield Real(f"127.0.0.1:{ports[3]}", servers)


def installed() -> bool:
    return shutil.which("redis-server") is not None


def _tag(slots: tuple[int, int]) -> str:
    """A hash tag whose slot is among these."""
    from redis.crc import key_slot

    return next(f"{{{each}}}" for each in range(1000) if slots[0] <= key_slot(b"%d" % each) <= slots[1])


@asynccontextmanager
async def running(folder: Path, port: int, *more: str) -> AsyncIterator[None]:
    """A real server on that port, in cluster mode unless `more` says otherwise."""
    process = await asyncio.create_subprocess_exec(
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--save", "",
        "--cluster-config-file", f"nodes-{port}.conf", "--dir", str(folder), "--cluster-node-timeout", "4000",
        "--slowlog-log-slower-than", "0", "--maxmemory", "16mb", "--repl-diskless-sync-delay", "0",
        "--cluster-replica-no-failover", "yes", *more,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def pinged(server: "Redis") -> None:
    try:
        await server.ping()
    except RedisError as error:
        raise _not_yet() from error


async def _replicates(server: "Redis", primary: str) -> None:
    try:
        await server.execute_command("CLUSTER", "REPLICATE", primary)
    except RedisError as error:
        raise _not_yet() from error


async def _state(server: "Redis", wanted: str) -> None:
    async def look() -> None:
        found = await server.execute_command("CLUSTER", "INFO")
        if f"cluster_state:{wanted}".encode() not in found:
            raise _not_yet()

    await retried(look, seconds=60)


async def told(server: "Redis", section: str, name: str, wanted: str) -> None:
    async def look() -> None:
        if (await server.info(section)).get(name) != wanted:
            raise _not_yet()

    await retried(look, seconds=60)


def _not_yet() -> TemporaryError:
    return TemporaryError("not yet", code=ReasonCode.CACHE_UNREACHABLE, retry_after=0.1)
