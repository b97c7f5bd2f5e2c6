"""`verify smoke`: the release's smoke tests as a Job, flow by flow."""

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
from runbooks.verification.steps import Smoke, plan_script, told
from runbooks.verification.verification import Verification


class VerifySmoke(Operation):
    """Run the smoke tests of the running release as a Job, and report each user flow.

    The tests may write data of invented patients, so they need an approval like a change.
    """

    meta = OperationMeta(
        permission="rollout:write", risk=Risk.REVERSIBLE, examples=["", "--env staging"], name="verify smoke"
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Run the smoke tests in {environment}"

    async def plan(self, context: Context) -> Plan:
        where = context.where
        return plan_script(Smoke, context.use(Verification, "verification"), where, self.title(where.name))

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the findings say it
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"The smoke tests in {context.where.name} passed",
            lines=told(*results.each(Smoke, Verified)[0]),
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        again = Button(label="Run them again", does=Typed(text=f"verify smoke --env {where}"))
        return ending_card(outcome, buttons=(Button(label="Verify", does=Typed(text=f"verify --env {where}")), again))
