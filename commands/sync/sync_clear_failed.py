"""`sync clear-failed`: throws failed items of the offline queue away, after an export that was read back."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, option
from commands.kit.types import EnvironmentName
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.sync import plans
from runbooks.sync.changes import Cleared, Export
from runbooks.sync.plans import ClearItems, ExportItems
from runbooks.sync.queue import SyncQueue
from runbooks.wording import counted, listed


class SyncClearFailed(Operation):
    """Delete failed sync items, which clinicians wrote offline, after exporting them.

    Only the items in the plan are cleared: the approval covers the digest of their ids. They are written to S3, read
    back and compared before anything is deleted.
    """

    meta = OperationMeta(
        permission="sync:write", risk=Risk.DESTRUCTIVE, examples=["", "--env staging"], name="sync clear-failed"
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Clear the failed sync items in {environment}"

    async def plan(self, context: Context) -> Plan:
        queue = context.use(SyncQueue, "sync", "sync scripts")
        return await plans.plan_clear(queue, queue.exports)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the steps say it
        bucket = context.use(SyncQueue, "sync", "sync scripts").exports
        written, cleared = results.only(ExportItems, Export), results.only(ClearItems, Cleared)
        gone = cleared.items + cleared.gone_before
        where = context.where.name
        lines = [
            f"Exported, verified and cleared; approved by {listed(context.approved_by)}.",
            f"Their contents are in `{bucket.address(written.key)}`.",
        ]
        if cleared.gone_before:
            lines.append(f"{cleared.gone_before} of them were already gone before clearing.")
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{counted(gone, 'failed sync item')} cleared in {where}",
            lines=tuple(lines),
            data={
                "cleared": cleared.items,
                "gone_before": cleared.gone_before,
                "export": {
                    "key": written.key,
                    "version": written.version,
                    "sha256": written.sha256,
                    "size": written.size,
                },
            },
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        buttons = [Button(label="Sync status", does=Typed(text=f"sync status --env {where}"))]
        if not outcome.ok:
            buttons.append(Button(label="Retry", does=Typed(text=f"retry {outcome.run}")))
            buttons.append(Button(label="Failed items", does=Typed(text=f"sync failed --env {where}")))
        return ending_card(outcome, buttons=tuple(buttons))
