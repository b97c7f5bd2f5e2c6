"""ElastiCache's own view of the cache: status, roles, failovers, maintenance and snapshots of its replication groups. They are only looked at."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from runbooks.clients.aws.client import AwsApi, AwsClient
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import cut_redacted

_ARN = r"^arn:aws[a-z-]*:elasticache:[a-z0-9-]{5,25}:[0-9]{12}:replicationgroup:[a-z][a-z0-9-]{0,39}$"
ReplicationGroupArn = Annotated[str, StringConstraints(pattern=_ARN)]
"""`arn:aws:elasticache:REGION:ACCOUNT:replicationgroup:NAME`."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:_-]{0,60}")
_MOST_NODES, _MOST_UPDATES, _MOST_EVENTS = 90, 20, 20
_LONGEST = 160
_MINUTES = 120
"""How far back events are asked for."""
_OPEN = ("not-applied", "waiting-to-start", "scheduling", "scheduled", "in-progress")
"""States of a service update that is not done."""

Told = Mapping[str, Any]
"""An object as boto3 gives it."""
_API = AwsApi(
    id="elasticache",
    name="ElastiCache",
    said={
        "ReplicationGroupNotFoundFault": (
            "there is no such replication group in the account",
            "Check the ARN under `elasticache` in `omnicare.toml`, and the account of the bot's credentials.",
        ),
    },
)


class ElastiCacheSettings(Frozen):
    """The replication groups of ElastiCache that are the environment's cache."""

    groups: tuple[ReplicationGroupArn, ...] = Field(min_length=1, max_length=8)
    """The ARNs of the replication groups, of every region; the region is part of an ARN."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""


class GroupNode(Frozen):
    """A node of a group, as ElastiCache sees it."""

    id: str
    shard: str = ""
    role: str = ""
    """`primary` or `replica`; empty with cluster mode, where ElastiCache does not tell it."""
    status: str = ""
    """`available`, `rebooting cluster nodes`, or another word of AWS's; empty where it is not told."""
    zone: str = ""
    version: str = ""
    """The engine's: `7.1.0`."""


class ServiceUpdate(Frozen):
    """An update of AWS's that is not applied yet."""

    name: str
    severity: str
    status: str
    apply_by: datetime | None = None


class GroupEvent(Frozen):
    """Something that ElastiCache did."""

    at: datetime
    text: str
    """AWS's own words, redacted."""

    @property
    def failover(self) -> bool:
        """Whether a replica took over, or was to."""
        return "failover" in self.text.lower()


class CacheGroup(Frozen):
    """One replication group; or why it could not be asked."""

    name: str
    aws_region: str
    status: str = ""
    engine: str = ""
    shards: dict[str, str] = {}
    """Shard → its status."""
    nodes: tuple[GroupNode, ...] = ()
    failover: str = ""
    """Automatic failover: `enabled`, `disabled`, or on the way to one of them."""
    promoted: str = ""
    """The node that is being made the primary now."""
    resharding: float | None = None
    """Percent of slots that were moved; None: there is no resharding."""
    pending: tuple[str, ...] = ()
    """Changes that wait for the maintenance window: `engine version 7.1`."""
    window: str = ""
    """The maintenance window, in UTC: `sun:05:00-sun:06:00`."""
    updates: tuple[ServiceUpdate, ...] = ()
    retention: int = 0
    """Days for which automatic snapshots are kept; 0: there are none."""
    snapshot_at: datetime | None = None
    """When the newest complete snapshot was made."""
    events: tuple[GroupEvent, ...] = ()
    """The newest first."""
    unknown: tuple[str, ...] = ()
    """What of it could not be read, and why."""
    why: str = ""
    """Why nothing is known of it, without the last full stop."""


