"""`restart`: new pods of the image that runs, as a step and as a plan."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.images import usable
from runbooks.deployments.places import Place, named
from runbooks.deployments.service_state import with_record
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Step, StepContext
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.steps import require_applied
from runbooks.release.last_good import change_of
from runbooks.release.plan_warnings import idle, not_trusted, owned, set_by_hand, undecided, unsettled
from runbooks.release.rollouts import RolloutResult
from runbooks.release.steps import CheckRollout, ServiceStep, Take
from runbooks.wording import capital, listed


class RestartService(ServiceStep):
    """One service gets new pods of the image that it has."""

    kind: Literal["restart"] = "restart"

    @property
    def title(self) -> str:
        return f"{capital(self.change.service)} restart{self.place}"

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(act="restart of", subject=self.change.service, change=f"on {self.change.after.tag or '?'}"),)

    def by_hand(self) -> tuple[str, ...]:
        where = f"deployment/{self.change.deployment} -n {self.change.namespace}"
        kubectl = self.change.kubectl
        return (f"{kubectl} rollout restart {where} && {kubectl} rollout status {where} --timeout=10m",)

    def goes_on(self) -> tuple[str, ...]:
        return (f"Kubernetes continues to restart {self.change.named}, on the same image.",)

    async def apply(self, context: StepContext) -> RolloutResult:
        # between the two steps the run may have been held for hours, and pods read what is there when they start
        await require_applied(context, self.region)
        result = await super().apply(context)
        await require_applied(context, self.region)
        return result


async def plan_restart(
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    service: str,
    *,
    places: Sequence[Place] = (),
    regions: Sequence[str] = (),
) -> Plan:
    """New pods of the image that the service asks for now, region by region where there are several."""
    found, record, known = await asyncio.gather(
        side_by_side(*(place.states() for place in named(places or (Place(environment, cluster),), regions))),
        fleet.read(environment),
        fleet.known_releases(environment),
    )
    states = with_record([state for each in found for state in each], usable(known, environment.services)[0])
    chosen = [state for state in states if state.service == service]
    steps: list[Step] = []
    for state in chosen:
        if state.image is None:
            raise PermanentError(state.detail or f"{state.named} does not exist.", code=ReasonCode.NOT_FOUND)
        change, where = change_of(state, state.image), state.region
        steps += [
            Take(region=where),
            RestartService(change=change, cause=f"restart {service}", region=where),
            CheckRollout(images=(change,), region=where),
        ]
    only = f" ({listed(regions)} only)" if regions else ""
    return Plan(
        title=f"Restart {service} in {environment.name}{only}",
        steps=tuple(steps),
        warnings=(
            *undecided(record),
            *not_trusted(chosen),
            *record.warnings,
            *set_by_hand(chosen),
            *owned(chosen),
            *idle(chosen),
            *unsettled(chosen),
        ),
        notes=("The image does not change. Old pods serve until new ones are ready.",),
    )
