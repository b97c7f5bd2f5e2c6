"""Going back with a schema that went on: which image applied what, what an older release does not know, and undoing the newest migration.

What was applied is read from the Jobs that applied it, which stay in the cluster for 30 days. People can edit them, so alone they only
warn: a rollback is refused where the database's own table has what they name, too. They also name an image to undo with, which the
registry confirms.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runbooks.clients.aws.rds import Rds
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobView
from runbooks.database.databases import Database
from runbooks.deployments import images
from runbooks.deployments.service_state import current, pinned
from runbooks.fleet.fleet import Fleet
from runbooks.kit.answers import NotUnderstood, read_printed, read_time
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Image, Plan, Refusal, Unusual
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.kit.train import Part, Train
from runbooks.kit.versions import is_older
from runbooks.migrations.compatibility import Compatibility, compatibility
from runbooks.migrations.migrating import MIGRATIONS, Migrated, SchemaStep, image_of, none_runs
from runbooks.migrations.pending import applied_rows
from runbooks.migrations.settings import DOWN, KIND, MigrationSettings
from runbooks.wording import counted, listed

ANYWAY, AGAIN = "anyway", "again"
"""Options of a rollback: people insist on it; and how it is typed again."""
_SECONDS = 2.0
"""For so long a rollback's plan waits for the registry, and for the list of snapshots."""
_SHOWN, _MOST, _LONGEST = 5, 200, 200


@dataclass(frozen=True, slots=True)
class AppliedBy:
    """What one Job applied and nobody has undone since."""

    job: str
    image: Image
    names: tuple[str, ...] | None
    """Oldest first; None where the Job does not say."""
    since: str
    """When the Job was created (ISO 8601)."""
    in_table: bool
    """The database's own table shows that they stand."""
    foreign: bool = False
    """The image is not from the service's repository: the Job is not as the bot made it."""

    @property
    def version(self) -> str:
        """For people."""
        return self.image.named if self.foreign else self.image.tag or self.image.short


def applied_by(jobs: Sequence[JobView], rows: tuple[str, ...] | None, service: Service) -> list[AppliedBy]:
    """Return what the bot's Jobs applied that still stands, the oldest first; `rows`: of the database, where they are known."""
    ups = [job for job in jobs if job.what == KIND and job.ended is not None]
    downs = [job for job in jobs if job.what == DOWN and job.ended == "complete"]
    undone = [(name, job.created) for job in downs for name in _names(job) or ()]
    found = []
    for job in sorted(ups, key=lambda each: each.created):
        names = _names(job)
        if job.ended == "failed" and rows is None:
            names = None  # nobody knows how far it got
        if names is not None:
            names = tuple(
                n
                for n in names
                if (rows is None or n in rows) and not any(n == u and at >= job.created for u, at in undone)
            )
        if names != ():
            image = Image.parse(job.image)
            in_table = rows is not None and names is not None
            found.append(AppliedBy(job.name, image, names, job.created, in_table, images.foreign(service, image)))
    return found


async def _doubt(registry: RegistryClient, service: Service, image: Image) -> str:
    """Return why an image that stands in a Job can't be taken for the release that it names, without a point; empty where it can."""
    if found := images.trouble(service, image):
        return found
    if image.tag is None or image.digest is None:
        return f"{image.named} does not name a version and its digest"
    try:
        digest = await registry.resolve(service.repository, image.tag)
    except RunbookError as error:
        return f"{image.named} is not confirmed: {error.message.rstrip('.')}"
    return "" if digest == image.digest else f"the registry's {image.tag} is another image than {image.named}"


def _names(job: JobView) -> tuple[str, ...] | None:
    try:
        told = read_printed(job.annotations.get(MIGRATIONS, "").encode())
    except NotUnderstood:
        return None
    if not isinstance(told, list) or not all(
        isinstance(n, str) and n.isprintable() and len(n) <= _LONGEST for n in told
    ):
        return None
    return tuple(told[:_MOST])


