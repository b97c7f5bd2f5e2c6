"""How an environment stands, for who only looks: each service's state, and the cause where one is not well.

The causes are those that a rollout is told of (`failures`), read out of one look at the cluster.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import DeploymentView, EventView, PodView
from runbooks.deployments import images, service_state
from runbooks.deployments.service_state import Listed, ServiceState
from runbooks.diagnosis import Cause, Snapshot, clean
from runbooks.diagnosis import standing as cause_of
from runbooks.diagnosis.snapshot import snapshot_of
from runbooks.fleet.records import KnownReleases, Release
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.wording import part_of

_YOUNG = 30.0
"""Seconds that a pod may take until it is worth a word; the same as for a rollout's explanations."""


class ServiceHealth(Frozen):
    """One service."""

    state: ServiceState
    trouble: str = ""
    """The cause, in words, with Kubernetes' own behind it; redacted."""
    broken: bool = False
    """No waiting will mend it."""
    lacks_room: bool = False
    """No node takes more pods of the version that runs already: another version would change nothing about that."""

    @property
    def well(self) -> bool:
        return self.state.state == "complete" and not (self.state.idle or self.state.mixed or self.state.foreign)

    @property
    def bad(self) -> bool:
        """It needs somebody now, unlike a rollout, a pause or what somebody scaled to 0."""
        return not self.well and (self.broken or self.state.state in ("degraded", "stuck", "missing"))


async def look(
    cluster: ClusterClient, environment: Environment, known: Callable[[], Awaitable[KnownReleases]] | None = None
) -> list[ServiceHealth]:
    """Return every service of the environment, in its order; events are asked for only where something is not well.

    `known` says who set what runs, and is called once the cluster has answered; without it nobody is named.
    """
    found = await service_state.listed(cluster, environment)
    services = service_state.read(environment, found, await _usable(environment, known))
    events: Sequence[EventView] = ()
    if any(service.state != "complete" for service in services):
        events = await _events(cluster, environment)
    return of(environment, found, services, events)


def of(
    environment: Environment, found: Listed, services: Sequence[ServiceState], events: Sequence[EventView]
) -> list[ServiceHealth]:
    """The same, of what was asked already."""
    pairs = zip(environment.services, services, strict=True)
    return [_standing(service, state, found, events) for service, state in pairs]


async def _usable(environment: Environment, known: Callable[[], Awaitable[KnownReleases]] | None) -> Sequence[Release]:
    try:
        return images.usable(await known(), environment.services)[0] if known is not None else ()
    except RunbookError:
        return ()


async def _events(cluster: ClusterClient, environment: Environment) -> Sequence[EventView]:
    """Without them there are fewer causes, and still an answer."""
    try:
        return await cluster.events(environment.namespace)
    except RunbookError:
        return ()


def _standing(service: Service, state: ServiceState, found: Listed, events: Sequence[EventView]) -> ServiceHealth:
    deployment = found.deployment(service)
    if state.foreign:
        return ServiceHealth(state=state, trouble=clean(state.foreign.partition(": ")[2]), broken=True)
    if state.idle:
        return ServiceHealth(state=state, trouble="it is scaled to 0 replicas, so no pods run")
    if state.state == "complete" and state.mixed:
        others = ", ".join(f"{each.named} {each.image.short}" for each in state.mixed)
        return ServiceHealth(state=state, trouble=f"its containers have different images: {others}")
    if deployment is None or state.image is None or state.state == "complete":
        return ServiceHealth(state=state, trouble=clean(state.detail), broken=state.state == "missing")
    snapshot = snapshot_now(state, state.image, deployment, found, events)
    cause = cause_of(snapshot)
    if cause is None or not (cause.certain or is_old(snapshot)):
        return ServiceHealth(state=state, trouble=clean(state.detail), broken=state.state == "stuck")
    return ServiceHealth(
        state=state,
        trouble=f"{_whose(snapshot)}{_words(cause)}",
        broken=cause.certain or state.state == "stuck",
        lacks_room=cause.code is ReasonCode.UNSCHEDULABLE
        and not snapshot.others
        and any(pod.ready for pod in snapshot.pods),
    )


def trouble_of(pod: PodView, service: Service, state: ServiceState, found: Listed, events: Sequence[EventView]) -> str:
    """What is wrong with one pod, in words; empty where nothing is."""
    deployment = found.deployment(service)
    if deployment is None or state.image is None or pod.ready or pod.over:
        return ""
    snapshot = replace(snapshot_now(state, state.image, deployment, found, events), pods=[pod], others=(), leaving=())
    cause = cause_of(snapshot)
    return _words(cause) if cause is not None and (cause.certain or is_old(snapshot)) else ""


def snapshot_now(
    state: ServiceState, image: Image, deployment: DeploymentView, found: Listed, events: Sequence[EventView]
) -> Snapshot:
    """As a rollout to what runs already would see it."""
    as_it_is = ImageChange(
        service=state.service,
        namespace=state.namespace,
        deployment=state.deployment,
        container=state.container,
        before=image,
        after=image,
    )
    return snapshot_of(as_it_is, deployment, found.replica_sets, found.pods, events)


def _words(cause: Cause) -> str:
    said = f": {clean(cause.said[0])}" if cause.said and cause.said[0] not in cause.what else ""
    return f"{clean(cause.what)}{said}"


def is_old(snapshot: Snapshot) -> bool:
    """Something has not been ready for long enough to be worth a word."""
    waiting = [pod for pod in snapshot.pods if not pod.ready]
    return not waiting or max(snapshot.seconds_since(pod.created) for pod in waiting) >= _YOUNG


def _whose(snapshot: Snapshot) -> str:
    """How many of the pods it is about."""
    late = sum(not pod.ready for pod in snapshot.pods)
    return f"{part_of(late, len(snapshot.pods), 'new pod' if snapshot.others else 'pod')}: " if late else ""
