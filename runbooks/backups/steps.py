"""The steps about backups: a snapshot of the database, an instance restored from one, and a drill that proves that this works.

Each name is made from the run's id and looked for first, so that a step that was killed goes on with what it created. The configured
instance is never changed, and nothing is deleted that a drill did not create.
"""

import asyncio
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Literal, TypeVar

from pydantic import JsonValue, model_validator

from runbooks.backups.looking import Backups
from runbooks.clients.aws.client import AlreadyExists
from runbooks.clients.aws.rds import InstanceState, SnapshotState
from runbooks.clients.postgres.table_counts import TableCount
from runbooks.database.databases import Database
from runbooks.fleet.fleet import Fleet, ProvenRestore
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, retried
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import unless_stopped
from runbooks.wording import counted, duration, listed

T = TypeVar("T")

_RETRIES_SECONDS = 300.0
"""For so long an AWS that does not answer is tried again."""
_AT_THE_END_SECONDS = 5.0
"""For so long the end of a run, and whoever waits for its lease, waits for the deletion of an instance."""
_FAILED_SNAPSHOTS = frozenset({"failed", "incompatible-restore", "incompatible-parameters"})
_FAILED_INSTANCES = frozenset(
    {"failed", "deleting", "restore-error", "storage-full", "inaccessible-encryption-credentials"}
)
_LONGEST = 63
"""RDS's bound for an instance's name."""


class SnapshotTaken(Frozen):
    """A snapshot that a run took."""

    id: str
    seconds: float


class Restored(Frozen):
    """An instance that a run restored."""

    instance: str
    address: str
    port: int
    seconds: float


class DrillCheck(Frozen):
    """What was read from a restored instance."""

    checked: bool
    evidence: str
    """Without a full stop."""


class BackUp(Step):
    """A snapshot of the database is taken and waited for."""

    kind: Literal["back-up"] = "back-up"
    instance: str
    decides: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _of_the_version_before(cls, data: object) -> object:
        return {key: value for key, value in data.items() if key != "only_before"} if isinstance(data, dict) else data

    @property
    def target(self) -> str:
        return self.instance

    @property
    def title(self) -> str:
        return "Back up the database"

    @property
    def word(self) -> str:
        return "a backup"

    def changes(self) -> dict[str, JsonValue]:
        return {"snapshot of": self.instance}

    def in_short(self) -> tuple[Brief, ...]:
        return ()

    def by_hand(self) -> tuple[str, ...]:
        name = f"{self.instance}-before-deploy"
        return (
            (
                f"aws rds create-db-snapshot --db-instance-identifier {self.instance} --db-snapshot-identifier {name} && "
                f"aws rds wait db-snapshot-available --db-snapshot-identifier {name}"
            ),
        )

    def goes_on(self) -> tuple[str, ...]:
        return (f"RDS completes the snapshot of {self.instance} by itself.",)

    async def apply(self, context: StepContext) -> SnapshotTaken:
        rds, name = context.use(Backups).rds, named(self.instance, "backup", context.run)
        began = time.monotonic()
        await _create(context, name, lambda: rds.snapshot(name), lambda: rds.take_snapshot(name, run=context.run))

        def done(found: SnapshotState | None) -> bool:
            if found is not None and found.status in _FAILED_SNAPSHOTS:
                raise PermanentError(
                    f"The snapshot {name} ended with status {found.status}.", code=ReasonCode.BACKUP_FAILED
                )
            return found is not None and found.available

        def said(found: SnapshotState | None) -> str:
            percent = f", {found.percent} %" if found is not None and found.percent else ""
            return f"{name}: {found.status if found else 'creating'}{percent}"

        await _waited(context, lambda: rds.snapshot(name), done, said, f"The snapshot {name}")
        return SnapshotTaken(id=name, seconds=round(time.monotonic() - began, 1))


