"""The plan of `scale` and its step: another number of pods of the image that runs, watched until they are ready."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.kubernetes.autoscalers import AutoscalerView
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Conflict, Unprocessable
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.deployments.images import usable
from runbooks.deployments.places import Place, named
from runbooks.deployments.service_state import RUN, ServiceState, annotation_path, with_record
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Pulse, Shown, Step, StepContext
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.timeouts import RolloutSettings
from runbooks.kit.waiting import side_by_side, unless_stopped
from runbooks.release import rollout_capacity, rollouts
from runbooks.release.last_good import change_of
from runbooks.release.plan_warnings import not_trusted, owned, undecided, unsettled
from runbooks.release.steps import Take
from runbooks.wording import capital, counted, listed

MOST = 100
"""Pods: more is a slip of the finger."""
_TRIES = 5
_KEPT = (
    "Deploys, rollbacks and `config apply` keep the number. A tool that applies the Deployment's own manifest "
    "(`kubectl apply`, Helm, a GitOps controller) sets it back, so change it there too."
)


class Scaled(Frozen):
    """One service after it got another number of pods."""

    before: int
    ready: int
    desired: int
    seconds: float
    already: bool
    """It had that number before this call (the step was killed and ran again)."""


class ScaleService(Step):
    """One service gets another number of pods."""

    kind: Literal["scale"] = "scale"
    change: ImageChange
    """From the image that it has to the same: what is watched."""
    before: int
    after: int
    decides: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.change.service

    @property
    def title(self) -> str:
        return f"{capital(self.change.service)} to {counted(self.after, 'pod')}{self.place}"

    @property
    def word(self) -> str:
        return self.change.named

    def changes(self) -> dict[str, JsonValue]:
        where = f"{self.change.namespace}/{self.change.deployment}"
        there: dict[str, JsonValue] = {"region": self.region} if self.region else {}
        return {"scales": where, "from": self.before, "to": self.after, **there}

    def shown(self) -> Shown:
        row = (
            Cell(text=self.change.named),
            Cell(text=counted(self.before, "pod")),
            Cell(text=counted(self.after, "pod"), strong=True),
            Cell(text=f"{self.change.after.short}, no change"),
        )
        return Shown(columns=("Service", "Now", "Next", "Image"), rows=(row,))

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=self.change.service, change=f"{self.before} → {counted(self.after, 'pod')}"),)

    def by_hand(self) -> tuple[str, ...]:
        kubectl, where = self.change.kubectl, f"deployment/{self.change.deployment} -n {self.change.namespace}"
        scale = f"{kubectl} scale --current-replicas={self.before} --replicas={self.after} {where}"
        return (f"{scale} && {kubectl} rollout status {where} --timeout=10m",)

    def replaces(self) -> dict[str, str | None]:
        return {self.change.service: self.change.before.tag}

    def goes_on(self) -> tuple[str, ...]:
        back = f"`scale {self.change.service} {self.before}` undoes it"
        return (f"Kubernetes continues to bring {self.change.named} to {counted(self.after, 'pod')}; {back}.",)

    def completes(self, approved: Step) -> bool:
        return (
            isinstance(approved, ScaleService)
            and (approved.key, approved.after) == (self.key, self.after)
            and self.before in (approved.before, approved.after)
        )

    async def apply(self, context: StepContext) -> Scaled:
        settings = context.use(RolloutSettings)
        return await unless_stopped(
            context.pulse, _scaled(context.pulse, context.use(ClusterClient), self, settings, context.environment)
        )


async def _scaled(
    pulse: Pulse, cluster: ClusterClient, step: ScaleService, settings: RolloutSettings, environment: Environment
) -> Scaled:
    began, change = time.monotonic(), step.change
    seen = await cluster.deployment(change.namespace, change.deployment)
    already = seen.desired == step.after
    left = await _set(pulse, cluster, step, seen)
    # Kubernetes' own deadline is for rollouts and says nothing of a number, so it is counted here
    deadline = min(settings.deadline_seconds, float(seen.progress_deadline))
    try:
        snapshot = await rollouts.until_complete(
            pulse, cluster, change, settings, since=None if already else left, deadline=deadline, pods="pods"
        )
    except RunbookError as error:
        error.advice = (*error.advice, _left(step, environment))
        raise
    now = snapshot.deployment
    if now.desired != step.after:
        raise _changed(step, now, "during the scaling")
    return Scaled(
        before=step.before,
        ready=sum(pod.ready for pod in snapshot.pods),
        desired=now.desired,
        seconds=round(time.monotonic() - began, 3),
        already=already,
    )


async def _set(pulse: Pulse, cluster: ClusterClient, step: ScaleService, seen: DeploymentView) -> DeploymentView:
    """Set the number on the condition that it is as the plan saw it and the run still holds the lease; return the Deployment."""
    for _ in range(_TRIES):
        _refuse(pulse.run, step, seen)
        if seen.desired == step.after:
            return seen
        patch: list[dict[str, object]] = [
            {"op": "test", "path": annotation_path(RUN), "value": pulse.run},
            {"op": "test", "path": "/spec/replicas", "value": seen.desired},
            {"op": "replace", "path": "/spec/replicas", "value": step.after},
        ]
        try:
            return await cluster.patch_deployment(step.change.namespace, step.change.deployment, patch)
        except (Unprocessable, Conflict) as error:
            now = await cluster.deployment(step.change.namespace, step.change.deployment)
            _refuse(pulse.run, step, now)
            if now.resource_version == seen.resource_version:
                raise PermanentError(
                    f"{step.change.service}: the cluster rejects the change",
                    code=ReasonCode.CLUSTER_REFUSED,
                    evidence=error.evidence,
                ) from error
            seen = now
    raise Conflict(f"Deployment {step.change.deployment} keeps changing.", code=ReasonCode.CHANGED_MEANWHILE)


def _refuse(run: str, step: ScaleService, seen: DeploymentView) -> None:
    """Raise where the run no longer holds the lease, or the number is neither the planned nor the wanted one."""
    holder = seen.annotations.get(RUN)
    if holder != run:
        raise PermanentError(
            f"{step.change.service}: another run ({holder}) replaced this run, so nothing was changed"
            if holder
            else f"{step.change.service}: the Deployment is not marked as this run's, so nothing was changed",
            code=ReasonCode.OVERTAKEN,
        )
    if seen.desired not in (step.before, step.after):
        raise _changed(step, seen, "after the plan was made")


def _changed(step: ScaleService, now: DeploymentView, when: str) -> PermanentError:
    return PermanentError(
        f"{step.change.service}: somebody else set the number of pods {when}",
        code=ReasonCode.CHANGED_MEANWHILE,
        evidence=(f"planned from {step.before} to {step.after}", f"now {now.desired}"),
        advice=("An autoscaler or a controller may do that: `resources` lists them. Then plan again.",),
    )


def _left(step: ScaleService, environment: Environment) -> str:
    """Return what stays as it is after a failure, and how it is taken back."""
    only = f" --region {step.region}" if step.region else ""
    pods = counted(step.after, "pod")
    return (
        f"{capital(step.change.named)} stays at {pods}: those that are ready serve, and Kubernetes goes on "
        f"trying the others. `scale {step.change.service} {step.before}{only} --env {environment.name}` undoes it."
    )


async def plan_scale(
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    service: str,
    number: int,
    *,
    places: Sequence[Place] = (),
    regions: Sequence[str] = (),
) -> Plan:
    """Return the plan: so many pods of the service, region by region where there are several.

    Raises PermanentError below the service's minimum, and where an autoscaler would take it back.
    """
    wanted = environment.service(service)
    if wanted is None:
        raise PermanentError(f"{environment.name} has no service {service}.", code=ReasonCode.NOT_CONFIGURED)
    _enough(wanted, number)
    chosen = named(places or (Place(environment, cluster),), regions)
    found, record, known = await asyncio.gather(
        side_by_side(*(_look(place, wanted, number) for place in chosen)),
        fleet.read(environment),
        fleet.known_releases(environment),
    )
    releases, _ = usable(known, environment.services)
    states = with_record([state for state, _ in found], releases)
    only = f" ({listed(regions)} only)" if regions else ""
    title = f"Scale {service} to {counted(number, 'pod')} in {environment.name}{only}"
    open_states = [state for state in states if state.desired != number or not state.runs_completely]
    if not open_states:
        return Plan(title=f"{service} already has {counted(number, 'pod')} in {environment.name}{only}. Nothing to do.")
    steps: list[Step] = []
    for state in open_states:
        if state.image is None:
            raise PermanentError(state.detail or f"{state.named} does not exist.", code=ReasonCode.NOT_FOUND)
        step = ScaleService(
            change=change_of(state, state.image), before=state.desired, after=number, region=state.region
        )
        steps += [Take(region=state.region), step]
    return Plan(
        title=title,
        steps=tuple(steps),
        unchanged=tuple(state.named for state in states if state not in open_states),
        warnings=(
            *undecided(record),
            *record.warnings,
            *(warning for _, warnings in found for warning in warnings),
            *_connections(wanted, number),
            *not_trusted(open_states),
            *owned(open_states),
            *unsettled(open_states),
        ),
        notes=(
            *_notes(open_states, number),
            _KEPT,
        ),
    )


def _enough(service: Service, number: int) -> None:
    least = max(1, service.min_replicas)
    if number < least:
        raise PermanentError(
            f"{service.name} needs at least {counted(least, 'pod')} (`min_replicas`), so it is not scaled to {number}.",
            code=ReasonCode.BELOW_MINIMUM,
            advice=(f"`scale {service.name} {least}` is the lowest.",),
        )


async def _look(place: Place, service: Service, number: int) -> tuple[ServiceState, list[str]]:
    """Return the service as it is there, and what people should know first. Raises PermanentError where an autoscaler is in the way."""
    states, scalers = await asyncio.gather(place.states(), _autoscalers(place, service))
    state = next(each for each in states if each.service == service.name)
    if state.paused:
        raise PermanentError(
            f"{state.named} is paused, so its pods can't be watched",
            code=ReasonCode.PAUSED,
            advice=(f"{state.kubectl} rollout resume deployment/{state.deployment} -n {state.namespace}",),
        )
    warnings = [scalers] if isinstance(scalers, str) else []
    for scaler in scalers if not isinstance(scalers, str) else ():
        if not (scaler.trouble and scaler.least <= number <= scaler.most):
            raise _autoscaled(place, state, scaler, number)
        warnings.append(
            f"Autoscaler {scaler.name} sets the number of {state.named}'s pods. It can't now ({scaler.trouble}), so this "
            f"number stays; once it can again, it sets the number, between {scaler.least} and {scaler.most}."
        )
    extra = number - state.desired
    # the limit of connections is a warning of its own
    plain = service.model_copy(update={"surge_limit": None})
    if extra > 0 and (why := await rollout_capacity.no_room_for(place.cluster, place.environment, plain, extra)):
        warnings.append(f"There may be no room for {counted(extra, 'more pod')} of {state.named}: {why}.")
    return state, warnings


async def _autoscalers(place: Place, service: Service) -> list[AutoscalerView] | str:
    """Return those of the service; a warning where they can't be read."""
    try:
        found = await place.cluster.autoscalers(place.environment.namespace)
    except RunbookError as error:
        return f"It is unknown whether an autoscaler undoes this: {error.message}"
    return [each for each in found if each.target == f"Deployment/{service.deployment}"]


