"""`prove`: the older release's tests run on the newer one's schema, in a scratch database, and the result is kept."""

from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.schema_proofs import SchemaProof
from runbooks.jobs.running import JobEnd, run_job
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Environment
from runbooks.migrations.migrating import image_of
from runbooks.migrations.settings import (
    NEW_SCHEMA,
    OLD_SCHEMA,
    OLD_SMOKE,
    OLD_TEST,
    TEST_AFTER,
    MigrationSettings,
)
from runbooks.wording import listed

_DATABASE_TEST, _SMOKE_TESTS = "the database test", "the smoke tests"


class ProveSchema(Step):
    """The older release is tested on its own schema, then on that of the newer one, in a scratch database."""

    kind: Literal["prove-schema"] = "prove-schema"
    spec: JobSpec
    older: Image
    newer: Image
    decides: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Run {self.older.tag}'s tests on {self.newer.tag}'s schema"

    @property
    def word(self) -> str:
        return "a proof"

    def changes(self) -> dict[str, JsonValue]:
        return {"older": self.older.reference, "newer": self.newer.reference, "scratch database": self._scratch}

    def shown(self) -> Shown:
        row = (Cell(text=self.older.short, strong=True), Cell(text=self.newer.short), Cell(text=listed(self._tests)))
        return Shown(columns=("Tested", "On the schema of", "By"), rows=(row,))

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"{self.older.tag}'s tests", change=f"on {self.newer.tag}'s schema"),)

    def by_hand(self) -> tuple[str, ...]:
        return self.spec.by_hand()

    async def apply(self, context: StepContext) -> SchemaProof:
        end = await run_job(context.pulse, context.use(ClusterClient), self.spec)
        self._raise_if_inconclusive(end)
        proof = SchemaProof(
            older=self.older.tag or self.older.short,
            older_digest=self.older.digest or "",
            newer=self.newer.tag or self.newer.short,
            newer_digest=self.newer.digest or "",
            runs=end.ok,
            evidence=self._evidence(end),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=context.asked_by,
            run=context.run,
        )
        await context.use(Fleet).record_schema_proof(context.environment, proof)
        return proof

    @property
    def _scratch(self) -> str:
        return self.spec.scratch.image if self.spec.scratch is not None else ""

    @property
    def _tests(self) -> tuple[str, ...]:
        return (_DATABASE_TEST, _SMOKE_TESTS) if self.spec.stages[-1].name == TEST_AFTER else (_DATABASE_TEST,)

    def _evidence(self, end: JobEnd) -> str:
        if end.ok:
            return f"{listed(self._tests)} of {self.older.tag} passed on {self.newer.tag}'s schema"
        failed = self._tests[0] if end.stage == TEST_AFTER else self._tests[-1]
        return f"{failed} of {self.older.tag} passed on its own schema, and failed on {self.newer.tag}'s (exit status {end.exit_code})"

    def _raise_if_inconclusive(self, end: JobEnd) -> None:
        """What fails before the newer release migrated says nothing of its schema, and nor does what its database failed under."""
        if end.scratch_failed and not end.ok:
            cause = "the scratch database restarted or was killed meanwhile, which is inconclusive"
            code, advice = ReasonCode.JOB_FAILED, "Try again. The scratch database may use 1 GiB of memory."
        elif end.stage == NEW_SCHEMA:
            cause = (
                f"{self.newer.tag}'s migrations failed on {self.older.tag}'s schema, with exit status {end.exit_code}"
            )
            code, advice = ReasonCode.MIGRATION_FAILED, "Don't deploy it: they would fail in production, too."
        elif end.stage == OLD_SCHEMA:
            cause = f"{self.older.tag}'s migrations don't run on an empty database (exit status {end.exit_code})"
            code, advice = ReasonCode.JOB_FAILED, "A proof needs migrations that create the whole schema."
        elif end.stage in (OLD_TEST, OLD_SMOKE):
            words = next(stage.words for stage in self.spec.stages if stage.name == end.stage)
            cause = f"`{' '.join(words)}` of {self.older.tag} fails on its own schema already, with exit status {end.exit_code}"
            code, advice = ReasonCode.JOB_FAILED, "It needs something that a scratch database does not have."
        else:
            return
        raise PermanentError(
            f"Nothing was proven: {cause}.",
            code=code,
            diagnosis=Diagnosis(cause=cause, log=end.log, seen=(f"Job {end.name} in {self.spec.namespace}.",)),
            advice=(advice,),
        )


async def plan_proof(
    cluster: ClusterClient,
    registry: RegistryClient,
    settings: MigrationSettings,
    environment: Environment,
    version: str,
    than: str | None,
) -> Plan:
    """Return the plan that tries the running release, or `than`, on the schema of `version`."""
    if settings.proof is None:
        raise PermanentError(
            f"Proofs are not configured for {environment.name}.",
            code=ReasonCode.NOT_CONFIGURED,
            advice=(f"Add `[environments.{environment.name}.migrations.proof]` to `omnicare.toml`.",),
        )
    newer = await image_of(cluster, registry, environment, settings, version)
    older = await image_of(cluster, registry, environment, settings, than)
    if older.digest == newer.digest:
        title = f"{environment.name} runs {newer.tag} itself. Name the release to try: `prove {newer.tag} --older VERSION`. Nothing to do."
        return Plan(title=title)
    spec = await cluster.jobs.planned(settings.proof_job(environment, older, newer, settings.proof))
    return Plan(
        title=f"Prove that {older.tag} runs on {newer.tag}'s schema",
        steps=(ProveSchema(spec=spec, older=older, newer=newer),),
        notes=(
            f"Nothing in {environment.name} is changed or read: it is a Job with an empty PostgreSQL ({settings.proof.image}) in its own pod, without any Secret.",
            "The result is kept, and shown in the plans of `deploy` and `rollback`.",
        ),
    )
