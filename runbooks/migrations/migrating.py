"""The steps that apply and undo migrations, and the plans that they are in: a deploy's, a rollback's, `migrate`'s and `db rollback`'s."""

import asyncio
import json
import time
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec
from runbooks.database.databases import Database
from runbooks.deployments.service_state import current, pinned
from runbooks.fleet.fleet import Fleet
from runbooks.jobs.running import JobEnd, run_job
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, Unusual
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.train import Part, Train
from runbooks.kit.versions import spellings
from runbooks.migrations.compatibility import before_migrating, compatibility
from runbooks.migrations.pending import applied_rows, pending
from runbooks.migrations.settings import DOWN, KIND, MigrationSettings
from runbooks.wording import counted, duration, listed

_NEWEST = 5
_SHOWN = 10
MIGRATIONS = "omnicare.dev/migrations"
"""The annotation of a Job with the names of what it applies or undoes, as JSON."""
ALONE = "migrations-alone"
"""The option of a plan that is about nothing else."""
SKIP = "skip-migrations"
"""The option of a deploy that leaves the migrations out."""


class Migrated(Frozen):
    """What a migration did."""

    job: str
    applied: tuple[str, ...] | None = None
    """What the database has now and had not before, oldest first; None where that is not known."""
    undone: tuple[str, ...] = ()
    """What it had before and has no more."""
    newest: tuple[str, ...] = ()
    """The newest rows of the table."""
    log: tuple[str, ...] = ()
    seconds: float = 0.0

    def lines(self) -> tuple[str, ...]:
        """Return what it did, in sentences."""
        took = f" in {duration(self.seconds)}"
        if self.seconds < 1:
            took = ""
        if self.undone:
            done = f"Undone{took}: {listed(self.undone, most=_SHOWN)}."
        elif self.applied is None:
            done = f"Migrations ran{took} (Job {self.job})."
        elif self.applied:
            done = f"{counted(len(self.applied), 'migration')} applied{took}: {listed(self.applied, most=_SHOWN)}."
        else:
            done = "No migration was pending."
        return (done, *((f"Newest in the database: {', '.join(self.newest)}.",) if self.newest else ()))


