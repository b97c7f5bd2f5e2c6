"""`cache`: how full the cache is, how often it helps, whether it is replicated, and what is slow there; all nodes side by side."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.cache import groups as groups_of_cache
from runbooks.cache import judging
from runbooks.cache.caches import Cache
from runbooks.cache.judging import CacheTrouble, CacheTroubleKind
from runbooks.cache.reading import CacheReading, NodeReading, together
from runbooks.cache.slow_log import SlowCommand
from runbooks.clients.aws.elasticache import CacheGroup, ElastiCacheGroups
from runbooks.clients.redis.parsing import NodeFacts
from runbooks.database.databases import Database
from runbooks.wording import counted, duration, listed, size

_TROUBLES = 8
_SLOW = 5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class CacheCommand(Observation):
    """Show the cache: memory, evictions, hit ratio, clients, replication, cluster state and slow commands of each node."""

    tool = "redis-cli"
    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "--env production"],
        name="cache",
        refreshes=True,
        next=(FollowUp(command="diagnose", trouble=True),),
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        groups = context.find(ElastiCacheGroups)
        return (*context.use(Cache, "cache").by_hand(), *(groups.by_hand() if groups is not None else ()))

    async def answer(self, context: Context) -> Card:
        where, managed = context.where.name, context.find(ElastiCacheGroups)
        asked = asyncio.create_task(managed.look()) if managed is not None else None
        regions = await context.use(Cache, "cache").look()
        groups = await asked if asked is not None else ()
        nodes, seen = judging.troubles(regions), groups_of_cache.troubles(groups, context.now)
        found = tuple(sorted((*nodes, *seen), key=lambda each: (each.ahead, not each.grave)))
        text = judging.answer(regions, found)
        grave = any(each.grave for each in found)
        return Card(
            state=State.FAILED if grave else State.WAITING if found else State.DONE,
            title=words(Strong(text=text), f" · {where}"),
            summary=f"{text} ({where}).",
            body=(
                *_troubles(found),
                *_nodes(regions),
                *_facts(regions),
                *_managed(groups, context.now),
                *_slow(regions),
            ),
            buttons=_buttons(context, found),
            data={
                "environment": where,
                "findings": [
                    {"about": each.kind.value, "says": each.says, "grave": each.grave, "evidence": list(each.evidence)}
                    for each in found
                ],
                "elasticache": [each.model_dump(mode="json") for each in groups],
                "regions": {region: [_data(each) for each in reading.nodes] for region, reading in regions.items()},
            },
        )


def _troubles(found: tuple[CacheTrouble, ...]) -> Iterator[Element]:
    """The first one is the card's title."""
    for place, each in enumerate(found[:_TROUBLES]):
        title = words(Strong(text=f"{each.says}. ")) if place else words()
        node = (
            words("Node ", Code(text=each.address), ". ") if each.address not in ("", *each.says.split()) else words()
        )
        shown = "".join(f"{said}. " for said in each.evidence)
        if place or shown or each.to_do:
            yield Paragraph(text=words(title, node, shown, sentence(each.to_do)))
    if (more := len(found) - _TROUBLES) > 0:
        yield Note(text=words(f"{counted(more, 'more finding')} about nodes in the table."))


def _nodes(regions: Mapping[str, CacheReading]) -> Iterator[Element]:
    rows = [
        (
            words(_label(region, each)),
            words(_memory(each)),
            words(_share(each.hits_now)),
            words("" if each.facts is None or each.facts.clients is None else f"{each.facts.clients:,}"),
            words(_replication(each)),
        )
        for region, reading in regions.items()
        for each in reading.nodes
    ]
    yield Table(columns=("Node", "Memory", "Hits now", "Clients", "Replication"), rows=tuple(rows))
    for region, reading in regions.items():
        if reading.unread:
            yield Note(
                text=words(f"{counted(reading.unread, 'more node')} {f'of {region} ' if region else ''}not read.")
            )


def _label(region: str, node: NodeReading) -> str:
    role = {True: "primary", False: "replica", None: ""}[node.primary]
    own = f"{node.shard} {role}" if node.shard else f"{node.address} {role}"
    return f"{region} {own}".strip()


