"""The replication group of the sandbox's ElastiCache: in moto, with the events and updates that moto does not tell, and a failover where a scenario wants one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.aws_services import ACCOUNT, REGION, Refusal, action_of

GROUP = "omnicare-prod"
ARN = f"arn:aws:elasticache:{REGION}:{ACCOUNT}:replicationgroup:{GROUP}"
_SHARDS, _VERSION = 3, "7.1.0"
_XMLNS = "http://elasticache.amazonaws.com/doc/2015-02-02/"


class ElastiCache:
    """`failing_over`: a replica of the first shard is made its primary, which reboots."""

    def __init__(self) -> None:
        self.failing_over = False
        self.updates: list[str] = []
        """Names of service updates that wait, and are late."""
        self.snapshot_age = timedelta(hours=9)
        self.refused: set[str] = set()
        """Actions that the account may not do."""
        self.events: list[tuple[str, str, datetime]] = []
        """Source, message and time."""

    def want(self, *, broken: bool) -> None:
        """Begin a failover, or end it."""
        self.failing_over = broken
        message = f"Failover from master node {GROUP}-0001-001 to replica node {GROUP}-0001-002 has begun"
        self.events = [(f"{GROUP}-0001-001", message, datetime.now(UTC) - timedelta(minutes=2))] if broken else []

    def furnish(self) -> None:
        from moto.backends import get_backend

        backend: Any = get_backend("elasticache")[ACCOUNT][REGION]
        shape = {
            "replication_group_id": GROUP, "replication_group_description": "sandbox", "automatic_failover_enabled": True,
            "multi_az_enabled": True, "num_node_groups": _SHARDS, "replicas_per_node_group": 1, "engine": "redis",
            "engine_version": _VERSION, "cluster_mode": "enabled", "snapshot_retention_limit": 7, "node_group_configuration": [],
            "user_group_ids": [], "log_delivery_configurations": [], "cache_node_type": "cache.r7g.large",
        }  # fmt: skip
        group = backend.create_replication_group(**_filled(backend.create_replication_group, shape))
        group.node_groups = [_shard(number) for number in range(1, _SHARDS + 1)]
        group.member_clusters = [
            each["cache_cluster_id"] for shard in group.node_groups for each in shard["node_group_members"]
        ]
        for name in group.member_clusters:
            made = {
                "cache_cluster_id": name, "replication_group_id": GROUP, "engine": "redis", "engine_version": _VERSION,
                "cache_node_type": "cache.r7g.large", "preferred_maintenance_window": "sun:05:00-sun:06:00",
                "log_delivery_configurations": [],
            }  # fmt: skip
            backend.create_cache_cluster(**_filled(backend.create_cache_cluster, made))
        self._group, self._clusters = group, backend.cache_clusters

    def before(self, environ: dict[str, Any]) -> Refusal | None:
        action = action_of(environ)
        if action in self.refused:
            return "403 Forbidden", b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        if action in ("DescribeReplicationGroups", "DescribeCacheClusters"):
            self._group.status = "modifying" if self.failing_over else "available"
            promoted = f"{GROUP}-0001-002" if self.failing_over else None
            self._group.pending_modified_values = {"PrimaryClusterId": promoted} if promoted else None
            first = self._clusters[f"{GROUP}-0001-001"]
            first.cache_cluster_status = "rebooting cluster nodes" if self.failing_over else "available"
        elif action == "DescribeEvents":
            told = "".join(
                f"<Event><SourceIdentifier>{source}</SourceIdentifier><SourceType>cache-cluster</SourceType><Message>{message}</Message>"
                f"<Date>{_stamp(at)}</Date></Event>"
                for source, message, at in self.events
            )
            return _answer(action, f"<Events>{told}</Events>")
        elif action == "DescribeUpdateActions":
            due = _stamp(datetime.now(UTC) - timedelta(days=3))
            told = "".join(
                f"<UpdateAction><ReplicationGroupId>{GROUP}</ReplicationGroupId><ServiceUpdateName>{name}</ServiceUpdateName>"
                "<ServiceUpdateSeverity>critical</ServiceUpdateSeverity><ServiceUpdateStatus>available</ServiceUpdateStatus>"
                f"<ServiceUpdateRecommendedApplyByDate>{due}</ServiceUpdateRecommendedApplyByDate>"
                "<UpdateActionStatus>not-applied</UpdateActionStatus></UpdateAction>"
                for name in self.updates
            )
            return _answer(action, f"<UpdateActions>{told}</UpdateActions>")
        elif action == "DescribeSnapshots":  # moto's have no time
            at = _stamp(datetime.now(UTC) - self.snapshot_age)
            made = (
                f"<Snapshot><SnapshotName>automatic</SnapshotName><ReplicationGroupId>{GROUP}</ReplicationGroupId>"
                "<SnapshotStatus>available</SnapshotStatus><NodeSnapshots><NodeSnapshot>"
                f"<SnapshotCreateTime>{at}</SnapshotCreateTime></NodeSnapshot></NodeSnapshots></Snapshot>"
            )
            return _answer(action, f"<Snapshots>{made}</Snapshots>")
        return None


def _shard(number: int) -> dict[str, Any]:
    name = f"{number:04}"
    members = [
        {
            "cache_cluster_id": f"{GROUP}-{name}-{place:03}",
            "cache_node_id": "0001",
            "preferred_availability_zone": f"{REGION}{'ab'[place - 1]}",
        }
        for place in (1, 2)
    ]
    return {"node_group_id": name, "status": "available", "node_group_members": members}


def _filled(method: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of one of moto's methods: those that are not given are None."""
    import inspect

    return {name: given.get(name) for name in inspect.signature(method).parameters}


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(action: str, inside: str) -> Refusal:
    body = f'<{action}Response xmlns="{_XMLNS}"><{action}Result>{inside}</{action}Result></{action}Response>'
    return "200 OK", body.encode()
