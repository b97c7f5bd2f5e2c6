"""`deploy VERSION`: backend, then frontend, each watched until its pods run the asked digest and are ready."""

from commands.kit.card import Button, Card, Typed
from commands.kit.context import Context, Outcome
from commands.kit.policy import ApprovalPolicy, Policies, Risk
from commands.kit.rolling import cause, finish, outline, result_card, roll_out_in_turn, rollout_title
from commands.kit.spec import CHANNEL_DEFAULT, argument, operation, option
from commands.kit.types import EnvironmentName, Version
from runbooks import rollouts
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Steps
from runbooks.plans import plan_deploy


@operation(
    permission="rollout:write", risk=Risk.DISRUPTIVE, examples=["v2.0.0", 'v2.0.0 --env staging --reason "fixes sync"']
)
class Deploy:
    """Deploy a release: backend, then frontend, each watched until it runs.

    Makes a plan, asks for an approval in the thread, rolls out one service after the other, and checks that the pods run the
    approved digests. A failed rollout stops the run; old pods serve until new ones are ready.
    """

    version: Version = argument("release to deploy, a git tag")
    env: EnvironmentName = option("where to", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        """One line, as an order."""
        return f"Deploy {self.version} to {environment}"

    def approval(self, policies: Policies, plan: Plan) -> ApprovalPolicy | None:  # noqa: ARG002 - by risk alone
        return policies.of(Risk.DISRUPTIVE)

    async def plan(self, context: Context) -> Plan:
        return await plan_deploy(context.cluster, context.registry, context.fleet, context.where, self.version)

    def outline(self, plan: Plan) -> tuple[str, ...]:
        """The steps that people see ahead."""
        return outline(plan)

    def hold_points(self, plan: Plan) -> tuple[str, ...]:
        """The steps before which people may hold it: between the services."""
        return tuple(rollout_title(change) for change in plan.changes[1:])

    async def run(self, context: Context, plan: Plan, steps: Steps) -> Outcome:
        await steps.run("Take the Deployments", rollouts.stamp, context.cluster, context.fleet, context.where)
        why = cause(context, f"deploy {self.version}")
        results = await roll_out_in_turn(context, plan, steps, title=rollout_title, cause=why)
        return await finish(context, plan, steps, results, left=None)

    def card(self, outcome: Outcome) -> Card:
        where, before = outcome.environment, outcome.data.get("before")
        return result_card(
            outcome,
            succeeded=(
                Button(label=f"Roll back to {before}", does=Typed(text=f"rollback --env {where}")),
                Button(label="Logs", does=Typed(text=f"logs backend --env {where}")),
                Button(label="Status", does=Typed(text=f"status --env {where}")),
            ),
        )
