"""What is wrong with a cache, the worst first: from what its nodes tell."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from runbooks.cache.reading import ENOUGH, CacheReading, NodeReading, together
from runbooks.clients.redis.node import NoAnswer
from runbooks.clients.redis.parsing import NodeFacts
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import by_count, counted, duration, listed, size

FULL, NEARLY_FULL = 0.99, 0.9
LATE = 10
"""Seconds without an acknowledgement, which a replica gives each second."""
BEHIND = 16 << 20
"""Bytes that a replica is behind, from which it is late."""
FELL_TO, FELL_BY = 0.6, 0.2
"""A hit ratio that is below the one and by the other below the usual has fallen."""
CLIENTS = 0.9
YOUNG = 1800
"""Seconds since a restart in which it explains what is slow."""
_SLOTS = 16384
_NAMED = 3


class CacheTroubleKind(Enum):
    """What a trouble is about."""

    MEMORY = "memory"
    CLUSTER = "cluster"
    REPLICATION = "replication"
    UNANSWERED = "unanswered"
    DISK = "disk"
    CLIENTS = "clients"
    HITS = "hits"
    RESTART = "restart"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class CacheTrouble:
    """Something that is not as it should be."""

    kind: CacheTroubleKind
    says: str
    """A sentence without its full stop."""
    to_do: str
    grave: bool
    address: str = ""
    """Of the node that it is about."""
    seconds: float | None = None
    """For how long it has been so, where that is known."""
    unreachable: bool = False
    """A node does not answer, in contrast to one that refuses the bot."""
    late: bool = False
    """It did not answer in time, which may also be the bot's or the network's fault."""
    ahead: bool = False
    """It will be trouble, and is none yet."""
    evidence: tuple[str, ...] = ()
    """What else showed it, each a sentence without its full stop."""
    usual: bool = False
    """Many caches are so all the time; it says something only beside a fallen hit ratio."""


def troubles(regions: Mapping[str, CacheReading]) -> tuple[CacheTrouble, ...]:
    """Return what is wrong, the worst first; with several regions each sentence begins with the region's name."""
    found = [
        each if len(regions) == 1 else replace(each, says=f"{region}: {each.says}")
        for region, reading in regions.items()
        for each in _of(reading)
    ]
    return tuple(sorted(found, key=lambda each: not each.grave))


def answer(regions: Mapping[str, CacheReading], found: Iterable[CacheTrouble]) -> str:
    """Return the answer in one sentence, without its full stop."""
    known = [*found]
    if not known:
        return f"The cache is healthy: {in_short(regions)}"
    more = len(known) - 1
    return known[0].says + (f", and {counted(more, 'more finding')}" if more else "")


def in_short(regions: Mapping[str, CacheReading]) -> str:
    """Return such as `41 % of its memory used, 97 % hits`; with several regions the fullest one's, and all regions' hits."""
    primaries = [each for reading in regions.values() for each in reading.primaries]
    shares = [each.full for each in primaries if each.full is not None]
    since, now = together(primaries)
    used = sum(each.facts.memory or 0 for each in primaries if each.facts is not None)
    said = [f"{max(shares):.0%} of its memory used" if shares else f"{size(used)} used, no limit"]
    hits = now if now is not None else since
    said += [f"{hits:.0%} hits"] if hits is not None else []
    return ", ".join(said).replace("%", " %")


def _of(reading: CacheReading) -> Iterator[CacheTrouble]:
    yield from _cluster(reading)
    yield from _unanswered(reading)
    for node in reading.answered:
        if node.facts is not None:
            for part in (_memory, _disk, _clients, _restart, _link):
                for each in part(node, node.facts):
                    yield replace(each, address=node.address)
    yield from _replication(reading)
    yield from _hits(reading)


