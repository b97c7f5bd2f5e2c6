"""`prove VERSION`: whether the running release runs on the schema of another one, tried on a scratch database before a deploy."""

from commands.kit.card import Button, Card, State, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.fleet.schema_proofs import SchemaProof
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.migrations.proving import ProveSchema, plan_proof
from runbooks.migrations.settings import MigrationSettings
from runbooks.wording import capital


class Prove(Operation):
    """Prove that the running release still runs once a release's migrations are applied, so that a rollback works.

    A Job with an empty PostgreSQL of its own: the running release makes its schema and is tested, the new one migrates, and the running one
    is tested again. No production data is read or changed, and the Job gets no Secret. It is approved all the same, because it runs the
    release's code in the cluster.
    """

    meta = OperationMeta(permission="rollout:write", risk=Risk.REVERSIBLE, examples=["v2.0.0", "v2.0.0 --older v1.1.0"])

    version: Version = argument("release whose migrations are tried")
    older: Version | None = option("release that is tested on its schema; default: the running one", default=None)
    env: EnvironmentName = option("where it is to be deployed", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Prove a rollback from {self.version} in {environment}"

    async def plan(self, context: Context) -> Plan:
        settings = context.use(MigrationSettings, "migrations")
        return await plan_proof(context.cluster, context.registry, settings, context.where, self.version, self.older)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the proof says it
        proof = results.only(ProveSchema, SchemaProof)
        runs = "runs" if proof.runs else "does not run"
        follows = (
            f"A rollback from {proof.newer} to {proof.older} needs nothing but its images."
            if proof.runs
            else f"Once {proof.newer}'s migrations are applied, `rollback` to {proof.older} is refused: a migration has to be undone first."
        )
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{proof.older} {runs} on {proof.newer}'s schema",
            lines=(f"{capital(proof.evidence)}.", follows),
            data={"environment": context.where.name, **proof.model_dump(mode="json")},
        )

    def card(self, outcome: Outcome) -> Card:
        if not outcome.ok:
            return ending_card(outcome, buttons=(Button(label="Retry", does=Typed(text=f"retry {outcome.run}")),))
        if not outcome.data["runs"]:
            return ending_card(outcome).model_copy(update={"state": State.WAITING})
        version = outcome.data["newer"]
        deploy = Typed(text=f"deploy {version} --env {outcome.environment}")
        return ending_card(outcome, buttons=(Button(label=f"Deploy {version}", does=deploy),))