def _autoscaled(place: Place, state: ServiceState, scaler: AutoscalerView, number: int) -> PermanentError:
    """Return the refusal with the autoscaler's value that decides, and the line that changes it."""
    up = number > state.desired
    values = {"minReplicas": number} if up else {"maxReplicas": number}
    if up and number > scaler.most:
        values["maxReplicas"] = number
    if not up and number < scaler.least:
        values["minReplicas"] = number
    patch = ",".join(f'"{name}":{value}' for name, value in values.items())
    line = (
        f"{place.environment.kubectl} patch hpa {scaler.name} -n {state.namespace} --patch '{{\"spec\":{{{patch}}}}}'"
    )
    return PermanentError(
        f"Autoscaler {scaler.name} sets the number of {state.named}'s pods, from {scaler.least} to {scaler.most} (now {state.desired}), "
        f"and would undo {number}. Change its {listed(values)} to {number} instead.",
        code=ReasonCode.AUTOSCALED,
        advice=(f"By hand: `{line}`.",),
    )


def _connections(service: Service, number: int) -> list[str]:
    if service.surge_limit is None or number <= service.surge_limit:
        return []
    limit = counted(service.surge_limit, "pod")
    said = f"{service.name}'s limit is {limit} at once (`surge_limit`), because each uses database connections, and this would be {number}."
    return [f"{said} `db pool` shows how many connections are left."]


def _notes(states: Sequence[ServiceState], number: int) -> list[str]:
    if any(state.desired < number for state in states):
        return ["Each new pod opens connections of its own to the database; `db pool` shows how many are left."]
    return ["Pods that are removed first finish their requests, within their grace period."]
