"""`db drill`: the newest snapshot is restored to a throw-away instance, read, and deleted again; its minutes are the proof."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, option
from commands.kit.types import EnvironmentName
from runbooks.backups.looking import Backups
from runbooks.backups.plans import plan_drill
from runbooks.backups.steps import RecordDrill
from runbooks.fleet.fleet import ProvenRestore
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results


class DbDrill(Operation):
    """Prove that the database can be restored: restore the newest snapshot to a throw-away instance, read it, delete it.

    The bot records how long the restore took. The gate `restore` shows it as evidence.
    """

    meta = OperationMeta(
        permission="database:restore", risk=Risk.REVERSIBLE, examples=["", "--env staging"], name="db drill"
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Restore drill of {environment}"

    async def plan(self, context: Context) -> Plan:
        return await plan_drill(context.use(Backups, "backups"), context.where.name, context.now)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the record says it
        proof = results.only(RecordDrill, ProvenRestore)
        read = f"Read: {proof.evidence}." if proof.checked else f"The restore is not proven: {proof.evidence}."
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{proof.snapshot} was restored in {proof.minutes:g} min",
            lines=(read, "The throw-away instance is being deleted; the measured minutes are recorded."),
            data=proof.model_dump(mode="json"),
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        again = () if outcome.ok else (Button(label="Retry", does=Typed(text=f"retry {outcome.run}")),)
        return ending_card(
            outcome, buttons=(*again, Button(label="Backups", does=Typed(text=f"backups --env {where}")))
        )
