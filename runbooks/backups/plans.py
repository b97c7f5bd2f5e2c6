"""What is done about backups: a deploy's snapshot, `db restore`, and `db drill`."""

from datetime import datetime

from runbooks.backups.looking import Backups
from runbooks.backups.steps import BackUp, CheckDrill, EndDrill, RecordDrill, RestoreSnapshot, StartDrill
from runbooks.clients.aws.rds import InstanceState, SnapshotState
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.train import Part, Train
from runbooks.wording import duration

_OFFERED = 5


async def plan_part(train: Train) -> Part:
    """What a deploy does about backups: a snapshot before anything changes, where that is configured, or only before migrations."""
    backups = train.find(Backups)
    if train.going_back or train.standing:
        return Part()
    if backups is None:
        return Part(not_done=("database backup (not configured)",))
    settings = backups.settings
    if not settings.before_deploy and not settings.before_migration:
        return Part()
    only_with = "" if settings.before_deploy else "migrate"
    return Part(before=(BackUp(instance=settings.instance),), only_with=only_with)


async def plan_restore(backups: Backups, where: str, snapshot: str, now: datetime) -> Plan:
    """A new instance from that snapshot."""
    found = await _restorable(backups, snapshot)
    instance = backups.settings.instance
    begun = next((each.id for each in await backups.rds.instances() if _being_restored(each, snapshot)), "")
    waits = f"{begun} is being restored from this snapshot already: it is waited for, and no second one is made."
    return Plan(
        title=f"Restore {snapshot} of {where} to a new instance",
        steps=(RestoreSnapshot(snapshot=found.id, instance=instance, begun=begun),),
        warnings=(
            f"The new instance lacks everything that was written after the snapshot, {_lost(found, now)}.",
            *(() if found.encrypted else ("The snapshot is not encrypted, so the new instance won't be either.",)),
        ),
        notes=(
            *((waits,) if begun else ()),
            f"{instance} is not changed. No service uses the new instance until people move the services to it; the card lists the steps.",
        ),
        not_done=("moving the services to the new instance",),
    )


async def plan_drill(backups: Backups, where: str, now: datetime) -> Plan:
    """A throw-away instance from the newest snapshot, read and deleted."""
    found = await backups.newest_snapshot()
    instance = backups.settings.instance
    if found is None:
        raise PermanentError(
            f"{instance} has no snapshot that can be restored.",
            code=ReasonCode.NOT_FOUND,
            advice=(f"`backups --env {where}` shows all of them.",),
        )
    return Plan(
        title=f"Restore drill of {where}: {found.id}",
        steps=(
            StartDrill(snapshot=found.id, instance=instance),
            CheckDrill(),
            EndDrill(instance=instance),
            RecordDrill(),
        ),
        notes=(
            f"{instance} is not changed. The throw-away instance costs money until the run has deleted it.",
            f"The snapshot is {_age(found, now)} old.",
        ),
    )


async def _restorable(backups: Backups, snapshot: str) -> SnapshotState:
    known = await backups.rds.snapshots()
    found = next((each for each in known if each.id == snapshot), None)
    offered = ", ".join([f"`{each.id}`" for each in known if each.available][:_OFFERED])
    if found is None:
        raise PermanentError(
            f"{backups.settings.instance} has no snapshot {snapshot}.",
            code=ReasonCode.NOT_FOUND,
            advice=(f"These can be restored: {offered}." if offered else "No snapshot can be restored.",),
        )
    if not found.available:
        raise PermanentError(
            f"The snapshot {snapshot} can't be restored now: its status is {found.status}.",
            code=ReasonCode.BACKUP_FAILED,
        )
    return found


def _being_restored(found: InstanceState, snapshot: str) -> bool:
    """Whether a run that did not wait to the end began this instance from the snapshot."""
    return (found.purpose, found.snapshot, found.status) == ("restore", snapshot, "creating")


def _lost(found: SnapshotState, now: datetime) -> str:
    return f"which was taken {_age(found, now)} ago" if found.at else "whose age is unknown"


def _age(found: SnapshotState, now: datetime) -> str:
    return duration((now - found.at).total_seconds()) if found.at is not None else "an unknown time"
