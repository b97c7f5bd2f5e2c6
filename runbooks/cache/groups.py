"""What is wrong with a cache as ElastiCache sees it: failovers, nodes that it replaces, maintenance, old snapshots."""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from runbooks.cache.judging import CacheTrouble, CacheTroubleKind
from runbooks.clients.aws.elasticache import CacheGroup, GroupEvent, GroupNode, ServiceUpdate
from runbooks.wording import age_since, by_count, counted, listed

_WELL = ("available", "snapshotting", "modifying", "")
"""States in which a node serves; one of a node that nobody told is not known to be wrong."""
_BROKEN = ("incompatible-network", "restore-failed", "create-failed", "deleting", "deleted")
_LATELY = timedelta(minutes=30)
"""So long after a failover it explains what was slow or failed."""
_SNAPSHOT = timedelta(hours=36)
"""ElastiCache makes an automatic one each day."""
_NAMED = 3
_NAME = re.compile(r"[a-zA-Z0-9-]+")


def troubles(groups: Sequence[CacheGroup], now: datetime) -> tuple[CacheTrouble, ...]:
    """Return what is wrong, the worst first. A group that could not be asked is not known to be wrong."""
    found = [each for group in groups if not group.why for each in _of(group, now)]
    return tuple(sorted(found, key=lambda each: (each.ahead, not each.grave)))


def _of(group: CacheGroup, now: datetime) -> Iterator[CacheTrouble]:
    yield from _status(group)
    failing = _in_failover(group, now)
    yield from _failover(group, now, failing)
    yield from _nodes(group, [each for each in group.nodes if each not in failing])
    yield from _updates(group, now)
    yield from _snapshots(group, now)


def _trouble(
    says: str,
    to_do: str,
    *,
    grave: bool = False,
    ahead: bool = False,
    seconds: float | None = None,
    evidence: tuple[str, ...] = (),
) -> CacheTrouble:
    kind = CacheTroubleKind.SERVICE
    return CacheTrouble(kind, says, to_do, grave=grave, ahead=ahead, seconds=seconds, evidence=evidence)


def _status(group: CacheGroup) -> Iterator[CacheTrouble]:
    if group.status in _BROKEN:
        yield _trouble(
            f"ElastiCache reports the status of {group.name} as {group.status}",
            "Look at it in AWS's console at once; CloudTrail shows who changed it.",
            grave=True,
        )
    elif group.resharding is not None:
        yield _trouble(
            f"ElastiCache is moving slots of {group.name} to other shards ({group.resharding:.0f} % done)",
            "Until it is done, requests are slower, and some are redirected.",
        )


def _told(group: CacheGroup, now: datetime) -> GroupEvent | None:
    return next((each for each in group.events if each.failover and now - each.at <= _LATELY), None)


def _in_failover(group: CacheGroup, now: datetime) -> list[GroupNode]:
    """Return the nodes that are on their way because of the failover: of its shard, or named in ElastiCache's words. One that is broken is not."""
    told = _told(group, now)
    named = {group.promoted, *(_NAME.findall(told.text) if told is not None else ())} - {""}
    shards = {each.shard for each in group.nodes if each.id in named} - {""}
    bad = [each for each in group.nodes if each.status not in (*_WELL, *_BROKEN)]
    return [each for each in bad if each.id in named or each.shard in shards]


def _failover(group: CacheGroup, now: datetime, failing: Sequence[GroupNode]) -> Iterator[CacheTrouble]:
    told = _told(group, now)
    evidence = tuple(_reports(failing, state) for state in _states(failing))
    said = f" ElastiCache says: {told.text}" if told is not None else ""
    if group.promoted:
        yield _trouble(
            f"ElastiCache is making {group.promoted} the primary of {group.name}",
            f"Writes fail until it is done, usually within a minute.{said}",
            grave=True,
            evidence=evidence,
        )
    elif told is not None:
        yield _trouble(
            f"ElastiCache reported a failover in {group.name} {age_since(told.at, now)} ago",
            f"Clients that kept their old connection may still fail: restart the service whose errors go on.{said}",
            grave=any(each.role == "primary" for each in failing),
            seconds=(now - told.at).total_seconds(),
            evidence=evidence,
        )


def _states(nodes: Sequence[GroupNode]) -> Collection[str]:
    return dict.fromkeys(each.status for each in nodes)