class RestoreStep(Step):
    """A new instance is made from a snapshot, in the network of the configured one, and waited for."""

    snapshot: str
    instance: str
    """The configured one, which stays as it is."""
    decides: ClassVar[bool] = False
    purpose: ClassVar[str]

    @property
    def target(self) -> str:
        return self.snapshot

    def changes(self) -> dict[str, JsonValue]:
        return {"snapshot": self.snapshot, "new instance for": self.purpose}

    def shown(self) -> Shown:
        rows = ((Cell(text=self.snapshot), Cell(text=f"{self.instance}-{self.purpose}-…", strong=True)),)
        return Shown(columns=("Snapshot", "New instance"), rows=rows)

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject="a new instance", change=f"from {self.snapshot}"),)

    def by_hand(self) -> tuple[str, ...]:
        name = f"{self.instance}-restored"
        return (
            (
                f"aws rds restore-db-instance-from-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {shlex.quote(self.snapshot)} "
                f"&& aws rds wait db-instance-available --db-instance-identifier {name}"
            ),
        )

    async def _restore(self, context: StepContext, begun: str = "") -> Restored:
        rds = context.use(Backups).rds
        name = begun or named(self.instance, self.purpose, context.run)
        began = time.monotonic()

        async def restore() -> None:
            like = await rds.instance()
            if like is None:
                raise PermanentError(f"There is no instance {self.instance}.", code=ReasonCode.NOT_FOUND)
            await rds.restore(self.snapshot, name, like=like, run=context.run, purpose=self.purpose)

        if not begun:
            await _create(context, name, lambda: rds.instance(name), restore)
        elif await _patient(context, lambda: rds.instance(name)) is None:
            raise PermanentError(f"{name} is not there any more.", code=ReasonCode.CHANGED_MEANWHILE)

        def done(found: InstanceState | None) -> bool:
            if found is not None and (found.status in _FAILED_INSTANCES or found.status.startswith("incompatible")):
                raise PermanentError(
                    f"The new instance {name} ended with status {found.status}.",
                    code=ReasonCode.BACKUP_FAILED,
                    advice=(
                        f"RDS says why: `aws rds describe-events --source-type db-instance --source-identifier {name}`.",
                    ),
                )
            return found is not None and found.available and bool(found.address)

        def said(found: InstanceState | None) -> str:
            return f"{name}: {found.status if found else 'creating'} for {duration(time.monotonic() - began)}"

        ready = await _waited(context, lambda: rds.instance(name), done, said, f"The new instance {name}")
        assert ready is not None, "it is available"
        seconds = round(time.monotonic() - began, 1)
        return Restored(instance=name, address=ready.address, port=ready.port, seconds=seconds)


class RestoreSnapshot(RestoreStep):
    """The new instance stays: people move the services to it."""

    kind: Literal["restore-snapshot"] = "restore-snapshot"
    begun: str = ""
    """An instance that a run before began to restore from the snapshot: it is waited for, instead of making another."""
    purpose: ClassVar[str] = "restore"

    def changes(self) -> dict[str, JsonValue]:
        return {**super().changes(), **({"instance": self.begun} if self.begun else {})}

    def shown(self) -> Shown:
        if not self.begun:
            return super().shown()
        return Shown(columns=("Snapshot", "Instance"), rows=((Cell(text=self.snapshot), Cell(text=self.begun)),))

    def completes(self, approved: Step) -> bool:
        """Waiting for what was begun changes nothing that the yes to the restore did not cover."""
        return isinstance(approved, RestoreSnapshot) and RestoreStep.changes(self) == RestoreStep.changes(approved)

    @property
    def title(self) -> str:
        return "Restore the snapshot to a new instance"

    def goes_on(self) -> tuple[str, ...]:
        return ("RDS completes the new instance by itself. Delete it if nobody needs it: it costs money.",)

    async def apply(self, context: StepContext) -> Restored:
        return await self._restore(context, self.begun)


