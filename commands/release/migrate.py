"""`migrate [VERSION]`: the migrations of a release alone; a deploy runs them by itself before its services change."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.migrations import migrating
from runbooks.migrations.settings import MigrationSettings
from runbooks.release.train import plan_migrate


class Migrate(Operation):
    """Apply a release's pending migrations with a Job from its image, and change no service.

    Without a version, it applies those of the running release. The plan names the pending migrations and what they lock, and it checks the
    gates that concern the database. A snapshot is taken first where a deploy takes one. Cancelling the run does not stop a migration that
    has started.
    """

    meta = OperationMeta(
        permission="rollout:write", risk=Risk.DISRUPTIVE, examples=["", "v2.0.0", "v2.0.0 --env staging"]
    )

    version: Version | None = argument("release whose migrations are applied; default: the running one", default=None)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Migrate {environment}'s database{f' to {self.version}' if self.version else ''}"

    async def plan(self, context: Context) -> Plan:
        settings = context.use(MigrationSettings, "migrations")
        return await plan_migrate(
            context.cluster,
            context.registry,
            settings,
            context.where,
            context.services,
            self.version,
            now=context.now,
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        step = next(step for step in plan.steps if isinstance(step, migrating.ApplyMigrations))
        result = results.only(migrating.ApplyMigrations, migrating.Migrated)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{context.where.name}'s database has the migrations of {step.version}",
            lines=result.lines(),
            data={"version": step.version, "applied": list(result.applied or ())},
        )

    def card(self, outcome: Outcome) -> Card:
        buttons = () if outcome.ok else (Button(label="Retry", does=Typed(text=f"retry {outcome.run}")),)
        return ending_card(outcome, buttons=buttons)
