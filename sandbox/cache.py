"""A small Redis cluster: three shards with a replica each, in this process, over the real protocol (RESP 2).

It answers what somebody asks who looks after it (`INFO`, `CLUSTER`, `SLOWLOG`, `CONFIG GET`, logins) and stores nothing: what an application
does with it is simulated, by the clock. Its slow log has keys of patients, all of them invented.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

SHARDS = 3
SLOTS = 16384
MEMORY = 256 << 20
Reply = bytes | int | str | list["Reply"] | None
"""bytes: a bulk string; str: `+OK`, or an error where it begins with `-`."""
CacheFault = Literal["full", "replica", "node"]
_AGO: dict[CacheFault, float] = {"full": 240.0, "replica": 420.0, "node": 60.0}
"""Seconds that it has been so, once it is broken."""
_SLOW: tuple[tuple[int, int, tuple[bytes, ...]], ...] = (
    (1840, 61_400, (b"KEYS", b"patient:*")),
    (610, 23_900, (b"HGETALL", b"patient:Hollis-Amberton:1958-03-14:chart")),
    (95, 14_200, (b"SET", b"session:user:hollis.amberton", b"eyJhbGciOiJIUzI1NiJ9.patient-data")),
)
"""Seconds ago, microseconds, command."""
PRIVATE = ("Hollis-Amberton", "1958-03-14", "hollis.amberton", "eyJhbGciOiJIUzI1NiJ9.patient-data")
"""What of it must not leave."""


@dataclass(eq=False)
class Node:
    """One server of the cluster."""

    shard: int
    primary: bool
    port: int = 0
    server: asyncio.Server | None = None
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The cluster's name for it."""
        return f"{self.shard}{int(self.primary)}".rjust(40, "c")


