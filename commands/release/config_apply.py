"""`config apply VERSION`: the ConfigMaps of a release, compared with the cluster and applied."""

from collections.abc import Sequence
from functools import partial

from commands.kit.card import Button, Card, OpenForm, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.policy import Risk
from commands.kit.rolling import result_card
from commands.kit.running_versions import versions_of
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, Version
from runbooks.clients.github.client import GithubClient
from runbooks.deployments.places import Place
from runbooks.deployments.running_release import contradiction
from runbooks.deployments.service_state import ServiceState, current, running_version
from runbooks.fleet.fleet import Release
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.kit.versions import TAG
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.planning import plan_config_apply
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import Applied, ApplyConfigMap
from runbooks.release.config_restart import plan_config_apply_and_restart
from runbooks.release.restarting import RestartService
from runbooks.release.rollouts import RolloutResult
from runbooks.wording import by_count, headed, listed


class ConfigApply(Operation):
    """Apply a release's ConfigMaps, compared with the cluster key by key.

    The bot reads the files from the repository at the release's commit. If another field manager owns a value, for example because somebody
    edited it, the bot names the owner and applies nothing; with `--take-over` it applies the file's value all the same. Pods read changed environment
    variables only when they start: `--restart` replaces the pods of the services that read what changed, region by region.
    """

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.DISRUPTIVE,
        name="config apply",
        examples=["", "v2.0.0", "v2.0.0 --take-over --dry-run", "--take-over --restart"],
    )

    version: Version | None = argument(
        "release whose configuration is applied, a git tag; default: the running one", default=None
    )
    take_over: bool = option(
        "also change values that another field manager owns, such as `kubectl-edit`", default=False
    )
    restart: bool = option("then restart the services whose pods read what changed", default=False)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        then = " and restart what reads it" if self.restart else ""
        return f"Apply the configuration of {self.version or 'the running release'} to {environment}{then}"

    async def plan(self, context: Context) -> Plan:
        settings = context.use(ManifestSettings, "manifests")
        github = context.use(GithubClient, "github")
        open_places = [place for place in context.places if not place.region.maintenance]
        plan = (
            partial(plan_config_apply_and_restart, context.cluster, context.fleet)
            if self.restart
            else plan_config_apply
        )
        return await plan(
            github,
            context.where,
            settings,
            await self._version(context, open_places),
            places=open_places,
            take_over=self.take_over,
            its_own=self.version is None,
        )

    async def _version(self, context: Context, places: Sequence[Place]) -> str:
        """Return the version that was typed, else the one that runs. Raises `PermanentError` where it is not certain which one that is."""
        if self.version is not None:
            return self.version
        found = await side_by_side(*(current(place.cluster, place.environment) for place in places))
        states = [state for each in found for state in each]
        releases = (await context.fleet.known_releases(context.where)).releases
        where = [place.name or context.where.name for place in places]
        runs = listed(f"{name} runs {versions_of(each)}" for name, each in zip(where, found, strict=True))
        if why := await contradiction(states, releases, context.registry, runs):
            raise PermanentError(
                f"{why}. Name the release whose configuration you want, such as `config apply {_example(states, releases)}`.",
                code=ReasonCode.USAGE,
                advice=("`releases` lists those that are recorded.",),
            )
        return running_version(states, releases)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the results name them
        done = results.each(ApplyConfigMap, Applied)
        names = [f"{applied.name}{step.place}" for step, applied in done]
        version = self.version or next((step.version for step, _ in done if step.version), "the running release")
        applied = f"{by_count(len(names), 'ConfigMap', 'ConfigMaps')} {listed(names)} applied."
        kept = f"Pods that read environment variables from {by_count(len(names), 'it', 'them')} keep the old values until `restart SERVICE` replaces the pods."
        restarted = results.each(RestartService, RolloutResult)
        pods = " · ".join(f"{step.change.named} {found.ready}/{found.desired}" for step, found in restarted)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{context.where.name} has the configuration of {version}",
            lines=(*([applied] if names else []), f"{pods} new pods ready." if restarted else kept),
            data={"restarted": bool(restarted)},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        form = Button(label="Restart…", does=OpenForm(command="restart", filled={"env": where}))
        restart = () if outcome.data.get("restarted") else (form,)
        looking = (
            Button(label=headed(name), does=Typed(text=f"{name} --env {where}")) for name in ("diagnose", "status")
        )
        return result_card(outcome, succeeded=(*restart, *looking), went_back=True)


def _example(states: Sequence[ServiceState], releases: Sequence[Release]) -> str:
    """Return a version that can be typed: the newest that is recorded as good, else one that a service runs as its own repository has it."""
    good = [each.version for each in releases if each.verdict == "good" and TAG.fullmatch(each.version)]
    untouched = sorted(states, key=lambda state: state.by_hand or state.drifted)
    running = [version for state in untouched if (version := running_version([state], releases))]
    return next(iter((*good, *running)), "VERSION")
