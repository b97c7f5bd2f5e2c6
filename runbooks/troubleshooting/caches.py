"""The cache: full, without a replica, down, or refusing the services."""

import asyncio
from collections.abc import Mapping

from runbooks.cache import groups as groups_of_cache
from runbooks.cache import judging
from runbooks.cache.caches import Cache
from runbooks.cache.judging import CacheTrouble, CacheTroubleKind
from runbooks.cache.reading import CacheReading
from runbooks.clients.aws.elasticache import CacheGroup, ElastiCacheGroups
from runbooks.clients.redis.node import NoAnswer
from runbooks.kit.reasons import ReasonCode
from runbooks.troubleshooting.case import Case, before
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.rule import Rule

_LOOKS = 2.0
"""Seconds for each answer of a node."""
_REASONS = 3
_KINDS = {
    CacheTroubleKind.MEMORY: Trouble.CACHE_MEMORY,
    CacheTroubleKind.REPLICATION: Trouble.CACHE_REPLICATION,
    CacheTroubleKind.SERVICE: Trouble.CACHE_SERVICE,
}
_EXPLAINS = {
    CacheTroubleKind.CLUSTER: (
        Trouble.CACHE_MEMORY,
        Trouble.CACHE_REPLICATION,
        Trouble.ERRORS,
        Trouble.SLOW,
        Trouble.METRIC,
    ),
    CacheTroubleKind.UNANSWERED: (Trouble.CACHE_REPLICATION, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    CacheTroubleKind.MEMORY: (Trouble.CACHE, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    CacheTroubleKind.CLIENTS: (Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    CacheTroubleKind.HITS: (Trouble.SLOW, Trouble.SLOW_QUERIES),
    CacheTroubleKind.SERVICE: (Trouble.CACHE, Trouble.CACHE_REPLICATION, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    CacheTroubleKind.RESTART: (Trouble.SLOW, Trouble.SLOW_QUERIES),
}


class Caches(Rule):
    """Looks at every node of the cache, twice: what happens now shows in the difference."""

    name = "cache"
    permission = "fleet:read"
    seconds = 8.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return what is wrong with it; a node that refuses the bot is one that nobody could look at."""
        cache, groups = case.find(Cache), case.find(ElastiCacheGroups)
        if cache is None:
            return not_configured()
        regions, seen = await asyncio.gather(
            cache.look(seconds=_LOOKS * case.patience), groups.look() if groups is not None else _none()
        )
        answers = any(reading.answered for reading in regions.values())
        troubles = [each for each in judging.troubles(regions) if _known(each, answers=answers)]
        falls = any(each.kind is CacheTroubleKind.HITS for each in troubles)
        kept = [each for each in troubles if falls or not each.usual]
        kept += groups_of_cache.troubles(seen, case.now)
        return RuleAnswer(
            found=tuple(_finding(each, case) for each in kept),
            unknown=(
                *_refused(regions),
                *(f"{each.name}: {why}" for each in seen for why in (each.why, *each.unknown) if why),
            ),
            details=judging.in_short(regions) if not kept else "",
        )


async def _none() -> tuple[CacheGroup, ...]:
    return ()


def _known(each: CacheTrouble, *, answers: bool) -> bool:
    """Return whether it is the cache's trouble: not where it refuses the bot, and not where the bot hears nothing at all in time."""
    return each.kind is not CacheTroubleKind.UNANSWERED or (each.unreachable and (answers or not each.late))


def _refused(regions: Mapping[str, CacheReading]) -> list[str]:
    """Return why the bot can't see nodes that may be well."""
    nodes = [node for reading in regions.values() for node in reading.nodes]
    answers = any(node.facts is not None for node in nodes)
    said = [
        node.error.message.rstrip(".")
        for node in nodes
        if node.error is not None
        and (node.error.code is not ReasonCode.CACHE_UNREACHABLE or (isinstance(node.error, NoAnswer) and not answers))
    ]
    return list(dict.fromkeys(said))[:_REASONS]


def _finding(each: CacheTrouble, case: Case) -> Finding:
    began = before(case.now, each.seconds) if each.seconds is not None else None
    return Finding(
        kind=_KINDS.get(each.kind, Trouble.CACHE),
        cause=each.says,
        evidence=(
            *([f"Node {each.address}."] if each.address and each.address not in each.says else []),
            *(f"{said}." for said in each.evidence),
        ),
        confidence=_confidence(each),
        since=began,
        ahead=each.ahead,
        explains=_EXPLAINS.get(each.kind, ()) if not each.ahead else (),
        to_do=(
            *([ToDo(text=each.to_do)] if each.to_do else []),
            ToDo(text="See every node of the cache", command="cache", label="Cache"),
        ),
    )


def _confidence(each: CacheTrouble) -> Confidence:
    if each.late:
        return Confidence.LIKELY
    return Confidence.CERTAIN if each.grave else Confidence.POSSIBLE