def _memory(node: NodeReading) -> str:
    if node.facts is None:
        return "no answer" if node.error is not None else "unknown"
    used = node.facts.memory
    if used is None:
        return "unknown"
    if node.full is None:
        return f"{size(used)}, {'no limit' if node.facts.most_memory == 0 else 'limit unknown'}"
    return f"{_share(node.full)} of {size(node.facts.most_memory or 0)}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.0f} %"


def _replication(node: NodeReading) -> str:
    facts = node.facts
    if facts is None:
        return ""
    if facts.primary is False:
        if facts.copying:
            return "copies everything"
        lost = f"lost{f' {duration(facts.link_down)} ago' if facts.link_down else ''}"
        return {True: "linked", False: lost, None: "unknown"}[facts.link_up]
    behind = [(facts.offset or 0) - each.offset for each in facts.replicas if each.offset is not None]
    if not facts.replicas:
        return "no replica"
    late = max((each.lag or 0 for each in facts.replicas), default=0)
    said = f"{size(max(behind, default=0))} behind" if behind else "unknown"
    return f"{counted(len(facts.replicas), 'replica')}, {said}" + (f", {duration(late)} late" if late > 1 else "")


def _facts(regions: Mapping[str, CacheReading]) -> Iterator[Element]:
    answered = [each for reading in regions.values() for each in reading.answered]
    primaries = [each for reading in regions.values() for each in reading.primaries]
    facts = [each.facts for each in answered if each.facts is not None]
    if not facts:
        return
    said = {
        "Hit ratio": _hits(primaries),
        "Eviction": _eviction(primaries),
        "Cluster": _cluster(regions),
        "Keys": f"{sum(each.facts.keys or 0 for each in primaries if each.facts is not None):,}",
        "On disk": _disk(facts),
        "Refused since the start": _errors(facts),
        "Uptime": _up(facts),
        "Version": listed(sorted({each.version for each in facts})),
    }
    yield Facts(facts=tuple(Fact(label=label, value=words(value)) for label, value in said.items() if value))


def _managed(groups: Sequence[CacheGroup], now: datetime) -> Iterator[Element]:
    """What ElastiCache says of its groups."""
    if groups:
        lines = [(f"ElastiCache {each.name}", groups_of_cache.in_short(each, now)) for each in groups]
        yield Facts(facts=tuple(Fact(label=label, value=words(said)) for label, said in lines))
    for why in dict.fromkeys(why for each in groups for why in each.unknown):
        yield Note(text=words(f"Not everything could be read from ElastiCache: {why}."))


def _hits(primaries: list[NodeReading]) -> str:
    since, now = together(primaries)
    said = [f"{_share(now)} now" if now is not None else "too few lookups to tell now"]
    said += [f"{_share(since)} since the start"] if since is not None else []
    return ", ".join(said)


def _eviction(primaries: list[NodeReading]) -> str:
    facts = [each.facts for each in primaries if each.facts is not None]
    policies = sorted({each.policy or "unknown policy" for each in facts})
    now = sum(each.evicting for each in primaries)
    rate = f", {now:,.0f} a second now" if now >= 1 else ""
    return (
        f"{listed(policies)}; {counted(sum(each.evicted or 0 for each in facts), 'key')} evicted since the start{rate}"
    )


def _cluster(regions: Mapping[str, CacheReading]) -> str:
    said = []
    for region, reading in regions.items():
        health, named = reading.health, f"{region}: " if region else ""
        if reading.shards:
            state = {True: "up", False: "down", None: "state unknown"}[health.well if health else None]
            slots = (
                f"{health.assigned:,} of 16,384 slots" if health and health.assigned is not None else "slots unknown"
            )
            said.append(f"{named}{counted(reading.shards, 'shard')}, {slots}, {state}")
        else:
            said.append(f"{named}no cluster mode, or unknown")
    return "; ".join(said)


def _disk(facts: list[NodeFacts]) -> str:
    bad = [each for each in facts if each.saved is False or each.appended is False]
    known = [each for each in facts if each.saved is not None or each.appended is not None]
    if not known:
        return "unknown"
    return f"{len(bad)} of {len(known)} nodes can't write" if bad else "the last write succeeded on every node"


