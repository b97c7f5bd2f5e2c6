"""What services lean on besides the cluster and the database, in a fact each for `status`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from commands.kit.card import Code, Fact, words
from commands.kit.context import Context
from runbooks.cache import judging
from runbooks.cache.caches import Cache
from runbooks.cache.judging import CacheTroubleKind
from runbooks.cache.reading import CacheReading
from runbooks.clients.aws.target_groups import TargetGroups
from runbooks.kit.errors import RunbookError
from runbooks.observe import target_health
from runbooks.wording import counted, listed

_log = logging.getLogger(__name__)
_SHARE = 0.45
"""Of the time, for each of the two things that a look at a cache takes."""
_TROUBLE = {
    CacheTroubleKind.MEMORY: "the cache is full",
    CacheTroubleKind.CLUSTER: "the cache is down",
    CacheTroubleKind.REPLICATION: "a replica of the cache lost its primary",
    CacheTroubleKind.UNANSWERED: "some nodes of the cache do not answer",
    CacheTroubleKind.DISK: "the cache can't write to disk",
    CacheTroubleKind.CLIENTS: "the cache refuses clients",
    CacheTroubleKind.RESTART: "the cache is loading its data",
}


@dataclass(frozen=True, slots=True)
class DependencyFacts:
    """What was seen of them; nothing where nothing of the kind is configured."""

    facts: tuple[Fact, ...] = ()
    trouble: str = ""
    """For the answer: `, the cache is full`, `, cache unknown`."""
    looks: tuple[tuple[str, str], ...] = ()
    """Where to look next: a button's label and command."""
    data: Mapping[str, object] = field(default_factory=dict)


async def dependency_facts(context: Context, seconds: float) -> DependencyFacts:
    """Return them within so many seconds; what takes longer, or can't be looked at, is unknown."""
    parts = await asyncio.gather(
        *(looked(each.label, partial(each.look, context, seconds), seconds) for each in _PARTS)
    )
    return DependencyFacts(
        facts=tuple(fact for each in parts for fact in each.facts),
        trouble="".join(each.trouble for each in parts),
        looks=tuple(look for each in parts for look in each.looks),
        data={name: value for each in parts for name, value in each.data.items()},
    )


async def looked(label: str, look: Callable[[], Awaitable[DependencyFacts]], seconds: float) -> DependencyFacts:
    """Return what a look gives; whatever it raises is that this one is unknown, and ends no other."""
    try:
        async with asyncio.timeout(seconds):
            return await look()
    except TimeoutError:
        why = f"no answer within {seconds:g} s"
    except RunbookError as error:
        why = f"unknown: {error.message.rstrip('.')}"
    except Exception:  # noqa: BLE001 - whatever it is, the rest of the answer is worth more
        _log.exception("a dependency could not be looked at", extra={"dependency": label})
        why = "unknown: an error in the bot; its log has more"
    return DependencyFacts(facts=(Fact(label=label, value=words(why)),), trouble=f", {label.lower()} unknown")


async def _cache(context: Context, seconds: float) -> DependencyFacts:
    cache, where = context.find(Cache), context.where.name
    if cache is None:
        return DependencyFacts()
    regions = await cache.look(seconds=seconds * _SHARE, twice=False)
    found = judging.troubles(regions)
    grave = [each for each in found if each.grave and not each.late]
    said = judging.answer(regions, grave) if grave else _without_trouble(regions)
    late = any(each.late for each in found)
    shown = words(f"{said}: ", Code(text=f"cache --env {where}")) if grave or late else words(said)
    return DependencyFacts(
        facts=(Fact(label="Cache", value=shown),),
        trouble=f", {_TROUBLE.get(grave[0].kind, 'the cache has a problem')}" if grave else "",
        looks=(("Cache", "cache"),) if grave else (),
        data={"cache": [each.says for each in grave]},
    )


def _without_trouble(regions: Mapping[str, CacheReading]) -> str:
    """Return how it is, as far as nodes answered in the short time that `status` has."""
    nodes = [node for reading in regions.values() for node in reading.nodes]
    answered = sum(node.facts is not None for node in nodes)
    if not answered:
        return "no answer in time"
    some = f", {answered} of {counted(len(nodes), 'node')} answered in time" if answered < len(nodes) else ""
    return judging.in_short(regions) + some


async def _targets(context: Context, _: float) -> DependencyFacts:
    asked = context.find(TargetGroups)
    if asked is None:
        return DependencyFacts()
    groups = await asked.look()
    bad = [each for each in groups if target_health.trouble(each)]
    names = listed(dict.fromkeys(each.service for each in bad))
    return DependencyFacts(
        facts=(Fact(label="Load balancer", value=words(target_health.in_short(groups))),),
        trouble=f", unhealthy targets of {names} in the load balancer" if bad else "",
        looks=(("Diagnose", "diagnose"),) if bad else (),
        data={"targets": [each.model_dump(mode="json") for each in groups]},
    )


@dataclass(frozen=True, slots=True)
class DependencyPart:
    """One of them."""

    label: str
    look: Callable[[Context, float], Awaitable[DependencyFacts]]


_PARTS = (DependencyPart("Cache", _cache), DependencyPart("Load balancer", _targets))