async def plan_going_back(train: Train, settings: MigrationSettings) -> Part:
    """Return what a rollback says of the schema: migrations of newer releases that the one it leads to does not know."""
    cluster = train.find(ClusterClient)
    change = next((each for each in train.changes if each.service == settings.service), None)
    service = train.environment.service(settings.service)
    if cluster is None or change is None or service is None:
        return Part()
    target = change.after.tag or ""
    jobs, (rows, _) = await asyncio.gather(
        cluster.jobs.of_kind(train.environment.namespace, KIND, DOWN), applied_rows(train.find(Database), settings)
    )
    running = [job.name for job in jobs if job.what == KIND and job.ended is None and not job.deleting]
    still = tuple(f"A migration is still running (Job {name}); this rollback does not wait for it." for name in running)
    newer = [each for each in applied_by(jobs, rows, service) if is_older(target, each.image.tag or "")]
    if not newer:
        return Part(warnings=still)
    newest, registry, fleet = newer[-1], train.find(RegistryClient), train.find(Fleet)
    labelled = None if newest.foreign else registry
    # side by side, each within its time: a rollback waits for none of them
    doubt, found, restore = await asyncio.gather(
        _doubt_in_time(registry, service, newest.image),
        compatibility(labelled, fleet, train.environment, change.after, newest.image, seconds=_SECONDS),
        _restore(train, newer[0]),
    )
    if doubt and found.verdict != "proven":
        found = Compatibility(verdict="unknown", evidence=doubt)
    told = _going_back(train, newer, target, found, restore)
    if doubt:
        no_line = f"There is no line to undo it by hand, because {doubt}."
        return told.model_copy(update={"warnings": (*still, *told.warnings, no_line)})
    # the line itself is as long as a screen: it stands in the plan of `db rollback`, not between this plan and its confirmation
    by_hand = (
        f"`db rollback --dry-run --env {train.environment.name}` shows the line that undoes one migration by hand."
    )
    return told.model_copy(update={"warnings": (*still, *told.warnings), "notes": (*told.notes, by_hand)})


async def _doubt_in_time(registry: RegistryClient | None, service: Service, image: Image) -> str:
    if registry is None:
        return "there is no registry to confirm it"
    try:
        async with asyncio.timeout(_SECONDS):
            return await _doubt(registry, service, image)
    except TimeoutError:
        return f"{image.named} is not confirmed: the registry does not answer within {_SECONDS:g} s"


def _going_back(train: Train, newer: Sequence[AppliedBy], target: str, found: Compatibility, restore: Refusal) -> Part:
    """Return what is said of the schema that the older release does not know.

    It is refused where the release can't run on it and nobody insists, but only on what the database's table shows: anybody who may
    create a Job can write what else is known of it.
    """
    applied = tuple(_applied(each, target) for each in newer)
    match found.verdict:
        case "proven" | "declared":
            runs = f"{target} runs on the present schema ({found.verdict}): {found.evidence}."
            return Part(notes=(*applied, runs))
        case "unknown":
            unknown = (
                f"The schema does not change, and it is unknown whether {target} runs on it: {found.evidence}. "
                "After this rollback, `db rollback` undoes the newest migration."
            )
            return Part(warnings=(*applied[:-1], f"{applied[-1]} {unknown}"))
        case "impossible" if not newer[-1].in_table:
            perhaps = (
                "It is unknown whether that still holds, because the names or the database's table can't be read. "
                f"If it does, {target} can't run on the schema: {found.evidence}. `db rollback` undoes the newest migration."
            )
            return Part(warnings=(*applied[:-1], f"{applied[-1]} {perhaps}"))
        case "impossible":
            can_not = f"{target} can't run on the present schema: {found.evidence}."
            if ANYWAY in train.options:
                insisted = f"{can_not} The rollback goes back anyway, and does not change the schema."
                return Part(warnings=applied, unusual=(Unusual(option=f"--{ANYWAY}", what=insisted),))
            return Part(warnings=applied, refused_by=_ways_on(train, newer, can_not, restore))


def _applied(by: AppliedBy, target: str) -> str:
    if by.names is None:
        return f"{by.version} ran migrations (Job {by.job}) that {target} may not know."
    count = counted(len(by.names), "migration")
    return f"{by.version} applied {count} that {target} does not know: {listed(by.names, most=_SHOWN)}."


def _ways_on(train: Train, newer: Sequence[AppliedBy], can_not: str, restore: Refusal) -> tuple[Refusal, ...]:
    """Return what people can do instead: undo the migrations, restore, or insist."""
    where, names = train.environment.name, [each.names for each in newer]
    undo, again = f"db rollback --env {where}", train.options.get(AGAIN, f"rollback --env {where}")
    count = sum(len(each) for each in names if each is not None) if None not in names else None
    runs = "once for each migration" if count is None else "once" if count == 1 else counted(count, "time")
    return (
        Refusal(
            what=can_not,
            code=ReasonCode.SCHEMA_TOO_NEW,
            advice=f"Undo what was applied first, with the image that applied it: `{undo}`, {runs}. What it added is lost, and the data that it dropped stays lost.",
            button=("Undo a migration", undo),
        ),
        restore,
        Refusal(
            what=f"Or go back anyway: `{again} --anyway` with a reason.",
            advice="The pods may start, and fail where they need what the migration changed.",
            button=("Go back anyway", f"{again} --anyway"),
        ),
    )


