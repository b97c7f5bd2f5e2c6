"""What was read of a cache: its nodes, each as it was twice, and what follows from the two."""

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.cache.slow_log import SlowCommand
from runbooks.clients.redis.parsing import ClusterHealth, NodeFacts
from runbooks.kit.errors import RunbookError

ENOUGH = 50
"""Look-ups from which a ratio says something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """One node: what it told, or why it told nothing."""

    address: str
    shard: int = 0
    """From 1; 0: there are no shards."""
    listed_primary: bool | None = None
    """Its role as the cluster lists it."""
    listed_health: str = ""
    facts: NodeFacts | None = None
    before: NodeFacts | None = None
    """The same, `seconds` earlier."""
    seconds: float = 0.0
    health: ClusterHealth | None = None
    slow: tuple[SlowCommand, ...] = ()
    slow_unknown: str = ""
    """Why the slow log could not be read."""
    slow_from: int | None = None
    """Microseconds from which a command is in the slow log; None where the server does not tell."""
    error: RunbookError | None = None

    @property
    def primary(self) -> bool | None:
        """Return whether it is a primary; None where nobody knows."""
        return self.facts.primary if self.facts is not None and self.facts.primary is not None else self.listed_primary

    @property
    def name(self) -> str:
        """Return such as `primary of shard 2`; its address where there are no shards."""
        role = {True: "primary", False: "replica", None: "node"}[self.primary]
        return f"{role} of shard {self.shard}" if self.shard else f"{role} {self.address}"

    @property
    def full(self) -> float | None:
        """Return the share of its memory that is used; None without a limit."""
        facts = self.facts
        if facts is None or facts.memory is None or not facts.most_memory:
            return None
        return facts.memory / facts.most_memory

    @property
    def hits(self) -> float | None:
        """Return the share of look-ups since its start that found something."""
        return ratio(self.facts.hits, self.facts.misses) if self.facts is not None else None

    @property
    def lookups_now(self) -> int:
        """Return the look-ups between the two readings."""
        return self._more("hits") + self._more("misses")

    @property
    def hits_now(self) -> float | None:
        """Return the share of look-ups between the two readings that found something."""
        return ratio(self._more("hits"), self._more("misses"))

    @property
    def evicting(self) -> float:
        """Return the keys that it evicts in a second."""
        return self._more("evicted") / self.seconds if self.seconds else 0.0

    def errors_now(self, name: str) -> int:
        """Return how often that error was its answer between the two readings."""
        if self.facts is None or self.before is None:
            return 0
        return max(0, self.facts.errors.get(name, 0) - self.before.errors.get(name, 0))

    @property
    def rejecting(self) -> int:
        """Return the connections that it rejected between the two readings."""
        return self._more("rejected")

    def _more(self, name: str) -> int:
        counts = {
            "hits": lambda facts: facts.hits,
            "misses": lambda facts: facts.misses,
            "evicted": lambda facts: facts.evicted,
            "rejected": lambda facts: facts.rejected,
        }
        if self.facts is None or self.before is None:
            return 0
        now, then = counts[name](self.facts), counts[name](self.before)
        return max(0, now - then) if now is not None and then is not None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReading:
    """The cache of one region."""

    nodes: tuple[NodeReading, ...]
    unread: int = 0
    """Nodes beyond those that are looked at."""

    @property
    def answered(self) -> tuple[NodeReading, ...]:
        """Return the nodes that answered."""
        return tuple(each for each in self.nodes if each.facts is not None)

    @property
    def primaries(self) -> tuple[NodeReading, ...]:
        """Return the primaries that answered."""
        return tuple(each for each in self.answered if each.primary)

    @property
    def shards(self) -> int:
        """Return the number of shards; 0 without cluster mode."""
        return max((each.shard for each in self.nodes), default=0)

    @property
    def health(self) -> ClusterHealth | None:
        """Return the cluster's health: of a node that says it is ill, else of any that says something."""
        told = [each.health for each in self.nodes if each.health is not None]
        return next((each for each in told if each.well is False), next(iter(told), None))


def ratio(hits: int | None, misses: int | None) -> float | None:
    """Return the share of look-ups that found something; None where there were none."""
    return hits / (hits + misses) if hits is not None and misses is not None and hits + misses else None


def together(readings: Sequence[NodeReading]) -> tuple[float | None, float | None]:
    """Return the hit ratio of several nodes, since their starts and now; None where too few look-ups say."""
    facts = [each.facts for each in readings if each.facts is not None]
    since = ratio(sum(each.hits or 0 for each in facts), sum(each.misses or 0 for each in facts))
    lookups = sum(each.lookups_now for each in readings)
    found = sum((each.hits_now or 0.0) * each.lookups_now for each in readings)
    return since, found / lookups if lookups >= ENOUGH else None
