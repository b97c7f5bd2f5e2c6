"""How good the backups are: the newest snapshot, the newest backup of the configuration, and the last restore that was proved.

`BackupsState` has what was seen and what could not be; the judging functions say whether that is good enough, and why.
"""

from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import Field, field_validator, model_validator

from runbooks.clients.aws.bucket import READS, Bucket, BucketSettings, ObjectState
from runbooks.clients.aws.rds import Rds, RdsSettings, SnapshotState
from runbooks.fleet.fleet import Fleet, ProvenRestore
from runbooks.kit.errors import RunbookError
from runbooks.kit.minutes import Minutes
from runbooks.kit.targets import Environment, Frozen
from runbooks.wording import counted, size

T = TypeVar("T")
_DAY = 24.0
_AHEAD = 5 / 60
"""Hours: allowed difference between two clocks."""
_IN_THE_FUTURE = "Its time is in the future: check the clocks, and who wrote it."


class BackupSettings(RdsSettings):
    """Where the backups are, and how old they may be."""

    bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """The S3 bucket with the backups of the configuration; without it they are not looked at."""
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9!_.*'()/-]{0,200}$")
    """Prefix of their keys, such as `config/`."""
    snapshot_hours: float = Field(default=24.0, gt=0, le=8760, allow_inf_nan=False)
    """Maximum age of the newest snapshot."""
    configuration_hours: float = Field(default=24.0, gt=0, le=8760, allow_inf_nan=False)
    """Maximum age of the newest backup of the configuration."""
    restore_days: float = Field(default=90.0, gt=0, le=3650, allow_inf_nan=False)
    """Maximum age of the last restore that was proved."""
    drill_tables: dict[
        Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$")],
        Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")],
    ] = Field(default={}, max_length=20)
    """Tables whose rows a drill counts, each with the column that has the time of a row: `{encounters = "started_at"}`. The role of `database`
    needs `SELECT` on that column alone. Without any the drill reads the statistics, which are estimates."""
    drill_newest_hours: float = Field(default=24.0, gt=0, le=8760, allow_inf_nan=False)
    """How much older than the snapshot the newest row of each of these tables may be."""
    drill_read_seconds: float = Field(default=300.0, gt=0, le=3600, allow_inf_nan=False)
    """Time limit for counting one table."""
    drill_schedule: str | None = None
    """When the bot requests a drill by itself, as a cron expression in UTC: `0 9 1 * *`. People approve it as they approve `db drill`. Times
    that pass while no bot runs are not made up for, but for the last one within 12 hours."""
    before_migration: bool = False
    """Whether a deploy that applies migrations takes a snapshot before it changes anything."""
    before_deploy: bool = False
    """Whether every deploy takes a snapshot first."""
    patience_seconds: float = Field(default=3600.0, gt=0, le=86400, allow_inf_nan=False)
    """How long a run waits for a snapshot, or for a restored instance."""
    look_seconds: float = Field(default=15.0, gt=0, le=300, allow_inf_nan=False)
    """How often it checks meanwhile."""

    @field_validator("drill_schedule")
    @classmethod
    def _an_expression(cls, expression: str | None) -> str | None:
        if expression is not None:
            Minutes(expression)
        return expression

    @model_validator(mode="after")
    def _a_prefix_of_a_bucket(self) -> "BackupSettings":
        if self.prefix and self.bucket is None:
            raise ValueError("prefix: a prefix needs a `bucket`")
        return self


