"""The settings of an environment's migrations, and the Jobs that follow from them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runbooks.clients.kubernetes.jobs import (
    JobSpec,
    ObjectName,
    ScratchDatabase,
    SecretKey,
    SecretVariable,
    Stage,
    Word,
)
from runbooks.kit.plan import Image
from runbooks.kit.programs import plain
from runbooks.kit.targets import Environment, Frozen

Program = Annotated[tuple[Word, ...], Field(min_length=1, max_length=20), AfterValidator(plain)]

KIND, DOWN, LIST, PROVE = "migrate", "migrate-down", "migrate-list", "prove"
_KEPT, _LIST_KEPT, _PROOF_KEPT = 30 * 86_400, 30, 3600
"""Seconds: the Jobs of migrations stay, because a rollback looks at them; those of a list are of no use afterwards."""
OLDEST = "dev.omnicare.schema.oldest-release"
"""The label of an image that says which is the oldest release that runs on the schema with its migrations: `v1.2.0`."""
OLD_SCHEMA, OLD_TEST, OLD_SMOKE = "old-schema", "old-test-before", "old-smoke-before"
NEW_SCHEMA, TEST_AFTER = "new-schema", "old-test-after"
"""The stages of a proof, in order; the last program is the Job's own."""


class ProofSettings(Frozen):
    """How `prove` finds out whether the older release runs on the newer one's schema: as a Job with an empty PostgreSQL in its pod.

    The older image makes its schema and is tested on it; then the newer image migrates, and the older one is tested again. The pod gets no
    Secret and no service account: its programs find the scratch database in `variable` of `migrations`.
    """

    image: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9@:./_-]{0,250}$")
    """PostgreSQL's official image in the version that production runs, such as `postgres:15`, or a mirror of it."""
    user: int = Field(default=999, gt=0, lt=1 << 31)
    """The number of the image's user `postgres`: 999, or 70 in its Alpine variant."""
    test: Program = ("npm", "run", "db:test")
    """The program of the older image that tests its database."""
    smoke: Program | None = ("npm", "run", "--silent", "test:smoke", "--", "--env=scratch")
    """Its smoke tests. They must take the database from `variable`, and need no server that is not in the image. Without them only `test` runs."""
    deadline: int = Field(default=900, gt=0, le=3600)
    """Seconds for all of it, pulling the images included."""
    required: Literal["declared", "proven"] | None = None
    """What a deploy with pending migrations needs before it can be approved; default: it says what is known, and needs nothing."""


class MigrationSettings(Frozen):
    """How the release's migrations are run: as a Job from its image, with the database's URL from an existing Secret."""

    service: str = "backend"
    """The service whose image contains the migrations."""
    up: Program = ("npm", "run", "migrate:up")
    """The program that applies what is pending."""
    down: Program = ("npm", "run", "migrate:down")
    """The program that undoes the newest migration; `db rollback` runs it."""
    list: Program | None = None
    """A program that prints the migrations that the image contains, oldest first, as JSON: `[{"name": "…", "sql": "…"}]` (`sql` may be
    left out) or a list of names. It runs while the plan is made, before anybody approves, so it gets no database URL. The bot reads which are
    applied if `database` is configured. Without `list` nothing of the image runs before the approval, and the plan can't name the pending
    migrations."""
    secret: ObjectName = "backend-secret"  # noqa: S105 - a Secret's name
    """The Kubernetes Secret with the URL of the database, for a role that may change the schema. The bot never reads it; the pod gets it."""
    key: SecretKey = "DATABASE_URL"
    """The Secret's key."""
    variable: str = Field(default="DATABASE_URL", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    """The environment variable that the program reads."""
    table: str = Field(default="schema_migrations", pattern=r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$")
    """The table with the applied migrations. Where `database` is configured, the bot reads it as its own read-only role: `GRANT SELECT` on it to the reader."""
    column: str = Field(default="version", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    """Its column with their names."""
    list_seconds: float = Field(default=12.0, gt=0, le=60, allow_inf_nan=False)
    """Seconds that a plan waits for `list`, pulling the image included."""
    deadline: int = Field(default=900, gt=0, le=86_400)
    """Seconds after which Kubernetes ends a migration."""
    service_account: ObjectName | None = None
    """The service account of its pod; default: that of the service's Deployment."""
    proof: ProofSettings | None = None
    """How it is tried whether the older release runs on the newer one's schema; without it `prove` is refused."""

    def up_job(self, environment: Environment, image: Image) -> JobSpec:
        """Return the Job that applies what is pending. It is never ended in the middle because somebody stops the run."""
        return self._job(environment, image, KIND, self.up)

    def down_job(self, environment: Environment, image: Image) -> JobSpec:
        """Return the Job that undoes the newest migration."""
        return self._job(environment, image, DOWN, self.down)

    def list_job(self, environment: Environment, image: Image) -> JobSpec | None:
        """Return the Job that prints what the image contains; None where nothing can. Nobody has approved the image yet: it gets no Secret."""
        if self.list is None:
            return None
        return JobSpec(
            namespace=environment.namespace,
            kubectl=environment.kubectl,
            what=LIST,
            image=image.reference,
            words=self.list,
            like=self._like(environment),
            approved=False,
            deadline=60,
            keep=_LIST_KEPT,
            output_bytes=1 << 20,
        )

    def proof_job(self, environment: Environment, older: Image, newer: Image, proof: ProofSettings) -> JobSpec:
        """Return the Job that tries the older release on the newer one's schema; it knows no Secret and no production database."""
        tests = [proof.test, *((proof.smoke,) if proof.smoke is not None else ())]
        stages = [Stage(name=OLD_SCHEMA, image=older.reference, words=self.up)]
        stages += [
            Stage(name=name, image=older.reference, words=words)
            for name, words in zip((OLD_TEST, OLD_SMOKE), tests, strict=False)
        ]
        stages.append(Stage(name=NEW_SCHEMA, image=newer.reference, words=self.up))
        stages += [Stage(name=TEST_AFTER, image=older.reference, words=words) for words in tests[:-1]]
        return JobSpec(
            namespace=environment.namespace,
            kubectl=environment.kubectl,
            what=PROVE,
            image=older.reference,
            words=tests[-1],
            stages=tuple(stages),
            scratch=ScratchDatabase(image=proof.image, user=proof.user),
            values={self.variable: ScratchDatabase.URL},
            like=self._like(environment),
            approved=False,
            deadline=proof.deadline,
            keep=_PROOF_KEPT,
        )

    def _like(self, environment: Environment) -> str | None:
        service = environment.service(self.service)
        return service.deployment if service is not None else None

    def _job(self, environment: Environment, image: Image, what: str, words: Program) -> JobSpec:
        return JobSpec(
            namespace=environment.namespace,
            kubectl=environment.kubectl,
            what=what,
            image=image.reference,
            words=words,
            environment=(SecretVariable(variable=self.variable, secret=self.secret, key=self.key),),
            like=self._like(environment),
            service_account=self.service_account,
            deadline=self.deadline,
            keep=_KEPT,
            ends_on_stop=False,
        )