class StartDrill(RestoreStep):
    """The new instance is deleted at the end of the run, however it ends; instances of earlier drills are deleted first."""

    kind: Literal["drill-restore"] = "drill-restore"
    purpose: ClassVar[str] = "drill"

    @property
    def title(self) -> str:
        return "Restore the snapshot to a throw-away instance"

    async def apply(self, context: StepContext) -> Restored:
        rds, name = context.use(Backups).rds, named(self.instance, self.purpose, context.run)
        for each in await _patient(context, rds.instances):
            if self._left_over(each) and each.id != name:
                context.pulse.say(f"deleting {each.id}, left by an earlier drill")
                await _patient(context, partial(rds.delete_drill, each))
        return await self._restore(context)

    async def put_back(self, context: StepContext) -> str:
        name = named(self.instance, self.purpose, context.run)
        try:
            async with asyncio.timeout(_AT_THE_END_SECONDS):
                await _delete_drill(context, self.instance)
        except (RunbookError, TimeoutError):
            # the lease waits for this; the next drill deletes it
            by_hand = f"aws rds delete-db-instance --db-instance-identifier {name} --skip-final-snapshot --delete-automated-backups"
            return f"RDS did not answer, so {name} may still exist and cost money. The next drill deletes it; to delete it now: `{by_hand}`."
        return ""

    def _left_over(self, found: InstanceState) -> bool:
        return (
            found.purpose == "drill"
            and found.id.startswith(f"{self.instance[: _LONGEST - 20]}-drill-")
            and found.status != "deleting"
        )


class CheckDrill(Step):
    """The restored instance is read with the bot's own role: the rows of the configured tables, else what its statistics count."""

    kind: Literal["drill-check"] = "drill-check"
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Read the restored tables"

    async def apply(self, context: StepContext) -> DrillCheck:
        made = context.results.only(StartDrill, Restored)
        database = context.services.get(Database)
        if not isinstance(database, Database):
            return DrillCheck(checked=False, evidence="no `database` is configured, so no role can read it")
        backups, there = context.use(Backups), database.elsewhere(made.address, made.port)
        settings = backups.settings
        ((step, _),) = context.results.each(StartDrill, Restored)
        try:
            tables, rows = await there.content()
            found = read_as(made.instance, tables, rows)
            if not settings.drill_tables:
                return found
            context.pulse.say(f"counting the rows of {listed(settings.drill_tables)}")
            reading = there.table_counts(settings.drill_tables, settings.drill_read_seconds)
            counts = await unless_stopped(context.pulse, reading)
            snapshot = await backups.rds.snapshot(step.snapshot)
        except RunbookError as error:
            if error.code is ReasonCode.BACKUP_FAILED:
                raise
            return DrillCheck(checked=False, evidence=f"it could not be read: {error.message.rstrip('.')}")
        return counted_as(counts, snapshot.at if snapshot is not None else None, settings.drill_newest_hours)


def read_as(instance: str, tables: int, rows: int) -> DrillCheck:
    """Return what the tables of a restored instance prove; `PermanentError` where there are none."""
    if not tables:
        raise PermanentError(
            f"{instance} was restored, and has no tables.",
            code=ReasonCode.BACKUP_FAILED,
            advice=("The snapshot has nothing of the application in it. Find out which database it was taken from.",),
        )
    if not rows:
        return DrillCheck(
            checked=False, evidence=f"{counted(tables, 'table')} and no row, as the statistics count them (`ANALYZE`)"
        )
    return DrillCheck(checked=True, evidence=f"{counted(tables, 'table')} with about {counted(rows, 'row')}")


def counted_as(counts: Sequence[TableCount], snapshot: datetime | None, hours: float) -> DrillCheck:
    """Return what the rows of a restored instance prove: each table has some, and its newest is about as old as the snapshot."""
    said, wrong = [], []
    for each in counts:
        if each.newest is None:
            wrong.append(f"{each.name} has {counted(each.rows, 'row')} and no time in any")
            continue
        said.append(f"{each.name}: {counted(each.rows, 'row')}, the newest of {each.newest:%Y-%m-%d %H:%M} UTC")
        if snapshot is not None and (snapshot - each.newest).total_seconds() > hours * 3600:
            older = duration((snapshot - each.newest).total_seconds())
            wrong.append(f"the newest row of {each.name} is {older} older than the snapshot")
    return DrillCheck(checked=not wrong, evidence="; ".join((*wrong, *said)))