class Backups:
    """The configured instance and the bucket with the configuration. Making it does no I/O."""

    def __init__(self, settings: BackupSettings, *, throw_away: bool = False, read_seconds: float = 20.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        self.rds = Rds(settings, throw_away=throw_away, read_seconds=read_seconds)
        self.bucket: Bucket | None = None
        if settings.bucket is not None:
            where = BucketSettings(bucket=settings.bucket, region=settings.region, endpoint=settings.endpoint)
            self.bucket = Bucket(where, throw_away=throw_away, api=READS, read_seconds=read_seconds)

    async def newest_snapshot(self) -> SnapshotState | None:
        """Return the newest snapshot that can be restored; None where there is none."""
        return next((each for each in await self.rds.snapshots() if each.available), None)

    async def newest_finished(self) -> SnapshotState | None:
        """Return the newest snapshot that is not being created, whether or not it can be restored; None where there is none."""
        return newest_finished(await self.rds.snapshots())

    async def newest_configuration(self) -> ObjectState | None:
        """Return the newest backup of the configuration; None where there is none, or where no bucket is configured."""
        return await self.bucket.newest(self.settings.prefix) if self.bucket is not None else None


def newest_finished(snapshots: Iterable[SnapshotState]) -> SnapshotState | None:
    """Return the newest of them that is not being created: one that is does not make the one before it worse."""
    return next((each for each in snapshots if each.status != "creating"), None)


class Judgement(Frozen):
    """Whether something is good enough. `good` is None where it could not be seen, which is not good."""

    good: bool | None
    evidence: str
    """What was seen, without a full stop."""
    advice: str = ""
    """What to do, as sentences, where it is not good."""
    at: datetime | None = None
    """When what was seen happened."""


def judge_snapshot(found: SnapshotState | None, settings: BackupSettings, now: datetime) -> Judgement:
    """Return whether the newest snapshot is available, encrypted and young enough."""
    if found is None:
        return Judgement(
            good=False,
            evidence=f"{settings.instance} has no snapshot",
            advice="Turn on automated backups, or take a snapshot: `aws rds create-db-snapshot`.",
        )
    age = found.age_hours(now)
    said = (
        f"{found.id} ({found.kind}), {_old(age)}, {'encrypted' if found.encrypted else 'not encrypted'}, {found.status}"
    )
    advice = ""
    if not found.available:
        advice = "Wait until the snapshot is available, or find out in RDS why it is not."
    elif not found.encrypted:
        advice = "The database is not encrypted, so its snapshots can't be. Restore an encrypted copy and move the services to it."
    elif age is not None and age < -_AHEAD:
        advice = _IN_THE_FUTURE
    elif age is None or age > settings.snapshot_hours:
        advice = f"Find out why no snapshot was taken within {settings.snapshot_hours:g} h, or take one now."
    return Judgement(good=not advice, evidence=said, advice=advice, at=found.at)


def judge_configuration(found: ObjectState | None, settings: BackupSettings, now: datetime) -> Judgement:
    """Return whether the newest backup of the configuration is young enough and not empty."""
    if settings.bucket is None:
        return Judgement(
            good=None, evidence="no bucket is configured", advice="Set `bucket` under `backups` in `omnicare.toml`."
        )
    where = f"s3://{settings.bucket}/{settings.prefix}"
    if found is None:
        return Judgement(good=False, evidence=f"{where} has no backup", advice="Run the backup of the configuration.")
    age = (now - found.at).total_seconds() / 3600
    said, advice = f"{found.key}, {_old(age)}, {size(found.size)}", ""
    if not found.size:
        advice = "The backup is empty. Run it again, and find out why it wrote nothing."
    elif age < -_AHEAD:
        advice = _IN_THE_FUTURE
    elif age > settings.configuration_hours:
        advice = f"Find out why no backup was made within {settings.configuration_hours:g} h."
    return Judgement(good=not advice, evidence=said, advice=advice, at=found.at)


def judge_restore(found: ProvenRestore | None, settings: BackupSettings, now: datetime) -> Judgement:
    """Return whether the last proved restore is young enough."""
    advice = "`db drill` restores the newest snapshot and checks it."
    if found is None:
        return Judgement(good=False, evidence="no restore is recorded", advice=advice)
    age = (now - found.at).total_seconds() / 3600
    if age < -_AHEAD:
        evidence = f"the restore of {found.snapshot} is recorded with a time in the future"
        return Judgement(good=None, evidence=evidence, advice=f"{_IN_THE_FUTURE} {advice}", at=found.at)
    how = "its tables were read" if found.checked else f"not proven, {found.evidence or 'its tables were not read'}"
    said = f"{found.snapshot} was restored {_age(age)} ago in {found.minutes:g} min by {found.by or 'unknown'}: {how}"
    if not found.checked:
        return Judgement(
            good=None, evidence=said, advice=f"Let the bot read the restored instance. {advice}", at=found.at
        )
    good = age <= settings.restore_days * _DAY
    return Judgement(good=good, evidence=said, advice="" if good else advice, at=found.at)


class BackupsState(Frozen):
    """All three, as `backups` shows them and gates judge them."""

    snapshot: Judgement
    configuration: Judgement
    restore: Judgement
    snapshots: tuple[SnapshotState, ...] = ()
    """The newest first."""


async def look(backups: Backups, fleet: Fleet, environment: Environment, now: datetime) -> BackupsState:
    """Return how good the backups are. What can't be seen is judged as unknown; nothing is raised."""
    settings = backups.settings
    snapshots, snapshot = await _seen(backups.rds.snapshots())
    configuration, unseen = await _seen(backups.newest_configuration())
    proved, unread = await _seen(fleet.proven_restore(environment))
    newest = newest_finished(snapshots or ())
    return BackupsState(
        snapshot=snapshot or judge_snapshot(newest, settings, now),
        configuration=unseen or judge_configuration(configuration, settings, now),
        restore=unread or judge_restore(proved, settings, now),
        snapshots=snapshots or (),
    )


async def _seen(work: Awaitable[T]) -> tuple[T | None, Judgement | None]:
    try:
        return await work, None
    except RunbookError as error:
        return None, Judgement(good=None, evidence=error.message.rstrip("."), advice=" ".join(error.advice))


def _old(hours: float | None) -> str:
    return "of unknown age" if hours is None else f"{_age(hours)} old"


def _age(hours: float) -> str:
    if hours < 1:
        return f"{counted(round(hours * 60), 'minute')}"
    return f"{hours:.0f} h" if hours < 2 * _DAY else f"{hours / _DAY:.0f} days"
