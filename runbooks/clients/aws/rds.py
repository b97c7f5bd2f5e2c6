"""A database instance in RDS: its snapshots, and instances that are restored from one. The configured instance is only read.

What AWS answers is parsed here into typed values; a status that is not known stays the word that AWS said.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from runbooks.clients.aws.client import Absent, AwsApi, AwsClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

RUN_TAG, PURPOSE_TAG = "omnicare.dev/run", "omnicare.dev/purpose"
"""On what the bot creates: which run did, and what for. It deletes nothing without them."""
SNAPSHOT_TAG = "omnicare.dev/snapshot"
"""On an instance: what it was restored from."""

_RDS = AwsApi(
    id="rds",
    name="RDS",
    said={
        "DBSnapshotAlreadyExists": ("there is a snapshot of that name already", "Request it again: a new run has a name of its own."),
        "DBInstanceAlreadyExists": ("there is an instance of that name already", "Request it again: a new run has a name of its own."),
        "InvalidDBInstanceState": ("the instance is not available", "Wait until the instance is available, then request it again."),
        "InvalidDBSnapshotState": ("the snapshot is not available", "Wait until the snapshot is available, or choose another one."),
        "SnapshotQuotaExceeded": ("the account has too many manual snapshots", "Delete old manual snapshots, or have the quota raised."),
        "InstanceQuotaExceeded": ("the account has too many instances", "Delete instances that nobody needs, or have the quota raised."),
        "StorageQuotaExceeded": ("the account has no storage left", "Have the account's storage quota raised."),
        "InsufficientDBInstanceCapacity": ("AWS has no capacity for this class of instance", "Set `instance_class` under `backups` to another class."),
        "KMSKeyNotAccessibleFault": ("the KMS key can't be used", "The account needs `kms:CreateGrant` and `kms:DescribeKey` for the database's key."),
    },
    absent=frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault", "DBSnapshotNotFound", "DBSnapshotNotFoundFault"}),
    exists=frozenset({"DBSnapshotAlreadyExists", "DBInstanceAlreadyExists"}),
)  # fmt: skip


class RdsSettings(Frozen):
    """An instance in RDS, and how new ones are made from its snapshots."""

    instance: str = Field(pattern=r"^[a-z](-?[a-z0-9]){0,62}$")
    """Its identifier, such as `omnicare-prod`."""
    region: str | None = None
    """The AWS region; default: from the bot's AWS configuration."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""
    instance_class: str | None = Field(default=None, pattern=r"^db\.[a-z0-9.-]{3,40}$")
    """The class of restored instances, such as `db.r6g.large`; default: that of the instance."""


class SnapshotState(Frozen):
    """A snapshot as RDS knows it."""

    id: str
    kind: str
    """automated, manual, or another word of AWS's."""
    status: str
    """`available`, `creating`, `failed`, or another word of AWS's."""
    encrypted: bool
    at: datetime | None = None
    """When it was taken; None while it is being created."""
    percent: int | None = None
    run: str = ""
    """The run that created it."""

    @property
    def available(self) -> bool:
        """Whether it can be restored."""
        return self.status == "available"

    def age_hours(self, now: datetime) -> float | None:
        """Return its age; None where that is not known."""
        return (now - self.at).total_seconds() / 3600 if self.at is not None else None


class InstanceState(Frozen):
    """An instance as RDS knows it."""

    id: str
    status: str
    address: str = ""
    port: int = 5432
    run: str = ""
    """The run that created it."""
    purpose: str = ""
    """drill or restore, where the bot created it."""
    snapshot: str = ""
    """What the bot restored it from."""
    copied: dict[str, Any] = {}
    """What a restored instance takes over: its network, parameters and class."""

    @property
    def available(self) -> bool:
        """Whether it takes connections."""
        return self.status == "available"


