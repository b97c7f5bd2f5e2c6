"""The plan of `config apply --restart`: what differs is applied, then the services whose pods read it get new pods."""

from collections.abc import Sequence

from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.configuration import reads
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import listed as what_runs
from runbooks.fleet.fleet import Fleet
from runbooks.kit.answers import read_time
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Step
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.planning import Changes, changes_in, plan_of
from runbooks.manifests.settings import ManifestSettings
from runbooks.release.region_by_region import baked
from runbooks.release.restarting import RestartService, plan_restart
from runbooks.release.steps import CheckRollout, Take
from runbooks.wording import by_count, listed


async def plan_config_apply_and_restart(
    cluster: ClusterClient,
    fleet: Fleet,
    github: GithubClient,
    environment: Environment,
    settings: ManifestSettings,
    version: str,
    *,
    places: Sequence[Place],
    take_over: bool = False,
    its_own: bool = False,
) -> Plan:
    """Return the plan: region by region what differs, then new pods of each service that reads it, and a check before the next region.

    A service whose pods are older than what the bot applied before gets new ones too, so that a run which ended in between can be tried again.
    """
    found = await changes_in(places, github, settings, version, take_over=take_over)
    plan = plan_of(found, environment, version, its_own=its_own)
    behind = dict(
        zip(
            (place.name for place in places),
            await side_by_side(*(_behind(each, found) for each in places)),
            strict=True,
        )
    )
    services = [each.name for each in environment.services if any(each.name in names for names in behind.values())]
    if not services:
        alone = (
            f"No service reads {listed(dict.fromkeys(each.target for each in found.steps))}, so nothing is restarted.",
        )
        return plan.model_copy(update={"notes": (*(alone if found.steps else ()), *plan.notes)})
    restarting = [await plan_restart(cluster, fleet, environment, name, places=places) for name in services]
    restarts = [step for each in restarting for step in each.steps if isinstance(step, RestartService)]
    steps: list[Step] = []
    for place in places:
        name = place.name
        own = [step for step in restarts if step.region == name and step.change.service in behind[name]]
        images = tuple(step.change for step in own)
        applied = [step for step in plan.steps if step.region == name]
        steps += [Take(region=name), *applied, *own, CheckRollout(images=images, region=name)] if own else applied
        if own and any(behind[later.name] for later in places[places.index(place) + 1 :]):
            steps += baked(place.region, images)
    what = f"Apply the configuration of {version} to {environment.name} and restart {listed(services)}"
    pods = f"The pods of {listed(services)} are older than the configuration that was applied. They are replaced."
    new = f"{listed(services)} {by_count(len(services), 'reads', 'read')} it and {by_count(len(services), 'gets', 'get')} new pods. Old ones serve until new ones are ready."
    return plan.model_copy(
        update={
            "title": what if found.steps else f"Restart {listed(services)} in {environment.name}",
            "steps": tuple(steps),
            "warnings": (*plan.warnings, *dict.fromkeys(each for one in restarting for each in one.warnings)),
            "notes": (new if found.steps else pods, *plan.notes),
        }
    )


async def _behind(place: Place, found: Changes) -> frozenset[str]:
    """Return the services there that read what is changed now, or what the bot wrote after their oldest pod had started.

    The oldest one that serves: a restart that hangs has new pods beside it.
    """
    changed = {step.target for step in found.steps if step.region == place.name}
    there = await what_runs(place.cluster, place.environment)
    own = await place.cluster.config_maps_written_by_bot(place.environment.namespace)
    before = [each for each in own if each.name in found.names and each.name not in changed]
    services = set()
    for service in place.environment.services:
        view = there.deployment(service)
        if view is None:
            continue
        owners = {each.uid for each in there.replica_sets if each.owner == view.uid}
        serving = (pod for pod in there.pods if pod.owner in owners and not pod.over and not pod.deleting)
        started = [read_time(pod.created) for pod in serving]
        oldest = min((each for each in started if each is not None), default=None)
        missed = {each.name for each in before if oldest is not None and oldest < each.at}
        if any(reads(view, name) for name in changed | missed):
            services.add(service.name)
    return frozenset(services)
