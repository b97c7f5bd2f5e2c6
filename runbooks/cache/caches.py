"""An environment's cache, asked node by node and side by side; a node that does not answer is part of the answer."""

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runbooks.cache.reading import CacheReading, NodeReading
from runbooks.cache.slow_log import shown
from runbooks.clients.redis import node as driver
from runbooks.clients.redis.access import PORT, CacheSettings
from runbooks.clients.redis.node import Ask, NodeSession, connected
from runbooks.clients.redis.parsing import Member, facts_of, health_of, members_of, setting_of, slow_of
from runbooks.kit.errors import RunbookError
from runbooks.kit.waiting import end
from runbooks.redaction.redactor import Redactor

MOST = 30
"""Nodes of a region that are looked at."""


class Cache:
    """One environment's. It only looks, and never raises: what can't be read is in the answer, with why."""

    def __init__(self, settings: CacheSettings, redactor: Redactor, *, home: str = "") -> None:
        """`home`: the region of `settings.nodes`; empty where there are no regions."""
        self.settings = settings
        self._redactor = redactor
        self._places = {home: settings.nodes, **settings.regions}

    def load(self) -> None:
        """Import what the first look would wait for; in a thread."""
        driver.load()

    def by_hand(self) -> tuple[str, ...]:
        """Return `redis-cli` lines for each configured node. They ask for a password and show no key, which could name a patient."""
        settings = self.settings
        options = [] if settings.tls == "disable" else ["--tls"]
        options += ["--user", settings.user] if settings.user else []
        options += ["--askpass"] if settings.secret_variable or settings.secret_file else []
        found: list[str] = []
        for nodes in self._places.values():
            for node in nodes:
                host, _, port = node.rpartition(":") if ":" in node else (node, "", "")
                line = shlex.join(["redis-cli", "-h", host, "-p", port or str(PORT), *options])
                found += [f"{line} INFO", f"{line} SLOWLOG LEN"]
        return tuple(found)

    async def look(self, *, seconds: float | None = None, twice: bool = True) -> Mapping[str, CacheReading]:
        """Return each region's cache. `seconds`: the time limit for each of the two parts, finding the nodes and reading them; `twice`: read
        them again after a moment, for what happens now.
        """
        found = await asyncio.gather(*(self._region(nodes, seconds, twice) for nodes in self._places.values()))
        return dict(zip(self._places, found, strict=True))

    async def _region(self, seeds: Sequence[str], seconds: float | None, twice: bool) -> CacheReading:
        members = await self._members(seeds, seconds)
        readings = await asyncio.gather(*(self._node(each, seconds, twice) for each in members[:MOST]))
        return CacheReading(nodes=tuple(readings), unread=max(0, len(members) - MOST))

    async def _members(self, seeds: Sequence[str], seconds: float | None) -> Sequence[Member]:
        """Return the nodes that the first node to answer lists, which is the whole cluster; without one, the configured nodes."""
        asked = [asyncio.ensure_future(self._listed(each, seconds)) for each in seeds]
        try:
            for each in asyncio.as_completed(asked):
                if found := await each:
                    return found
        finally:
            await end(*asked)
        return [Member(each, 0, primary=False, health="") for each in seeds]

    async def _listed(self, address: str, seconds: float | None) -> Sequence[Member]:
        """Return none where the node does not answer (which is found out again, and told, when it is read) or is in no cluster."""
        try:
            async with connected(self.settings, address, self._redactor, seconds=seconds) as session:
                return members_of(await session.ask(Ask.SHARDS), tls=self.settings.tls != "disable")
        except RunbookError:
            return ()

    async def _node(self, member: Member, seconds: float | None, twice: bool) -> NodeReading:
        listed = NodeReading(
            address=member.address,
            shard=member.shard,
            listed_primary=member.primary if member.shard else None,
            listed_health=member.health,
        )
        try:
            async with connected(self.settings, member.address, self._redactor, seconds=seconds) as session:
                return await self._read(session, listed, twice)
        except RunbookError as error:
            return replace(listed, error=error)

    async def _read(self, session: NodeSession, listed: NodeReading, twice: bool) -> NodeReading:
        before, began = facts_of(await session.ask(Ask.INFO)), time.monotonic()
        health = health_of(await session.ask(Ask.CLUSTER)) if before.cluster else None
        if not twice:
            return replace(listed, facts=before, health=health)
        slow, unknown = await _optional(session, Ask.SLOW)
        slow_from, _ = await _optional(session, Ask.SLOW_FROM)
        await asyncio.sleep(self.settings.sample_seconds)
        now = facts_of(await session.ask(Ask.INFO))
        return replace(
            listed,
            facts=now,
            before=before,
            seconds=time.monotonic() - began,
            health=health,
            slow=tuple(shown(each, self.settings.key_words) for each in slow_of(slow)),
            slow_unknown=unknown,
            slow_from=setting_of(slow_from),
        )


async def _optional(session: NodeSession, what: Ask) -> tuple[object, str]:
    """Return the reply, or why there is none: managed services forbid some commands."""
    try:
        return await session.ask(what), ""
    except RunbookError as error:
        return None, error.message
