"""`verify benchmark`: the release's performance benchmark as a Job, value by value."""

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
from runbooks.verification.findings import Verified
from runbooks.verification.steps import RunBenchmark, plan_script, told
from runbooks.verification.verification import Verification


class VerifyBenchmark(Operation):
    """Run the performance benchmark of the running release as a Job, and hold each value to its limit.

    It puts load on the environment while it runs, so it is approved like a change.
    """

    meta = OperationMeta(
        permission="rollout:write", risk=Risk.REVERSIBLE, examples=["", "--env staging"], name="verify benchmark"
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Run the benchmark in {environment}"

    async def plan(self, context: Context) -> Plan:
        where = context.where
        warning = f"It puts load on {where.name}, and everybody who works there may notice it."
        verification = context.use(Verification, "verification")
        return plan_script(RunBenchmark, verification, where, self.title(where.name), warning=warning)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the findings say it
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"The benchmark in {context.where.name} passed",
            lines=told(*results.each(RunBenchmark, Verified)[0]),
        )

    def card(self, outcome: Outcome) -> Card:
        return ending_card(
            outcome, buttons=(Button(label="Verify", does=Typed(text=f"verify --env {outcome.environment}")),)
        )
