"""`scale SERVICE N`: another number of pods, within the service's minimum and what autoscalers leave."""

from typing import Annotated

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.regions import RegionName, names_of
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, NumberType, ServiceName
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.release.scaling import MOST, Scaled, ScaleService, plan_scale
from runbooks.wording import counted


class Scale(Operation):
    """Scale a service to a number of pods, and watch until they are ready.

    Never below the service's `min_replicas`. Where an autoscaler sets the number, the answer is the line that changes its limits.
    """

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.DISRUPTIVE,
        examples=["backend 5", 'backend 3 --reason "the rush is over"'],
    )

    service: ServiceName = argument("service to scale")
    pods: Annotated[int, NumberType(0, MOST, name="pods", example="5")] = argument("number of pods")
    region: RegionName | None = option("only this region; default: all, one after the other")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Scale {self.service} to {counted(self.pods, 'pod')} in {environment}"

    async def plan(self, context: Context) -> Plan:
        return await plan_scale(
            context.cluster,
            context.fleet,
            context.where,
            self.service,
            self.pods,
            places=context.places,
            regions=names_of(self.region),
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the steps know it
        done = results.each(ScaleService, Scaled)
        ready = " · ".join(f"{step.change.named} {scaled.ready}/{scaled.desired}" for step, scaled in done)
        before = " · ".join(dict.fromkeys(str(scaled.before) for _, scaled in done))
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{self.service} has {counted(self.pods, 'pod')} in {context.where.name}",
            lines=(f"{ready} ready, {before} before. The image is unchanged.",),
            data={"service": self.service, "pods": self.pods, "requester": context.actor.key},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        pods = Button(label="Pods", does=Typed(text=f"pods {self.service} --env {where}"))
        if outcome.ok:
            top = Button(label="Top pods", does=Typed(text=f"top pods {self.service} --env {where}"))
            return ending_card(outcome, buttons=(pods, top))
        if outcome.code is ReasonCode.OVERTAKEN:
            return ending_card(outcome)
        return ending_card(outcome, buttons=(Button(label="Retry", does=Typed(text=f"retry {outcome.run}")), pods))
