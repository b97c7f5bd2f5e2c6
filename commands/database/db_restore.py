"""`db restore SNAPSHOT`: a new instance from a snapshot; the old one is not touched, and people move the services."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, SnapshotName
from runbooks.backups.looking import Backups
from runbooks.backups.plans import plan_restore
from runbooks.backups.steps import Restored, RestoreSnapshot
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.wording import duration


class DbRestore(Operation):
    """Restore a snapshot to a new database instance, and list the steps that move the services to it.

    The old instance is not changed. The plan says how much would be lost: everything that was written after the snapshot.
    """

    meta = OperationMeta(
        permission="database:restore",
        risk=Risk.DESTRUCTIVE,
        examples=["omnicare-prod-2026-11-24", "rds:omnicare-prod-2026-11-24-03-00"],
        name="db restore",
    )

    snapshot: SnapshotName = argument("the snapshot, as `backups` lists it")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Restore {self.snapshot} of {environment} to a new instance"

    async def plan(self, context: Context) -> Plan:
        backups = context.use(Backups, "backups")
        return await plan_restore(backups, context.where.name, self.snapshot, context.now)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        made = results.only(RestoreSnapshot, Restored)
        old = next(step.instance for step in plan.steps if isinstance(step, RestoreSnapshot))
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{made.instance} is available, restored from {self.snapshot}",
            lines=(
                f"The restore took {duration(made.seconds)}. The address is {made.address}:{made.port}. {old} is unchanged, and the services still use it.",
                *_left_to_do(made, old, context.where.name),
            ),
            data={"instance": made.instance, "address": made.address, "port": made.port},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        return ending_card(outcome, buttons=(Button(label="Backups", does=Typed(text=f"backups --env {where}")),))


def _left_to_do(made: Restored, old: str, where: str) -> tuple[str, ...]:
    return (
        f"☐ Lock {where}, so that nothing is deployed meanwhile: `lock --env {where}`.",
        f"☐ Check the data in {made.instance}, and decide what to do with data that was written to {old} after the snapshot.",
        "☐ Stop all writes: scale the backend down.",
        f"☐ Set `DATABASE_URL` in the backend's Secret to {made.address}:{made.port}.",
        f"☐ `restart backend --env {where}`, and scale it up again.",
        "☐ Set `primary` and `instance` in `omnicare.toml`; create read replicas and alarms again.",
        f"☐ Keep {old} until nobody needs it; then delete it.",
    )
