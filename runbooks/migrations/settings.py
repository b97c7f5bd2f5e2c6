"""The settings of an environment's migrations, and the Jobs that follow from them."""

from typing import Annotated

from pydantic import Field

from runbooks.clients.kubernetes.jobs import JobSpec, ObjectName, SecretKey, SecretVariable, Word
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment, Frozen

Program = Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]

KIND, DOWN, LIST = "migrate", "migrate-down", "migrate-list"
_KEPT, _LIST_KEPT = 30 * 86_400, 30
"""Seconds: the Jobs of migrations stay, because a rollback looks at them; those of a list are of no use afterwards."""
LIST_DEADLINE = 12
"""Seconds, because a plan waits for it."""


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
    deadline: int = Field(default=900, gt=0, le=86_400)
    """Seconds after which Kubernetes ends a migration."""
    service_account: ObjectName | None = None
    """The service account of its pod; default: that of the service's Deployment."""

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
            what=LIST,
            image=image.reference,
            words=self.list,
            like=self._like(environment),
            approved=False,
            deadline=60,
            keep=_LIST_KEPT,
            output_bytes=1 << 20,
        )

    def _like(self, environment: Environment) -> str | None:
        service = environment.service(self.service)
        return service.deployment if service is not None else None

    def _job(self, environment: Environment, image: Image, what: str, words: Program) -> JobSpec:
        return JobSpec(
            namespace=environment.namespace,
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