class Rds:
    """The configured instance. Making it does no I/O."""

    def __init__(self, settings: RdsSettings, *, throw_away: bool = False, read_seconds: float = 20.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        self._rds = AwsClient(
            _RDS,
            region=settings.region,
            endpoint=settings.endpoint,
            throw_away=throw_away,
            read_seconds=read_seconds,
        )

    # looking

    async def snapshots(self) -> tuple[SnapshotState, ...]:
        """Return the automated and manual snapshots of the instance, the newest first."""
        name = self.settings.instance

        def read(rds: Any) -> list[Any]:
            pages = rds.get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=name)
            return [each for page in pages for each in page.get("DBSnapshots", ())]

        found = await self._rds.call(f"list the snapshots of {name}", read, needs="rds:DescribeDBSnapshots")
        states = [_snapshot(each) for each in found]
        return tuple(sorted(states, key=lambda each: each.at or datetime.max.replace(tzinfo=UTC), reverse=True))

    async def snapshot(self, snapshot: str) -> SnapshotState | None:
        """Return the snapshot of that name; None where there is none."""
        try:
            found = await self._rds.call(
                f"show the snapshot {snapshot}",
                lambda rds: rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot).get("DBSnapshots", ()),
                needs="rds:DescribeDBSnapshots",
            )
        except Absent:
            return None
        return _snapshot(found[0]) if found else None

    async def instance(self, instance: str | None = None) -> InstanceState | None:
        """Return the instance of that name, or the configured one; None where there is none."""
        name = instance or self.settings.instance
        try:
            found = await self._rds.call(
                f"show the instance {name}",
                lambda rds: rds.describe_db_instances(DBInstanceIdentifier=name).get("DBInstances", ()),
                needs="rds:DescribeDBInstances",
            )
        except Absent:
            return None
        return _instance(found[0]) if found else None

    async def instances(self) -> tuple[InstanceState, ...]:
        """Return all instances in the region."""

        def read(rds: Any) -> list[Any]:
            pages = rds.get_paginator("describe_db_instances").paginate()
            return [each for page in pages for each in page.get("DBInstances", ())]

        found = await self._rds.call("list the instances", read, needs="rds:DescribeDBInstances")
        return tuple(_instance(each) for each in found)

    # changing: only what is new, and what the bot itself created

    async def take_snapshot(self, snapshot: str, *, run: str) -> None:
        """Begin a snapshot of the configured instance."""
        await self._rds.call(
            f"take the snapshot {snapshot}",
            lambda rds: rds.create_db_snapshot(
                DBInstanceIdentifier=self.settings.instance, DBSnapshotIdentifier=snapshot, Tags=_tags(run, "backup")
            ),
            needs="rds:CreateDBSnapshot",
        )

    async def restore(self, snapshot: str, instance: str, *, like: InstanceState, run: str, purpose: str) -> None:
        """Begin to make a new instance from the snapshot, in the network and with the parameters of `like`."""
        wanted = {
            **like.copied,
            **({"DBInstanceClass": self.settings.instance_class} if self.settings.instance_class else {}),
            "DBInstanceIdentifier": instance,
            "DBSnapshotIdentifier": snapshot,
            "PubliclyAccessible": False,
            "DeletionProtection": purpose != "drill",
            "Tags": [*_tags(run, purpose), {"Key": SNAPSHOT_TAG, "Value": snapshot}],
        }
        await self._rds.call(
            f"restore {snapshot} to {instance}",
            lambda rds: rds.restore_db_instance_from_db_snapshot(**wanted),
            needs="rds:RestoreDBInstanceFromDBSnapshot",
        )

    async def delete_drill(self, instance: InstanceState) -> None:
        """Begin to delete an instance that was created for a drill, if it is still there; PermanentError for any other."""
        if instance.purpose != "drill" or not instance.run or instance.id == self.settings.instance:
            raise PermanentError(
                f"{instance.id} was not created for a drill, so it is not deleted.", code=ReasonCode.BUG
            )
        try:
            await self._rds.call(
                f"delete {instance.id}",
                lambda rds: rds.delete_db_instance(
                    DBInstanceIdentifier=instance.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
                ),
                needs="rds:DeleteDBInstance",
            )
        except PermanentError:
            # the same call before, whose answer was lost, may have begun it
            found = await self.instance(instance.id)
            if found is not None and found.status != "deleting":
                raise


def _tags(run: str, purpose: str) -> list[dict[str, str]]:
    return [{"Key": RUN_TAG, "Value": run}, {"Key": PURPOSE_TAG, "Value": purpose}]


def _tag(found: Mapping[str, Any], key: str) -> str:
    return next((str(each.get("Value", "")) for each in found.get("TagList", ()) if each.get("Key") == key), "")


def _snapshot(found: Any) -> SnapshotState:
    match found:
        case {"DBSnapshotIdentifier": str(name), "Status": str(status)}:
            at, percent = found.get("SnapshotCreateTime"), found.get("PercentProgress")
            return SnapshotState(
                id=name,
                kind=str(found.get("SnapshotType", "unknown")),
                status=status,
                encrypted=found.get("Encrypted") is True,
                at=at.astimezone(UTC) if isinstance(at, datetime) else None,
                percent=percent if isinstance(percent, int) else None,
                run=_tag(found, RUN_TAG),
            )
        case _:
            raise PermanentError("RDS's answer about a snapshot can't be read.", code=ReasonCode.AWS_REFUSED)


def _instance(found: Any) -> InstanceState:
    match found:
        case {"DBInstanceIdentifier": str(name), "DBInstanceStatus": str(status)}:
            endpoint = found.get("Endpoint") or {}
            groups = [
                each["VpcSecurityGroupId"]
                for each in found.get("VpcSecurityGroups", ())
                if "VpcSecurityGroupId" in each
            ]
            parameters = next((each.get("DBParameterGroupName") for each in found.get("DBParameterGroups", ())), None)
            copied = {
                "DBInstanceClass": found.get("DBInstanceClass"),
                "DBSubnetGroupName": (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
                "VpcSecurityGroupIds": groups,
                "DBParameterGroupName": parameters,
            }
            return InstanceState(
                id=name,
                status=status,
                address=str(endpoint.get("Address", "")),
                port=endpoint.get("Port") or 5432,
                run=_tag(found, RUN_TAG),
                purpose=_tag(found, PURPOSE_TAG),
                snapshot=_tag(found, SNAPSHOT_TAG),
                copied={key: value for key, value in copied.items() if value},
            )
        case _:
            raise PermanentError("RDS's answer about an instance can't be read.", code=ReasonCode.AWS_REFUSED)