class CacheCluster:
    """`accounts`: user → password (`default` is who gives no name); `forbidden`: commands that a managed service has not, such as `CONFIG`;
    `denied`: commands that the accounts have no right to.
    """

    def __init__(self) -> None:
        self.nodes = [Node(shard, primary) for shard in range(1, SHARDS + 1) for primary in (True, False)]
        self.accounts: dict[str, str] = {}
        self.forbidden: set[str] = set()
        self.denied: set[str] = set()
        self.answer: bytes | None = None
        """What every command is answered with instead."""
        self.asked: set[str] = set()
        """Every command that came, with its second word where that belongs to its name."""
        self.version = "7.0.15"
        self.began = time.time() - 12 * 86400
        self.wanted: dict[CacheFault, float] = {}
        """What is broken, and since when: the second shard is full and evicts nothing, the third's replica lost its primary, the first's
        primary is gone.
        """
        self._starting: asyncio.Future[None] | None = None

    @property
    def addresses(self) -> list[str]:
        """Every node, as `HOST:PORT`."""
        return [f"127.0.0.1:{each.port}" for each in self.nodes]

    def node(self, shard: int, *, primary: bool) -> Node:
        """One node."""
        return next(each for each in self.nodes if each.shard == shard and each.primary == primary)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[CacheCluster]:
        """Serve all nodes until the block ends."""
        async with AsyncExitStack() as stack:
            for each in self.nodes:
                stack.callback(self._stop, each)
                await self._start(each)
            yield self

    async def _start(self, node: Node) -> None:
        """The node answers, on the port that it had."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            node.open.add(writer)
            try:
                await self._serve(node, reader, writer)
            finally:
                node.open.discard(writer)
                writer.close()

        if node.server is None:
            node.server = await asyncio.start_server(serve, "127.0.0.1", node.port)
            node.port = node.server.sockets[0].getsockname()[1]

    def _stop(self, node: Node) -> None:
        """Nothing listens there any more."""
        if node.server is not None:
            node.server.close()
            for each in [*node.open]:
                each.close()
            node.server = None

    # bad nights

    def want(self, how: CacheFault, *, broken: bool) -> None:
        """Break it that way, or mend that."""
        if not broken:
            self.wanted.pop(how, None)
        else:
            self.wanted.setdefault(how, time.time() - _AGO[how])
        first = self.node(1, primary=True)
        if how == "node" and broken:
            self._stop(first)
        elif how == "node":
            self._starting = asyncio.ensure_future(self._start(first))

    def mend(self) -> None:
        """As at first."""
        for how in [*self.wanted]:
            self.want(how, broken=False)

    # the protocol

    async def _serve(self, node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = "" if self.accounts else "default"
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while words := await _command(reader):
                name = words[0].upper()
                self.asked.add(" ".join(words[:2]) if name in ("CLUSTER", "SLOWLOG", "CONFIG", "CLIENT") else name)
                if self.answer is not None:
                    writer.write(self.answer)
                elif name == "AUTH":
                    given = words[1] if len(words) > 2 else "default"  # noqa: PLR2004 - a name and a password
                    if self.accounts.get(given) == words[-1]:
                        user = given
                        writer.write(b"+OK\r\n")
                    else:
                        writer.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
                elif not user:
                    writer.write(b"-NOAUTH Authentication required.\r\n")
                else:
                    writer.write(_written(self._said(node, name, words[1:])))
                await writer.drain()

    def _said(self, node: Node, name: str, rest: list[str]) -> Reply:
        if name in self.forbidden:
            return f"-ERR unknown command '{name}'"
        if name in self.denied:
            return f"-NOPERM User default has no permissions to run the '{name.lower()}' command"
        match name, [each.upper() for each in rest[:1]]:
            case "INFO", _:
                return self._info(node).encode()
            case "CLUSTER", ["INFO"]:
                return self._cluster().encode()
            case "CLUSTER", ["SHARDS"]:
                return [self._shard(shard) for shard in range(1, SHARDS + 1)]
            case "SLOWLOG", ["GET"]:
                return self._slow(node, int(rest[1]))
            case "CONFIG", ["GET"]:
                return [rest[1].encode(), b"10000"]
            case "PING", _:
                return "+PONG"
        return f"-ERR unknown command '{name}'"

    def _slow(self, node: Node, most: int) -> Reply:
        now = int(time.time())
        found: list[Reply] = [
            [place, now - ago, taken, list(words), b"10.1.4.7:51324", b""]
            for place, (ago, taken, words) in enumerate(_SLOW)
            if node.primary and place % SHARDS == node.shard - 1
        ]
        return found[:most]

    def _shard(self, shard: int) -> Reply:
        first, last = (shard - 1) * SLOTS // SHARDS, shard * SLOTS // SHARDS - 1
        nodes: list[Reply] = [
            [
                b"id", each.id.encode(), b"port", each.port, b"ip", b"127.0.0.1", b"endpoint", b"127.0.0.1",
                b"role", b"master" if each.primary else b"replica", b"replication-offset", 0,
                b"health", b"online" if each.server is not None else b"failed",
            ]
            for each in self.nodes
            if each.shard == shard
        ]  # fmt: skip
        return [b"slots", [first, last], b"nodes", nodes]

    def _cluster(self) -> str:
        lost = sum(SLOTS // SHARDS for each in self.nodes if each.primary and each.server is None)
        return _lines(
            cluster_state="fail" if lost else "ok",
            cluster_slots_assigned=SLOTS,
            cluster_slots_ok=SLOTS - lost,
            cluster_slots_fail=lost,
            cluster_size=SHARDS,
        )

    def _info(self, node: Node) -> str:
        now = time.time()
        age = now - self.began
        full = self.wanted.get("full") if node.primary and node.shard == 2 else None  # noqa: PLR2004 - the second
        bad = now - full if full is not None else 0.0
        said = {
            "redis_version": self.version,
            "redis_mode": "cluster",
            "uptime_in_seconds": int(age),
            "connected_clients": 41 + node.shard if node.primary else 3,
            "maxclients": 10000,
            "blocked_clients": 2 if node.primary else 0,
            "used_memory": MEMORY - 2048 if full is not None else int(MEMORY * (0.38 + 0.03 * node.shard)),
            "used_memory_peak": MEMORY if full is not None else int(MEMORY * 0.52),
            "maxmemory": MEMORY,
            "maxmemory_policy": "noeviction",
            "loading": 0,
            "rdb_changes_since_last_save": 1290,
            "rdb_last_bgsave_status": "ok",
            "aof_enabled": 0,
            "rejected_connections": 0,
            "evicted_keys": 0,
            "instantaneous_ops_per_sec": 930 if node.primary else 0,
            "keyspace_hits": int((age - bad) * 900 + bad * 280) if node.primary else 0,
            "keyspace_misses": int((age - bad) * 28 + bad * 640) if node.primary else 0,
            **self._replication(node, now),
            "cluster_enabled": 1,
            "db0": f"keys={61200 + 800 * node.shard},expires=52000,avg_ttl=1800000",
        }
        if full is not None:
            said["errorstat_OOM"] = f"count={int(bad * 37)}"
        return _lines(**said)

    def _replication(self, node: Node, now: float) -> dict[str, object]:
        replica = self.node(node.shard, primary=False)
        cut = self.wanted.get("replica") if node.shard == SHARDS else None
        written = int((now - self.began) * 5200)
        if node.primary:
            linked = cut is None and replica.server is not None
            link = {"slave0": f"ip=127.0.0.1,port={replica.port},state=online,offset={written - 180},lag=0"}
            return {
                "role": "master",
                "connected_slaves": int(linked),
                **(link if linked else {}),
                "master_repl_offset": written,
            }
        return {
            "role": "slave",
            "master_link_status": "up" if cut is None else "down",
            "master_sync_in_progress": 0,
            "slave_repl_offset": written - 180 if cut is None else int((cut - self.began) * 5200),
            **({} if cut is None else {"master_link_down_since_seconds": int(now - cut)}),
        }


async def _command(reader: asyncio.StreamReader) -> list[str]:
    """Return the words of the next command; none where the connection has ended."""
    line = await reader.readline()
    if not line.startswith(b"*"):
        return []
    words = []
    for _ in range(int(line[1:])):
        length = int((await reader.readline())[1:])
        words.append((await reader.readexactly(length + 2))[:-2].decode(errors="replace"))
    return words


def _written(reply: Reply) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case str():
            return f"{reply}\r\n".encode()
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(_written, reply))


def _lines(**said: object) -> str:
    return "".join(f"{name}:{value}\r\n" for name, value in said.items())
