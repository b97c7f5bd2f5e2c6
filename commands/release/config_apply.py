"""`config apply VERSION`: the ConfigMaps of a release, compared with the cluster and applied."""

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.policy import Risk
from commands.kit.rolling import result_card
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.clients.github.client import GithubClient
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.manifests.planning import plan_config_apply
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import Applied, ApplyConfigMap
from runbooks.wording import by_count, listed


class ConfigApply(Operation):
    """Apply a release's ConfigMaps, compared with the cluster key by key and never forced.

    The bot reads the files from the repository at the release's commit. If another field manager owns a value, the bot names it and applies
    nothing. Pods read changed environment variables only when they start: `restart` replaces the pods.
    """

    meta = OperationMeta(
        permission="rollout:write", risk=Risk.DISRUPTIVE, name="config apply", examples=["v2.0.0", "v2.0.0 --dry-run"]
    )

    version: Version = argument("release whose configuration is applied, a git tag")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Apply the configuration of {self.version} to {environment}"

    async def plan(self, context: Context) -> Plan:
        settings = context.use(ManifestSettings, "manifests")
        github = context.use(GithubClient, "github")
        open_places = [place for place in context.places if not place.region.maintenance]
        return await plan_config_apply(
            context.cluster, github, context.where, settings, self.version, places=open_places
        )

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the results name them
        names = [f"{applied.name}{step.place}" for step, applied in results.each(ApplyConfigMap, Applied)]
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{context.where.name} has the configuration of {self.version}",
            lines=(f"{by_count(len(names), 'ConfigMap', 'ConfigMaps')} {listed(names)} applied.",),
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        return result_card(
            outcome, succeeded=(Button(label="Status", does=Typed(text=f"status --env {where}")),), went_back=True
        )
