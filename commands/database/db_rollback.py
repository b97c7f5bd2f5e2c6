"""`db rollback [VERSION]`: the newest migration is undone, by the image that applied it."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.database.databases import Database
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.migrations.migrating import Migrated
from runbooks.migrations.settings import MigrationSettings
from runbooks.migrations.undoing import UndoMigration, plan_undo


class DbRollback(Operation):
    """Undo the newest migration with a Job from the image that applied it.

    Roll back the services first, because the release that applied the migration expects it. Everything that the migration added is
    lost, and what it dropped stays gone.
    Without a version, the bot uses the image of the Job that applied the migration: the previous release does not contain it.
    """

    meta = OperationMeta(
        permission="database:restore", risk=Risk.DESTRUCTIVE, examples=["", "v2.0.0"], name="db rollback"
    )

    version: Version | None = argument("release whose image undoes it; default: the one that applied it", default=None)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    @property
    def after_rollback(self) -> bool:
        """A rollback's plan recommends it: the migration is undone once the services are back."""
        return True

    def title(self, environment: str) -> str:
        return f"Undo the newest migration of {environment}'s database"

    async def plan(self, context: Context) -> Plan:
        settings, database = context.use(MigrationSettings, "migrations"), context.find(Database)
        return await plan_undo(context.cluster, context.registry, database, settings, context.where, self.version)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        step = next(step for step in plan.steps if isinstance(step, UndoMigration))
        result = results.only(UndoMigration, Migrated)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{step.name or 'The newest migration'} is undone in {context.where.name}'s database",
            lines=result.lines(),
            data={"undone": list(result.undone)},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        return ending_card(outcome, buttons=(Button(label="Status", does=Typed(text=f"status --env {where}")),))