def _reports(nodes: Sequence[GroupNode], state: str) -> str:
    alike = (_named(each) for each in nodes if each.status == state)
    return f"ElastiCache reports the status of {listed(alike, most=_NAMED)} as {state}"


def _nodes(group: CacheGroup, nodes: Sequence[GroupNode]) -> Iterator[CacheTrouble]:
    bad = [each for each in nodes if each.status not in _WELL]
    for state in _states(bad):
        alike = [each for each in bad if each.status == state]
        yield _trouble(
            _reports(alike, state),
            "This usually ends by itself within minutes; if not, open a case with AWS."
            if state not in _BROKEN
            else "Replace it, or restore it from a snapshot, in AWS's console.",
            grave=state in _BROKEN or any(each.role == "primary" for each in alike),
        )
    told = [shard for shard, status in group.shards.items() if status not in _WELL]
    if told and not any(each.status not in _WELL for each in group.nodes):
        yield _trouble(
            f"ElastiCache: {by_count(len(told), 'shard', 'shards')} {listed(told, most=_NAMED)} of {group.name} "
            f"{by_count(len(told), 'is', 'are')} {listed(dict.fromkeys(group.shards[each] for each in told))}",
            "Look at it in AWS's console.",
        )


def _named(node: GroupNode) -> str:
    return f"{node.role or 'node'} {node.id}" + (f" in {node.zone}" if node.zone else "")


def _updates(group: CacheGroup, now: datetime) -> Iterator[CacheTrouble]:
    running = [each for each in group.updates if each.status == "in-progress"]
    if running:
        yield _trouble(
            f"ElastiCache is updating {group.name} ({listed((each.name for each in running), most=_NAMED)})",
            "It replaces one node after another; each primary fails over once.",
        )
    late = [each for each in group.updates if _is_late(each, now)]
    if late:
        names = listed((f"{each.name} ({each.severity})" for each in late), most=_NAMED)
        yield _trouble(
            f"{counted(len(late), 'update')} of {group.name} {by_count(len(late), 'is', 'are')} overdue: {names}",
            "Apply updates in a quiet hour, before AWS does: each primary is unavailable for some seconds.",
            ahead=True,
        )


def _is_late(update: ServiceUpdate, now: datetime) -> bool:
    return update.status != "in-progress" and update.apply_by is not None and update.apply_by < now


def _snapshots(group: CacheGroup, now: datetime) -> Iterator[CacheTrouble]:
    if group.retention and group.snapshot_at is not None and now - group.snapshot_at > _SNAPSHOT:
        yield _trouble(
            f"The newest snapshot of {group.name} is {age_since(group.snapshot_at, now)} old, though one should be made each day",
            "See why it fails in ElastiCache's events: too little memory left (`reserved-memory-percent`) is the usual cause.",
            ahead=True,
        )


def in_short(group: CacheGroup, now: datetime) -> str:
    """Return the group in one line: `available, 6 nodes in 3 zones, redis 7.1.0, automatic failover enabled, newest snapshot 9 h ago`."""
    if group.why:
        return f"unknown: {group.why}"
    zones = {each.zone for each in group.nodes if each.zone}
    versions = sorted({each.version for each in group.nodes if each.version})
    snapshot = "no automatic snapshots" if not group.retention else "newest snapshot unknown"
    if group.snapshot_at is not None:
        snapshot = f"newest snapshot {age_since(group.snapshot_at, now)} ago"
    said = [
        group.status,
        counted(len(group.nodes), "node") + (f" in {counted(len(zones), 'zone')}" if zones else ""),
        " ".join(filter(None, (group.engine, listed(versions) if versions else ""))),
        f"automatic failover {group.failover}" if group.failover else "",
        snapshot,
        *_maintenance(group),
    ]
    return ", ".join(filter(None, said))


def _maintenance(group: CacheGroup) -> Iterator[str]:
    if group.pending:
        when = f" for {group.window} UTC" if group.window else ""
        yield f"{listed(group.pending)} {by_count(len(group.pending), 'waits', 'wait')}{when}"
    waiting = [each for each in group.updates if each.status != "in-progress"]
    if waiting:
        dates = [each.apply_by for each in waiting if each.apply_by is not None]
        by = f", apply by {min(dates):%Y-%m-%d}" if dates else ""
        yield f"{counted(len(waiting), 'service update')} {by_count(len(waiting), 'waits', 'wait')}{by}"