class EndDrill(Step):
    """The throw-away instance is deleted."""

    kind: Literal["drill-delete"] = "drill-delete"
    instance: str
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Delete the throw-away instance"

    async def apply(self, context: StepContext) -> str:
        """Return its name."""
        return await _patient(context, lambda: _delete_drill(context, self.instance))


class RecordDrill(Step):
    """The restore is written into the fleet's record, as the evidence of the backup gate."""

    kind: Literal["drill-record"] = "drill-record"
    hidden: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Record the restore"

    async def apply(self, context: StepContext) -> ProvenRestore:
        ((step, made),) = context.results.each(StartDrill, Restored)
        check = context.results.only(CheckDrill, DrillCheck)
        restore = ProvenRestore(
            snapshot=step.snapshot,
            at=datetime.now(UTC).replace(microsecond=0),
            minutes=round(made.seconds / 60, 1),
            run=context.run,
            by=context.asked_by,
            checked=check.checked,
            evidence=check.evidence,
        )
        await context.use(Fleet).record_restore(context.environment, restore)
        return restore


async def _delete_drill(context: StepContext, instance: str) -> str:
    rds, name = context.use(Backups).rds, named(instance, "drill", context.run)
    found = await rds.instance(name)
    if found is not None and found.status != "deleting":
        await rds.delete_drill(found)
    return name


def named(instance: str, purpose: str, run: str) -> str:
    """Return the name of what a run creates: the same for the same run."""
    tail = re.sub(r"[^a-z0-9]", "", run.rpartition(".")[2].lower())[:12] or "run"
    ends = f"-{purpose}-{tail}"
    return f"{instance[: _LONGEST - len(ends)].rstrip('-')}{ends}"


async def _patient(context: StepContext, act: Callable[[], Awaitable[T]]) -> T:
    return await retried(act, seconds=_RETRIES_SECONDS, pause=hearing(context.pulse))


async def _create(
    context: StepContext,
    name: str,
    look: Callable[[], Awaitable[SnapshotState | InstanceState | None]],
    create: Callable[[], Awaitable[None]],
) -> None:
    """Create what the run has not created yet.

    AWS may have done what it could not say: each try looks first, and what exists already is looked at once more.
    """

    async def once() -> None:
        found = await look()
        if found is None:
            try:
                return await create()
            except AlreadyExists:
                found = await look()
        if found is None:
            raise TemporaryError(
                f"RDS says that {name} exists, but does not show it.", code=ReasonCode.AWS_UNREACHABLE, retry_after=2.0
            )
        if found.run != context.run:
            raise PermanentError(
                f"{name} already exists, and this run did not create it.", code=ReasonCode.CHANGED_MEANWHILE
            )
        return None

    await _patient(context, once)


async def _waited(
    context: StepContext,
    look: Callable[[], Awaitable[T]],
    done: Callable[[T], bool],
    said: Callable[[T], str],
    what: str,
) -> T:
    """Return what was seen once it is done; PermanentError where that takes longer than the configured patience."""
    settings, began = context.use(Backups).settings, time.monotonic()
    pause = hearing(context.pulse)
    while not done(found := await _patient(context, look)):
        context.pulse.say(said(found))
        left = settings.patience_seconds - (time.monotonic() - began)
        if left <= 0:
            raise PermanentError(
                f"{what} is not available after {duration(settings.patience_seconds)}.",
                code=ReasonCode.TIMED_OUT,
                advice=("RDS completes it by itself; `aws rds describe-events` shows its progress.",),
            )
        await pause(min(settings.look_seconds, left))
    return found