def _errors(facts: list[NodeFacts]) -> str:
    """Errors that say something about the cache or its clients, not about a command that was written wrong."""
    meaning = {"OOM": "writes, no memory", "MISCONF": "writes, no disk", "WRONGPASS": "logins", "NOAUTH": "without a login", "NOPERM": "without permission", "CLUSTERDOWN": "cluster down"}  # fmt: skip
    counts = {name: sum(each.errors.get(name, 0) for each in facts) for name in meaning}
    return ", ".join(f"{count:,} {meaning[name]} ({name})" for name, count in counts.items() if count)


def _up(facts: list[NodeFacts]) -> str:
    known = [each.uptime for each in facts if each.uptime is not None]
    if not known:
        return "unknown"
    shortest, longest = duration(min(known)), duration(max(known))
    return f"{shortest}" if shortest == longest else f"{shortest} to {longest}"


def _slow(regions: Mapping[str, CacheReading]) -> Iterator[Element]:
    found = [
        (each, f"{region} {node.name}".strip())
        for region, reading in regions.items()
        for node in reading.answered
        for each in node.slow
    ]
    found.sort(key=lambda pair: pair[0].at or _LONG_AGO, reverse=True)
    nodes = [node for reading in regions.values() for node in reading.answered]
    limits = {node.slow_from for node in nodes}
    start = next(iter(limits)) if len(limits) == 1 else None
    began = f"from {_taken(start)}" if start is not None else "threshold unknown"
    if found:
        lines = [words("\n", _line(each, label)) for each, label in found[:_SLOW]]
        yield Paragraph(text=words(Strong(text=f"Newest slow commands ({began}), parts of keys hidden"), *lines))
        if any(each.command == "KEYS" for each, _ in found[:_SLOW]):
            yield Note(text=sentence("`KEYS` reads every key and blocks all other commands: use `SCAN`."))
    elif nodes and not any(node.slow_unknown for node in nodes):
        yield Note(text=words(f"The slow log is empty ({began})."))
    if unknown := next((node.slow_unknown for node in nodes if node.slow_unknown), ""):
        yield Note(text=sentence(f"The slow log is unknown: {unknown}"))


def _line(each: SlowCommand, label: str) -> Text:
    """One line, because a message shows only one table as a table."""
    command = f"{each.command} {each.key}".strip()
    when: tuple[str | Moment, ...] = (", ", Moment(at=each.at, age=True)) if each.at is not None else ()
    shown: Code | str = Code(text=command) if command else "a hidden command"
    return words(f"• {_taken(each.microseconds)} ", shown, f" on {label}", *when)


def _taken(microseconds: int) -> str:
    return f"{microseconds / 1000:.3g} ms"


def _buttons(context: Context, found: tuple[CacheTrouble, ...]) -> tuple[Button, ...]:
    where = context.where.name
    if (
        any(each.kind in (CacheTroubleKind.HITS, CacheTroubleKind.MEMORY) for each in found)
        and context.find(Database) is not None
    ):
        return (Button(label="Slow queries", does=Typed(text=f"slow-queries --env {where}")),)
    return ()


def _data(node: NodeReading) -> dict[str, object]:
    facts = node.facts
    told: dict[str, object] = {"node": node.address, "shard": node.shard or None, "primary": node.primary}
    if facts is None:
        return {**told, "ok": False, "message": node.error.message if node.error is not None else None}
    return {
        **told,
        "ok": True,
        "version": facts.version,
        "uptime_seconds": facts.uptime,
        "memory_bytes": facts.memory,
        "max_memory_bytes": facts.most_memory,
        "policy": facts.policy,
        "evicted_keys": facts.evicted,
        "hit_ratio": node.hits,
        "hit_ratio_now": node.hits_now,
        "clients": facts.clients,
        "keys": facts.keys,
        "link_up": facts.link_up,
        "replicas": [
            {
                "node": each.address,
                "state": each.state,
                "lag_seconds": each.lag,
                "behind_bytes": None if each.offset is None else max(0, (facts.offset or 0) - each.offset),
            }
            for each in facts.replicas
        ],
        "errors": dict(facts.errors),
        "slow": [
            {
                "command": each.command,
                "key": each.key,
                "microseconds": each.microseconds,
                "at": each.at.isoformat() if each.at else None,
            }
            for each in node.slow
        ],
    }