def _unanswered(reading: CacheReading) -> Iterator[CacheTrouble]:
    silent = [each for each in reading.nodes if each.error is not None]
    if silent and not reading.answered:
        error = silent[0].error
        says = error.message.rstrip(".") if error is not None else ""
        rest = f", and {counted(len(silent) - 1, 'other node')} {by_count(len(silent) - 1, 'fails', 'fail')} too"
        yield CacheTrouble(
            CacheTroubleKind.UNANSWERED,
            f"No node of the cache can be queried: {says}" + (rest if len(silent) > 1 else ""),
            " ".join(error.advice) if error is not None else "",
            grave=True,
            unreachable=any(_unreachable(each.error) for each in silent),
            late=all(isinstance(each.error, NoAnswer) for each in silent),
        )
        return
    for each in silent:
        if each.error is not None:
            unreachable = _unreachable(each.error)
            yield CacheTrouble(
                CacheTroubleKind.UNANSWERED,
                f"The {each.name} can't be queried: {each.error.message.rstrip('.')}",
                " ".join(each.error.advice) or "Look at the node in the console of its provider, or at its pod's log.",
                grave=bool(each.listed_primary) or unreachable,
                unreachable=unreachable,
                late=isinstance(each.error, NoAnswer),
            )


def _unreachable(error: RunbookError | None) -> bool:
    return error is not None and error.code is ReasonCode.CACHE_UNREACHABLE


def _cluster(reading: CacheReading) -> Iterator[CacheTrouble]:
    health = reading.health
    if health is not None and (health.well is False or (health.assigned or _SLOTS) < _SLOTS):
        lost = _SLOTS - (health.assigned or 0) if health.assigned is not None else 0
        why = ", ".join(
            [
                *([f"{counted(lost, 'slot')} {by_count(lost, 'has', 'have')} no node"] if lost else []),
                *([f"the nodes of {counted(health.failing, 'slot')} do not answer"] if health.failing else []),
            ]
        )
        yield CacheTrouble(
            CacheTroubleKind.CLUSTER,
            "The cache cluster is down: " + (why or "its nodes do not agree on its state"),
            "Bring back the nodes that do not answer; a replica takes over its shard by itself if most primaries answer.",
            grave=True,
        )
    failed = [each for each in reading.answered if each.listed_health == "failed"]
    if failed:
        yield CacheTrouble(
            CacheTroubleKind.CLUSTER,
            f"The cache cluster marks {listed((each.address for each in failed), most=_NAMED)} as failed, but the bot can reach it",
            "Check the network between the nodes: the cluster bus uses the port plus 10000.",
            grave=True,
        )


def _memory(node: NodeReading, facts: NodeFacts) -> Iterator[CacheTrouble]:
    full, failing = node.full, node.errors_now("OOM")
    if full is None or facts.most_memory is None:
        return
    evicts = bool(facts.policy) and facts.policy != "noeviction"
    share = f"{size(facts.memory or 0)} of {size(facts.most_memory)}"
    larger = "Free memory (long-lived keys without expiry), or give the cache more."
    if failing or (full >= FULL and not evicts and node.primary):
        why = "evicts nothing (noeviction)" if not evicts else f"finds nothing more to evict ({facts.policy})"
        rate = f", about {max(1, round(failing / node.seconds)):,} a second" if failing and node.seconds else ""
        yield CacheTrouble(
            CacheTroubleKind.MEMORY,
            f"The {node.name} is full ({share}) and {why}, so writes fail{rate}",
            larger,
            grave=True,
        )
    elif node.evicting >= 1:
        yield CacheTrouble(
            CacheTroubleKind.MEMORY,
            f"The {node.name} is full ({share}) and evicts {counted(round(node.evicting), 'key')} a second ({facts.policy})",
            "If the hit ratio falls too, give it more memory or let keys expire sooner.",
            grave=False,
            usual=True,
        )
    elif full >= NEARLY_FULL and not evicts and node.primary:
        yield CacheTrouble(
            CacheTroubleKind.MEMORY,
            f"The {node.name} is {full:.0%} full ({share}); it evicts nothing, so writes fail when it is full".replace(
                "%", " %"
            ),
            larger,
            grave=False,
        )


def _disk(node: NodeReading, facts: NodeFacts) -> Iterator[CacheTrouble]:
    lost = f" (written since the last good one: {facts.unsaved:,})" if facts.unsaved else ""
    stops = " Writes are refused because of it." if node.errors_now("MISCONF") else ""
    if facts.saved is False:
        yield CacheTrouble(
            CacheTroubleKind.DISK,
            f"The {node.name} could not write its last snapshot{lost}",
            f"Look at its disk's free space and its log.{stops}",
            grave=bool(stops),
        )
    if facts.appended is False:
        yield CacheTrouble(
            CacheTroubleKind.DISK,
            f"The {node.name} can't write its append-only file, so it refuses writes",
            "Look at its disk's free space.",
            grave=True,
        )