async def _restore(train: Train, first: AppliedBy) -> Refusal:
    """Return the offer to restore the newest snapshot from before the migration, with what would be lost."""
    rds, since = train.find(Rds), read_time(first.since)
    if rds is None:
        return Refusal(
            what="Or restore the database from a snapshot: the bot knows none, because no `backups` are configured."
        )
    try:
        async with asyncio.timeout(_SECONDS):
            known = await rds.snapshots()
    except (RunbookError, TimeoutError) as error:
        why = error.message.rstrip(".") if isinstance(error, RunbookError) else "no answer in time"
        return Refusal(what=f"Or restore the database: which snapshots there are is unknown ({why}).")
    before = [(s.at, s) for s in known if s.available and s.at is not None and since is not None and s.at < since]
    if not before:
        return Refusal(what="Restoring the database does not help: no snapshot from before the migration is available.")
    at, newest = max(before, key=lambda each: each[0])
    minutes = max(1, round((train.now - at).total_seconds() / 60))
    lost = counted(minutes, "minute")
    line = f"db restore {newest.id} --env {train.environment.name}"
    return Refusal(
        what=f"Or restore the database as it was before the migration: `{line}`.",
        advice=f"Everything written after that snapshot, the last {lost}, is lost. It makes a new instance: people have to point the services to it.",
        button=("Restore a snapshot", line),
    )


class UndoMigration(SchemaStep):
    """The newest migration is undone, by an image that contains it."""

    kind: Literal["migrate-down"] = "migrate-down"
    name: str | None = None
    """Which one that is, where it is known."""

    @property
    def title(self) -> str:
        return "Undo the newest migration"

    def changes(self) -> dict[str, object]:  # type: ignore[override] # JSON too
        return {**super().changes(), "undoes": self.name}

    def shown(self) -> Shown:
        row = (Cell(text=self.name or "the newest one", strong=True), Cell(text=self.version))
        return Shown(columns=("Migration to undo", "Image of"), rows=(row,))

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject="the database", change=f"without {self.name or 'its newest migration'}"),)

    async def apply(self, context: StepContext) -> Migrated:
        return await super().apply(context)

    def _done(self, before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> dict[str, object]:
        if before is None or after is None:
            return {"undone": (self.name,) if self.name else ()}
        gone = tuple(name for name in before if name not in after)
        # also where an earlier, killed try of this step had undone it
        return {"undone": gone or ((self.name,) if self.name is not None and self.name not in after else ())}


async def plan_undo(
    cluster: ClusterClient,
    registry: RegistryClient,
    database: Database | None,
    settings: MigrationSettings,
    environment: Environment,
    version: str | None,
) -> Plan:
    """Return the plan that undoes the newest migration: by the image of `version`, else by the one whose Job applied it."""
    service = environment.service(settings.service)
    assert service is not None, "the configuration is checked"
    await none_runs(cluster, environment)
    jobs, (rows, why) = await asyncio.gather(
        cluster.jobs.of_kind(environment.namespace, KIND, DOWN), applied_rows(database, settings)
    )
    standing = applied_by(jobs, rows, service)
    newest = rows[0] if rows else None
    if version is not None:
        image, name = await image_of(cluster, registry, environment, settings, version), newest
    else:
        by = _last(standing, newest)
        if doubt := await _doubt(registry, service, by.image):
            raise PermanentError(
                f"Job {by.job} does not say reliably which image can undo the newest migration: {doubt}.",
                code=ReasonCode.FOREIGN_IMAGE,
                advice=("Name the release that contains it: `db rollback VERSION`.",),
            )
        image, name = by.image, newest or (by.names[-1] if by.names else None)
    label = image.tag or image.short
    spec = await cluster.jobs.planned(settings.down_job(environment, image))
    if name is not None:
        spec = spec.model_copy(update={"annotations": {MIGRATIONS: json.dumps([name])}})
    return Plan(
        title=f"Undo {name or 'the newest migration'} in {environment.name}'s database",
        steps=(UndoMigration(spec=spec, version=label, settings=settings, name=name),),
        warnings=(
            *(
                f"{what} still runs {label}, which expects this migration."
                for what in await _expecting(cluster, environment, settings, label)
            ),
            "Everything that the migration added is lost, with its data. What it dropped is created again, empty: its data stays lost. This can't be undone.",
            *((why,) if why else ()),
        ),
        notes=(f"`{' '.join(spec.words)}` runs once; with most tools, that undoes one migration.",),
    )


def _last(standing: list[AppliedBy], newest: str | None) -> AppliedBy:
    """The Job that applied the newest migration."""
    fits = [each for each in standing if newest is None or (each.names is not None and newest in each.names)]
    if not fits:
        which = f"{newest}, the newest migration" if newest is not None else "a migration"
        raise PermanentError(
            f"No Job that applied {which} is left in the cluster, so it is unknown which image can undo it.",
            code=ReasonCode.NO_RELEASE,
            advice=("Name the release that contains it: `db rollback VERSION`.",),
        )
    return fits[-1]


async def _expecting(
    cluster: ClusterClient, environment: Environment, settings: MigrationSettings, version: str
) -> list[str]:
    states = await current(cluster, environment)
    found = ((state.service, pinned(state)) for state in states if state.service == settings.service)
    return [service for service, image in found if image is not None and image.tag == version]
