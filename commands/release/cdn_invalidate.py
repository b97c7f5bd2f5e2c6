"""`cdn invalidate`: the CDN fetches paths anew; a deploy and a rollback do it by themselves."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import CdnPath, EnvironmentName
from runbooks.cdn.invalidating import InvalidateCdn, Invalidated, amount, plan_invalidate
from runbooks.clients.aws.cloudfront import MOST_PATHS, Cdn
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.wording import capital, duration


class CdnInvalidate(Operation):
    """Invalidate paths or cache tags in the CDN's cache, and wait until CloudFront has completed it.

    Without paths and tags it invalidates the configured ones, as each deploy and rollback does. A path may end with `*`. `#TAG` is everything that the origin has
    marked with that cache tag.
    """

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.REVERSIBLE,
        examples=["", "/index.html /assets/*", "#release:v2.0.0"],
        name="cdn invalidate",
    )

    paths: tuple[CdnPath, ...] = argument("paths or #TAGs to invalidate; default: the configured ones", default=())
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Invalidate {environment}'s CDN"

    async def plan(self, context: Context) -> Plan:
        if len(self.paths) > MOST_PATHS:
            raise PermanentError(
                f"One invalidation takes at most {MOST_PATHS} paths, not {len(self.paths)}.",
                code=ReasonCode.USAGE,
                advice=("Use a wildcard, such as `/assets/*`.",),
            )
        return await plan_invalidate(context.use(Cdn, "cdn", "CDN"), context.where.name, self.paths)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        result = results.only(InvalidateCdn, Invalidated)
        paths = next(step.paths for step in plan.steps if isinstance(step, InvalidateCdn))
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{capital(amount(paths))} invalidated in {context.where.name}'s CDN",
            lines=(f"Invalidation {result.id}, completed within {duration(result.seconds)}: {' '.join(paths)}",),
            data={"invalidation": result.id, "paths": list(paths)},
        )

    def card(self, outcome: Outcome) -> Card:
        buttons = () if outcome.ok else (Button(label="Retry", does=Typed(text=f"retry {outcome.run}")),)
        return ending_card(outcome, buttons=buttons)
