"""Going back with a schema that went on: which image applied what, what an older release does not know, and undoing the newest migration.

What was applied is read from the Jobs that applied it, which stay in the cluster for 30 days; people can edit them, so they only warn,
and name an image to undo with that the database's own table confirms where it can be read.
"""

import json
from dataclasses import dataclass
from typing import Literal

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobView
from runbooks.database.databases import Database
from runbooks.deployments.service_state import current, pinned
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, StepContext
from runbooks.kit.targets import Environment
from runbooks.kit.train import Part, Train
from runbooks.kit.versions import is_older
from runbooks.migrations.migrating import MIGRATIONS, Migrated, SchemaStep, image_of, none_runs
from runbooks.migrations.pending import applied_rows
from runbooks.migrations.settings import DOWN, KIND, MigrationSettings
from runbooks.wording import counted, listed

_SHOWN, _MOST, _LONGEST = 5, 200, 200


@dataclass(frozen=True, slots=True)
class AppliedBy:
    """What one Job applied and nobody has undone since."""

    job: str
    image: Image
    names: tuple[str, ...] | None
    """Oldest first; None where the Job does not say."""

    @property
    def version(self) -> str:
        """For people."""
        return self.image.tag or self.image.short


async def applied_by(
    cluster: ClusterClient, database: Database | None, settings: MigrationSettings, environment: Environment
) -> list[AppliedBy]:
    """Return what the bot's Jobs applied that still stands, the oldest first."""
    ups = [job for job in await cluster.jobs.of_kind(environment.namespace, KIND) if job.ended is not None]
    downs = [job for job in await cluster.jobs.of_kind(environment.namespace, DOWN) if job.ended == "complete"]
    rows, _ = await applied_rows(database, settings)
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
            found.append(AppliedBy(job.name, Image.parse(job.image), names))
    return found


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
    if cluster is None or change is None:
        return Part()
    target = change.after.tag or ""
    jobs = await cluster.jobs.of_kind(train.environment.namespace, KIND)
    running = [job.name for job in jobs if job.ended is None and not job.deleting]
    warnings = [f"A migration is still running (Job {name}); this rollback does not wait for it." for name in running]
    notes: list[str] = []
    for each in await applied_by(cluster, train.find(Database), settings, train.environment):
        if not is_older(target, each.image.tag or ""):
            continue
        if each.names is None:
            what = f"{each.version} ran migrations (Job {each.job}) that {target} may not know."
        else:
            count = counted(len(each.names), "migration")
            what = f"{each.version} applied {count} that {target} does not know: {listed(each.names, most=_SHOWN)}."
        warnings.append(
            f"{what} The schema stays as it is: whether {target} runs on it is unknown. `db rollback` undoes the newest migration afterwards."
        )
        down = settings.down_job(train.environment, each.image).by_hand()
        notes.append(f"By hand, with the image that applied it, for one migration: {down[0]}")
    return Part(warnings=tuple(warnings), notes=tuple(notes[-1:]))


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
        return Shown(columns=("Migration to undo", "By the image of"), rows=(row,))

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
    await none_runs(cluster, environment)
    rows, why = await applied_rows(database, settings)
    standing = await applied_by(cluster, database, settings, environment)
    newest = rows[0] if rows else None
    if version is not None:
        image, name = await image_of(cluster, registry, environment, settings, version), newest
    else:
        by = _last(standing, newest)
        image, name = by.image, newest or (by.names[-1] if by.names else None)
    label = image.tag or image.short
    spec = settings.down_job(environment, image)
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
            "What the migration added is lost with all that was written to it. Undoing is not undone.",
            *((why,) if why else ()),
        ),
        notes=(f"`{' '.join(spec.words)}` runs once, which undoes one migration with most tools.",),
    )


def _last(standing: list[AppliedBy], newest: str | None) -> AppliedBy:
    """The Job that applied the newest migration."""
    fits = [each for each in standing if newest is None or (each.names is not None and newest in each.names)]
    if not fits:
        which = f"{newest}, the newest migration" if newest is not None else "a migration"
        raise PermanentError(
            f"No Job of the bot that applied {which} is left in the cluster, so it is not known which image can undo it.",
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
