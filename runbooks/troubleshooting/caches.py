"""The cache: full, without a replica, down, or refusing the services."""

from collections.abc import Mapping
from datetime import timedelta

from runbooks.cache import judging
from runbooks.cache.caches import Cache
from runbooks.cache.judging import CacheTrouble, Kind
from runbooks.cache.reading import CacheReading
from runbooks.kit.reasons import ReasonCode
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.rule import Rule

_LOOKS = 1.2
"""Seconds for each answer of a node."""
_KINDS = {Kind.MEMORY: Trouble.CACHE_MEMORY, Kind.REPLICATION: Trouble.CACHE_REPLICATION}
_EXPLAINS = {
    Kind.CLUSTER: (Trouble.CACHE_MEMORY, Trouble.CACHE_REPLICATION, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    Kind.UNANSWERED: (Trouble.CACHE_REPLICATION, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    Kind.MEMORY: (Trouble.CACHE, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    Kind.CLIENTS: (Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC),
    Kind.HITS: (Trouble.SLOW, Trouble.SLOW_QUERIES),
    Kind.RESTART: (Trouble.SLOW, Trouble.SLOW_QUERIES),
}


class Caches(Rule):
    """Looks at every node of the cache, twice: what happens now shows in the difference."""

    name = "the cache"
    seconds = 6.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return what is wrong with it; a node that refuses the bot is one that nobody could look at."""
        cache = case.find(Cache)
        if cache is None:
            return not_configured()
        regions = await cache.look(seconds=_LOOKS)
        troubles = [each for each in judging.troubles(regions) if each.kind is not Kind.UNANSWERED or each.unreachable]
        falls = any(each.kind is Kind.HITS for each in troubles)
        kept = [each for each in troubles if falls or not each.usual]
        return RuleAnswer(
            found=tuple(_finding(each, case) for each in kept),
            unknown=tuple(_refused(regions)),
            details=judging.in_short(regions) if not kept else "",
        )


def _refused(regions: Mapping[str, CacheReading]) -> list[str]:
    """Return why nodes can't be asked that are there: that is the bot's own trouble, and no cause."""
    errors = [node.error for reading in regions.values() for node in reading.nodes if node.error is not None]
    said = [each.message.rstrip(".") for each in errors if each.code is not ReasonCode.CACHE_UNREACHABLE]
    return list(dict.fromkeys(said))


def _finding(each: CacheTrouble, case: Case) -> Finding:
    began = case.now - timedelta(seconds=each.seconds) if each.seconds is not None else None
    return Finding(
        kind=_KINDS.get(each.kind, Trouble.CACHE),
        cause=each.says,
        evidence=(f"Node {each.address}.",) if each.address and each.address not in each.says else (),
        confidence=Confidence.CERTAIN if each.grave else Confidence.POSSIBLE,
        since=began,
        explains=_EXPLAINS.get(each.kind, ()),
        to_do=(
            *([ToDo(text=each.to_do.replace("`", "").rstrip("."))] if each.to_do else []),
            ToDo(text="See every node of the cache", command="cache", label="Cache"),
        ),
    )
