"""`sync retry-failed`: every failed item of the offline queue is tried again, and watched."""

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
from runbooks.sync.changes import Retried
from runbooks.sync.plans import WatchQueue
from runbooks.sync.queue import SyncQueue
from runbooks.wording import by_count, counted


class SyncRetryFailed(Operation):
    """Retry all failed sync items, and watch until the count stops changing. Nothing is lost."""

    meta = OperationMeta(
        permission="sync:write", risk=Risk.REVERSIBLE, examples=["", "--env staging"], name="sync retry-failed"
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Retry the failed sync items in {environment}"

    async def plan(self, context: Context) -> Plan:
        return await plans.plan_retry(context.use(SyncQueue, "sync", "sync scripts"))

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - what is left says it
        result = results.only(WatchQueue, Retried)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"The failed sync items of {context.where.name} were retried: {_left(result)}",
            lines=_lines(result, context.use(SyncQueue, "sync", "sync scripts").scripts.watch_seconds),
            data={"before": result.before, "after": result.after, "pending": result.pending},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        buttons = [Button(label="Sync status", does=Typed(text=f"sync status --env {where}"))]
        if outcome.ok:
            buttons.append(Button(label="Failed items", does=Typed(text=f"sync failed --env {where}")))
        else:
            buttons.append(Button(label="Retry", does=Typed(text=f"retry {outcome.run}")))
        return ending_card(outcome, buttons=tuple(buttons))


def _left(result: Retried) -> str:
    if result.after is None:
        return "the number left is unknown"
    if result.after == 0:
        return "none left"
    if result.before is None:
        return f"{result.after} left"
    return f"{result.after} of {result.before} left"


def _lines(result: Retried, seconds: float) -> tuple[str, ...]:
    lines = []
    if result.pending is not None:
        lines.append(f"{counted(result.pending, 'item')} {by_count(result.pending, 'is', 'are')} waiting in the queue.")
    if result.after is None:
        lines.append(
            "The status script's output was not understood, so the queue could not be watched; `sync status` shows it."
        )
    elif not result.settled:
        lines.append(f"The count was still changing after {seconds:g} s; `sync failed` shows the current state.")
    elif result.after:
        lines.append("The rest fails for reasons that a retry doesn't fix; `sync failed` lists them.")
    return tuple(lines)