class ElastiCacheGroups:
    """Those of one environment. Making it does no I/O."""

    def __init__(self, settings: ElastiCacheSettings, *, throw_away: bool = False, read_seconds: float = 4.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        self._clients: Mapping[str, AwsClient] = {
            region: AwsClient(
                _API, region=region, endpoint=settings.endpoint, throw_away=throw_away, read_seconds=read_seconds
            )
            for region in map(region_of, settings.groups)
        }

    def by_hand(self) -> tuple[str, ...]:
        """Return the `aws` lines that tell the same of each group."""
        return tuple(
            line
            for arn in self.settings.groups
            for name, region in ((name_of(arn), region_of(arn)),)
            for line in (
                f"aws elasticache describe-replication-groups --region {region} --replication-group-id {name}",
                f"aws elasticache describe-update-actions --region {region} --replication-group-ids {name}",
                f"aws elasticache describe-events --region {region} --duration {_MINUTES}",
            )
        )

    async def look(self) -> tuple[CacheGroup, ...]:
        """Return every group, asked side by side. Never raises: one that can't be asked says why."""
        return tuple(await asyncio.gather(*map(self._group, self.settings.groups)))

    async def _group(self, arn: str) -> CacheGroup:
        name, region = name_of(arn), region_of(arn)

        async def read(what: str, action: str, act: Callable[[Any], list[Told]]) -> tuple[list[Told], str]:
            needs = f"elasticache:{action}"
            try:
                return await self._clients[region].call(f"show {what} of {name}", act, needs=needs), ""
            except RunbookError as error:
                return [], " ".join((error.message, *error.advice)).rstrip(".")

        groups, members, snapshots, updates, events = await asyncio.gather(
            read("the status", "DescribeReplicationGroups", lambda api: _groups(api, name)),
            read("the nodes", "DescribeCacheClusters", lambda api: _members(api, name)),
            read("the snapshots", "DescribeSnapshots", lambda api: _snapshots(api, name)),
            read("the updates", "DescribeUpdateActions", lambda api: _updates(api, name)),
            read("the events", "DescribeEvents", _events),
        )
        if groups[1]:
            return CacheGroup(name=name, aws_region=region, why=groups[1])
        found = _read(name, region, groups[0][0] if groups[0] else {}, members[0])
        ids = {name, *(node.id for node in found.nodes)}
        return found.model_copy(
            update={
                "snapshot_at": max(filter(None, map(_made_at, snapshots[0])), default=None),
                "updates": tuple(map(_update, updates[0][:_MOST_UPDATES])),
                "events": tuple(_told(events[0], ids)),
                "unknown": tuple(why for _, why in (members, snapshots, updates, events) if why),
            }
        )


def name_of(arn: str) -> str:
    """Return the group's name."""
    return arn.split(":")[6]


def region_of(arn: str) -> str:
    """Return the region of AWS's."""
    return arn.split(":")[3]


# what boto3 is asked, in a thread


def _groups(api: Any, name: str) -> list[Told]:
    return list(api.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"])


def _members(api: Any, name: str) -> list[Told]:
    pages = api.get_paginator("describe_cache_clusters").paginate(ShowCacheNodeInfo=True)
    every = (each for page in pages for each in page.get("CacheClusters", ()))
    return [each for each in every if each.get("ReplicationGroupId") == name][:_MOST_NODES]


def _snapshots(api: Any, name: str) -> list[Told]:
    return list(api.describe_snapshots(ReplicationGroupId=name, MaxRecords=50).get("Snapshots", ()))


def _updates(api: Any, name: str) -> list[Told]:
    asked = api.describe_update_actions(ReplicationGroupIds=[name], UpdateActionStatus=list(_OPEN))
    return [each for each in asked.get("UpdateActions", ()) if each.get("ServiceUpdateStatus") != "cancelled"]


def _events(api: Any) -> list[Told]:
    """Those of the whole account: a node's event does not name its group."""
    pages = api.get_paginator("describe_events").paginate(Duration=_MINUTES, PaginationConfig={"MaxItems": 500})
    return [each for page in pages for each in page.get("Events", ())]


# what it tells


def _read(name: str, region: str, group: Told, members: Iterable[Told]) -> CacheGroup:
    pending = group.get("PendingModifiedValues") or {}
    known = {_plain(each.get("CacheClusterId")): each for each in members}
    moved = ((pending.get("Resharding") or {}).get("SlotMigration") or {}).get("ProgressPercentage")
    windows = [_plain(each.get("PreferredMaintenanceWindow")) for each in known.values()]
    changes = dict.fromkeys(change for each in known.values() for change in _pending(each))
    retention = group.get("SnapshotRetentionLimit")
    return CacheGroup(
        name=name,
        aws_region=region,
        status=_plain(group.get("Status")) or "unknown",
        engine=_plain(group.get("Engine"))
        or next(filter(None, (_plain(each.get("Engine")) for each in known.values())), ""),
        shards={_plain(each.get("NodeGroupId")): _plain(each.get("Status")) for each in group.get("NodeGroups") or ()},
        nodes=tuple(_nodes(group, known))[:_MOST_NODES],
        failover=_plain(group.get("AutomaticFailover")),
        promoted=_plain(pending.get("PrimaryClusterId")),
        resharding=float(moved) if isinstance(moved, int | float) else None,
        pending=tuple(changes),
        window=next(filter(None, windows), ""),
        retention=retention if isinstance(retention, int) else 0,
    )


def _nodes(group: Told, known: Mapping[str, Told]) -> Iterator[GroupNode]:
    places = {
        _plain(node.get("CacheClusterId")): (_plain(shard.get("NodeGroupId")), node)
        for shard in group.get("NodeGroups") or ()
        for node in shard.get("NodeGroupMembers") or ()
    }
    for id_ in dict.fromkeys((*map(_plain, group.get("MemberClusters") or ()), *places)):
        shard, node = places.get(id_, ("", {}))
        cluster = known.get(id_, {})
        yield GroupNode(
            id=id_ or "an unknown node",
            shard=shard,
            role=_plain(node.get("CurrentRole")),
            status=_plain(cluster.get("CacheClusterStatus")),
            zone=_plain(node.get("PreferredAvailabilityZone")) or _plain(cluster.get("PreferredAvailabilityZone")),
            version=_plain(cluster.get("EngineVersion")),
        )


def _pending(cluster: Told) -> Iterator[str]:
    waits = cluster.get("PendingModifiedValues") or {}
    for key, words in (("EngineVersion", "engine version"), ("CacheNodeType", "node type")):
        if value := _plain(waits.get(key)):
            yield f"{words} {value}"
    if _plain(waits.get("AuthTokenStatus")):
        yield "the password"


def _made_at(snapshot: Told) -> datetime | None:
    """Return when a complete snapshot was made: with the last of its nodes."""
    if snapshot.get("SnapshotStatus") not in ("available", "copying", "exporting"):
        return None
    return max(
        filter(None, (_time(each.get("SnapshotCreateTime")) for each in snapshot.get("NodeSnapshots") or ())),
        default=None,
    )


def _update(found: Told) -> ServiceUpdate:
    return ServiceUpdate(
        name=_plain(found.get("ServiceUpdateName")) or "without a name",
        severity=_plain(found.get("ServiceUpdateSeverity")),
        status=_plain(found.get("UpdateActionStatus")),
        apply_by=_time(found.get("ServiceUpdateRecommendedApplyByDate")),
    )


def _told(events: Iterable[Told], ids: set[str]) -> Iterator[GroupEvent]:
    about = [each for each in events if each.get("SourceIdentifier") in ids]
    read = [(at, each) for each in about if (at := _time(each.get("Date"))) is not None]
    for at, each in sorted(read, key=lambda pair: pair[0], reverse=True)[:_MOST_EVENTS]:
        yield GroupEvent(at=at, text=cut_redacted(" ".join(str(each.get("Message") or "").split()), _LONGEST))


def _plain(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