def _clients(node: NodeReading, facts: NodeFacts) -> Iterator[CacheTrouble]:
    if node.rejecting or (facts.clients and facts.most_clients and facts.clients >= facts.most_clients * CLIENTS):
        many = f"{facts.clients or 0:,} of {counted(facts.most_clients or 0, 'connection')} are open"
        yield CacheTrouble(
            CacheTroubleKind.CLIENTS,
            f"The {node.name} {'rejects connections' if node.rejecting else 'has few connections left'}: {many}",
            "Look for a service that opens connections and does not close them: `pods` shows what was restarted.",
            grave=bool(node.rejecting),
        )
    if refused := sum(map(node.errors_now, ("WRONGPASS", "NOAUTH", "NOPERM"))):
        yield CacheTrouble(
            CacheTroubleKind.CLIENTS,
            f"The {node.name} denied access to a client {counted(refused, 'time')} in {node.seconds:.1f} s",
            "Compare the services' credentials with the server's ACL. A password may have been replaced.",
            grave=True,
        )


def _restart(node: NodeReading, facts: NodeFacts) -> Iterator[CacheTrouble]:
    if facts.loading:
        yield CacheTrouble(
            CacheTroubleKind.RESTART,
            f"The {node.name} is loading its data into memory",
            "It answers when that is done.",
            grave=True,
        )
    elif facts.uptime is not None and facts.uptime < YOUNG:
        yield CacheTrouble(
            CacheTroubleKind.RESTART,
            f"The {node.name} restarted {duration(facts.uptime)} ago",
            "Until it fills again, more reads go to the database.",
            grave=False,
            seconds=facts.uptime,
        )


def _replication(reading: CacheReading) -> Iterator[CacheTrouble]:
    replicas = [each for each in reading.nodes if each.primary is False]
    broken = {each.shard for each in replicas if each.error or (each.facts is not None and each.facts.link_up is False)}
    for primary in reading.primaries:
        facts = primary.facts
        assert facts is not None, "it answered"
        for link in facts.replicas:
            behind = (facts.offset or 0) - link.offset if link.offset is not None else 0
            if link.state != "online" or (link.lag or 0) >= LATE or behind >= BEHIND:
                lag = (
                    f"{size(behind)} and {duration(link.lag or 0)} behind" if link.state == "online" else "being copied"
                )
                yield CacheTrouble(
                    CacheTroubleKind.REPLICATION,
                    f"The replica {link.address} of the {primary.name} is {lag}",
                    "Check the network between them, and look for heavy writes.",
                    grave=False,
                )
        if not facts.replicas and primary.shard not in broken and replicas:
            yield CacheTrouble(
                CacheTroubleKind.REPLICATION,
                f"The {primary.name} has no replica, so its data is lost if it fails",
                "Add a replica, or bring it back.",
                grave=False,
            )


def _link(node: NodeReading, facts: NodeFacts) -> Iterator[CacheTrouble]:
    if facts.primary is not False:
        return
    if facts.copying:
        yield CacheTrouble(
            CacheTroubleKind.REPLICATION,
            f"The {node.name} is copying everything from its primary",
            "Until it is done, it can't take over.",
            grave=False,
        )
    elif facts.link_up is False:
        since = f" {duration(facts.link_down)} ago" if facts.link_down else ""
        yield CacheTrouble(
            CacheTroubleKind.REPLICATION,
            f"The {node.name} lost its primary{since}: it serves old data and can't take over",
            "Check the primary, the network between them, and the password that the replica uses (`masterauth`).",
            grave=True,
            seconds=facts.link_down,
        )


def _hits(reading: CacheReading) -> Iterator[CacheTrouble]:
    since, now = together(reading.primaries)
    lookups = sum(each.lookups_now for each in reading.primaries)
    if since is not None and now is not None and lookups >= ENOUGH and now < FELL_TO and now <= since - FELL_BY:
        yield CacheTrouble(
            CacheTroubleKind.HITS,
            f"The hit ratio is {now:.0%} now, and {since:.0%} since the start".replace("%", " %"),
            "Misses are read from the database: `slow-queries` shows the cost.",
            grave=False,
        )
