"""The gate on going back: what is known of the older release on the newer one's schema is enough for what `migrations.proof.required` asks."""

from dataclasses import dataclass

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.database.databases import Database
from runbooks.fleet.fleet import Fleet
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.kit.plan import Image
from runbooks.migrations.compatibility import Compatibility, compatibility, is_enough
from runbooks.migrations.pending import pending
from runbooks.migrations.settings import MigrationSettings
from runbooks.wording import listed

_SECONDS = 5.0
"""For the proofs and the label, each."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class RunsOnNewSchema(Gate):
    """Where migrations are pending, the release that runs is proven or declared to run on their schema."""

    key: str = "schema"
    name: str = "Rollback after the migration"
    migrations: MigrationSettings

    @property
    def least_seconds(self) -> float:
        """Seconds for the proofs and the label, and for the Job that lists the migrations."""
        return _SECONDS + self.migrations.list_seconds + 1

    async def look(self, subject: GateSubject) -> GateResult:
        """The image is asked for its migrations only where the answer matters: that takes a Job."""
        service = self.migrations.service
        change = next((each for each in subject.images if each.service == service), None)
        if change is None or (change.after.digest is not None and change.before.digest == change.after.digest):
            return self.passed(f"the image of {service} does not change")
        older, newer, where = change.before, change.after, subject.environment
        registry, fleet = subject.use(RegistryClient), subject.use(Fleet)
        found = await compatibility(registry, fleet, where, older, newer, seconds=_SECONDS)
        if is_enough(found, self.migrations.proof):
            return self.passed(f"{found.verdict}: {found.evidence}")
        return await self._unless_nothing_is_pending(subject, found, older, newer)

    async def _unless_nothing_is_pending(
        self, subject: GateSubject, found: Compatibility, older: Image, newer: Image
    ) -> GateResult:
        where, database = subject.environment, subject.clients.get(Database)
        listing = self.migrations.list_job(where, newer)
        known = await pending(
            subject.use(ClusterClient), database if isinstance(database, Database) else None, self.migrations, listing
        )
        if known.names == ():
            return self.passed("no migration is pending")
        line = f"prove {newer.tag} --env {where.name}"
        impossible = found.verdict == "impossible"
        these = listed(known.names, most=_SHOWN) if known.names is not None else "the pending migrations"
        return self.not_passed(
            "unknown" if found.verdict == "unknown" else "failed",
            f"it is not {_required(self.migrations)} that {older.tag} still runs after {these}: {found.evidence}",
            "Release it in two steps: first a release that runs on both schemas."
            if impossible
            else f"`{line}` tries it on a scratch database.",
            button=None if impossible else (f"Prove {newer.tag}", line),
            reason=f"{found.verdict}, {these}",
        )


def _required(settings: MigrationSettings) -> str:
    return (settings.proof.required if settings.proof is not None else None) or "known"
