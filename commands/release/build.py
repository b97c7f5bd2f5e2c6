"""`build VERSION`: the repository's workflow builds the images of a version; the bot starts it and follows it."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.policy import Risk
from commands.kit.rolling import result_card
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.building.settings import BuildSettings
from runbooks.building.steps import BuildImages, Built, plan_build
from runbooks.clients.github.client import GithubClient
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.wording import duration, short_digest


class Build(Operation):
    """Build the images of a version with the repository's workflow, and follow it until they are in the registry.

    The bot builds nothing itself. It starts the workflow once, on the version's tag, and finds the workflow's run again after a restart.
    """

    meta = OperationMeta(permission="rollout:write", risk=Risk.REVERSIBLE, examples=["v2.0.0"])

    version: Version = argument("version to build, a git tag")
    env: EnvironmentName = option("the environment whose images are built", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:  # noqa: ARG002 - images belong to no environment
        return f"Build the images of {self.version}"

    async def plan(self, context: Context) -> Plan:
        settings = context.use(BuildSettings, "build")
        github = context.use(GithubClient, "github")
        return await plan_build(github, context.registry, context.where, settings, self.version)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the result says it
        built = results.only(BuildImages, Built)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"The images of {self.version} are in the registry",
            lines=(
                *(f"{image}:{self.version} {short_digest(digest, 12)}" for image, digest in built.digests.items()),
                f"Built in {duration(built.seconds)}.{f' {built.url}' if built.url else ''}",
            ),
            data={"version": self.version, "digests": built.digests},
        )

    def card(self, outcome: Outcome) -> Card:
        where, version = outcome.environment, outcome.data.get("version")
        deploy = Button(label=f"Deploy {version}", does=Typed(text=f"deploy {version} --env {where}"))
        return result_card(outcome, succeeded=(deploy,), went_back=True)
