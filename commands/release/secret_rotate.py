"""`secret rotate NAME`: new values for a Secret, and new pods that read them."""

from typing import Annotated

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.policy import Risk
from commands.kit.regions import RegionNames, names_of
from commands.kit.rolling import result_card
from commands.kit.rotation_type import RotationType
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.rotation.planning import plan_rotation
from runbooks.rotation.settings import Rotations
from runbooks.rotation.steps import ReplaceValues, Rotated
from runbooks.wording import by_count, counted, listed


class SecretRotate(Operation):
    """Replace a secret's values with new ones, and restart the services that read it.

    Nobody types or sees the values: the bot generates them, or reads them from AWS Secrets Manager, and writes them into the Kubernetes Secret. The old ones
    are not kept. `[environments.NAME.rotations.WHAT]` configures what can be rotated. With several regions the home region gets the values first, and each
    other region gets the same ones. `--regions` without the home region makes no new values, but copies those of the home region.
    """

    meta = OperationMeta(
        permission="secret:write",
        risk=Risk.DISRUPTIVE,
        name="secret rotate",
        examples=["jwt", 'jwt --reason "on-call left"'],
    )

    what: Annotated[str, RotationType()] = argument("name of the rotation in the configuration")
    regions: RegionNames | None = option("only these regions, such as `us`; default: all, the home region first")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Rotate {self.what} in {environment}"

    async def plan(self, context: Context) -> Plan:
        rotations = context.use(Rotations, "rotations")
        known = rotations.known
        if self.what not in known:
            raise PermanentError(
                f"There is no rotation {self.what} in {context.where.name}.",
                code=ReasonCode.NOT_CONFIGURED,
                advice=(
                    f"Configured: {listed(sorted(known))}. Add `[environments.{context.where.name}.rotations.NAME]` for another.",
                ),
            )
        return await plan_rotation(
            context.cluster,
            context.fleet,
            context.where,
            self.what,
            rotations,
            places=context.places,
            regions=names_of(self.regions),
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        done = results.each(ReplaceValues, Rotated)  # none in a retry that only makes the pods that are left
        count = max((len(rotated.keys) for _, rotated in done), default=0)
        services = dict.fromkeys(name for step in plan.steps for name in step.replaces())
        reached = {step.region for step in plan.steps}
        left = [each.name for each in context.where.regions if each.name not in reached]
        again = f"secret rotate {self.what} --regions {','.join(left)} --env {context.where.name}"
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{self.what} has {by_count(count, 'a new value', 'new values')} in {context.where.name}",
            lines=(
                *(
                    f"Secret {rotated.secret}{step.place}: {counted(len(rotated.keys), 'new value')} ({listed(rotated.keys)})"
                    for step, rotated in done
                ),
                f"New pods of {listed(services)} use {by_count(count, 'it', 'them')}.",
                *(
                    [f"{listed(left)} still {by_count(len(left), 'has', 'have')} the old values: `{again}`"]
                    if left
                    else []
                ),
            ),
        )

    def card(self, outcome: Outcome) -> Card:
        status = Button(label="Status", does=Typed(text=f"status --env {outcome.environment}"))
        return result_card(outcome, succeeded=(status,), went_back=True)