class SchemaStep(Step):
    """A program of a release's image changes the database's schema, as a Job."""

    spec: JobSpec
    version: str
    settings: MigrationSettings
    settles: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.settings.service

    def changes(self) -> dict[str, JsonValue]:
        return {"image": self.spec.image, "program": list(self.spec.words), "secret": self.settings.secret}

    def by_hand(self) -> tuple[str, ...]:
        return self.spec.by_hand()

    def goes_on(self) -> tuple[str, ...]:
        where = f"-n {self.spec.namespace}"
        return (
            f"A migration that has started goes on, because stopping it would leave the schema half changed. `{self.spec.kubectl} get jobs {where} -l omnicare.dev/job={self.spec.what}` shows it.",
        )

    async def apply(self, context: StepContext) -> Migrated:
        database = context.services.get(Database)
        known = database if isinstance(database, Database) else None
        began = time.monotonic()
        before, _ = await applied_rows(known, self.settings)
        end = await run_job(context.pulse, context.use(ClusterClient), self.spec)
        if not end.ok:
            raise self._failed(end)
        after, _ = await applied_rows(known, self.settings)
        done = Migrated(
            job=end.name, log=end.log, seconds=round(time.monotonic() - began, 1), newest=(after or ())[:_NEWEST]
        )
        return done.model_copy(update=self._done(before, after))

    def _done(self, before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> dict[str, object]:
        raise NotImplementedError

    def _failed(self, end: JobEnd) -> PermanentError:
        cause = f"`{' '.join(self.spec.words)}` of {self.version} ended with exit status {end.exit_code}"
        return PermanentError(
            f"The migration failed: {cause}.",
            code=ReasonCode.MIGRATION_FAILED,
            diagnosis=Diagnosis(cause=cause, log=end.log, seen=(f"Job {end.name} in {self.spec.namespace}.",)),
            advice=(
                f"Check the rows of `{self.settings.table}` before you try again: migrations that were applied before the failure stay applied.",
            ),
        )


class ApplyMigrations(SchemaStep):
    """The release's pending migrations are applied."""

    kind: Literal["migrate"] = "migrate"
    pending: tuple[str, ...] | None = None
    """Oldest first; None where the plan could not know them."""
    going_back: str | None = None
    """Whether the release that runs now still runs afterwards (`proven`, `unknown`, …); None in a plan of the version before."""
    alone: bool = False
    """It is what the run is for."""

    @property
    def title(self) -> str:
        return "Migrate the database"

    @property
    def word(self) -> str:
        return "migrations"

    def changes(self) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {"going back": self.going_back} if self.going_back is not None else {}
        return {**super().changes(), "pending": list(self.pending) if self.pending is not None else None, **found}

    def shown(self) -> Shown:
        names = self.pending if self.pending is not None else ("all that are pending",)
        more = len(names) - _SHOWN
        shown = (*names[:_SHOWN], *((f"and {more} more",) if more > 0 else ()))
        rows = tuple((Cell(text=name, strong=self.pending is not None), Cell(text=self.version)) for name in shown)
        return Shown(columns=("Migration", "Release"), rows=rows)

    def in_short(self) -> tuple[Brief, ...]:
        if not self.alone:
            return ()
        count = counted(len(self.pending), "migration") if self.pending is not None else "migrations"
        return (Brief(act=f"{count} of", subject="the database"),)

    @property
    def may_do_nothing(self) -> bool:
        return self.pending is None

    def ends_as(self, confirmed: Step) -> bool:
        """A yes to "whatever is pending" covers each list; one to a list covers only that."""
        if isinstance(confirmed, ApplyMigrations) and confirmed.pending is None:
            return self.model_copy(update={"pending": None}).changes() == confirmed.changes()
        return super().ends_as(confirmed)

    def completes(self, approved: Step) -> bool:
        return self.ends_as(approved)

    async def apply(self, context: StepContext) -> Migrated:
        return await super().apply(context)

    def _done(self, before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> dict[str, object]:
        if after is None:
            return {"applied": self.pending}
        if self.pending is not None:  # also where an earlier, killed try of this step had applied them
            return {"applied": tuple(name for name in self.pending if name in after)}
        return {
            "applied": tuple(name for name in reversed(after) if name not in before) if before is not None else None
        }


async def plan_going_on(train: Train, settings: MigrationSettings) -> Part:
    """Return what a deploy does about the schema before its services change."""
    if SKIP in train.options:
        what = f"Migrations are skipped: {train.version} runs on the schema as it is."
        return Part(
            unusual=(Unusual(option=f"--{SKIP}", what=what),),
            not_done=("migrations (skipped as requested)",),
        )
    change = next((each for each in train.changes if each.service == settings.service), None)
    if change is None:
        return Part(notes=(f"No migrations run, because {settings.service} does not change.",))
    cluster = train.find(ClusterClient)
    assert cluster is not None, "every environment has a cluster"
    environment, older, image = train.environment, change.before, change.after
    await none_runs(cluster, environment)
    found, spec, back = await asyncio.gather(
        pending(cluster, train.find(Database), settings, settings.list_job(environment, image)),
        cluster.jobs.planned(settings.up_job(environment, image)),
        compatibility(
            train.find(RegistryClient), train.find(Fleet), environment, older, image, seconds=settings.list_seconds
        ),
    )
    if found.names == ():
        return Part(warnings=found.warnings, notes=("No migration is pending.", *found.notes))
    if found.names is not None:
        spec = spec.model_copy(update={"annotations": {MIGRATIONS: json.dumps(found.names)}})
    if older.digest == image.digest:
        back_known, said = None, Part()
    else:
        back_known, said = back.verdict, before_migrating(back, environment, older, image, settings.proof)
    step = ApplyMigrations(
        spec=spec, version=train.version, settings=settings, pending=found.names,
        going_back=back_known, alone=ALONE in train.options,
    )  # fmt: skip
    notes = ("Cancelling the run does not stop a migration that has started.", *found.notes)
    return Part(
        before=(step,),
        warnings=(*said.warnings, *found.warnings),
        notes=(*said.notes, *notes),
    )


async def none_runs(cluster: ClusterClient, environment: Environment) -> None:
    """Raise where a migration is still running. Two migrations at once would wait for each other, or worse."""
    for job in await cluster.jobs.of_kind(environment.namespace, KIND, DOWN):
        if job.ended is None and not job.deleting:
            raise PermanentError(
                f"A migration is still running in {environment.name}: Job {job.name} (image {Image.parse(job.image).short}).",
                code=ReasonCode.MIGRATION_RUNS,
                advice=(
                    f"Wait until it has finished: `{environment.kubectl} logs -f job/{job.name} -n {job.namespace}` shows its progress.",
                ),
            )


async def image_of(
    cluster: ClusterClient,
    registry: RegistryClient,
    environment: Environment,
    settings: MigrationSettings,
    version: str | None,
) -> Image:
    """Return the image with the migrations: of that version, or of the running release."""
    service = environment.service(settings.service)
    assert service is not None, "the configuration is checked"
    if version is None:
        state = next(each for each in await current(cluster, environment) if each.service == service.name)
        if (image := pinned(state)) is None or state.foreign:
            raise PermanentError(
                f"It is unknown which image of {service.name} runs in {environment.name}.",
                code=ReasonCode.NOT_A_RELEASE,
                advice=("Name the version: `migrate VERSION`.",),
            )
        return image
    missing: PermanentError | None = None
    for tag in spellings(version):
        try:
            return Image(repository=service.repository, tag=tag, digest=await registry.resolve(service.repository, tag))
        except PermanentError as error:
            if error.code is not ReasonCode.NO_SUCH_VERSION:
                raise
            missing = missing or error
    assert missing is not None, "a version has a spelling"
    raise missing
