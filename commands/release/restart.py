"""`restart SERVICE`: new pods of the same image, one after the other, watched like a deploy."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.policy import Risk
from commands.kit.regions import RegionName, names_of
from commands.kit.rolling import result_card
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.release.restarting import RestartService, plan_restart
from runbooks.release.rollouts import RolloutResult
from runbooks.release.steps import images_of


class Restart(Operation):
    """Restart a service: new pods of the same image, watched until they are ready.

    Like `kubectl rollout restart`: old pods serve until new ones are ready. Version and release record do not change.
    """

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.DISRUPTIVE,
        examples=["backend", 'frontend --reason "picks up the new certificate"'],
    )

    service: ServiceName = argument("service to restart")
    region: RegionName | None = option("only this region; default: all, one after the other")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Restart {self.service} in {environment}"

    async def plan(self, context: Context) -> Plan:
        return await plan_restart(
            context.cluster,
            context.fleet,
            context.where,
            self.service,
            places=context.places,
            regions=names_of(self.region),
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        done = results.each(RestartService, RolloutResult)
        pods = " · ".join(f"{step.change.named} {result.ready}/{result.desired}" for step, result in done)
        version = images_of(plan)[0].after.short
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{self.service} was restarted in {context.where.name}",
            lines=(f"{pods} new pods ready, {version} as before.",),
            data={"service": self.service, "requester": context.actor.key},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        return result_card(
            outcome,
            succeeded=(
                Button(label="Diagnose", does=Typed(text=f"diagnose --env {where}")),
                Button(label="Logs", does=Typed(text=f"logs {self.service} --env {where}")),
                Button(label="Pods", does=Typed(text=f"pods {self.service} --env {where}")),
            ),
        )
