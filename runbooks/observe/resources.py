"""What is in an environment's namespace, kind by kind, with how ready each thing is: `kubectl get all`, grouped and bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from runbooks.clients.kubernetes.autoscalers import AutoscalerView
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobView
from runbooks.clients.kubernetes.services import EndpointsView, ServiceView
from runbooks.clients.kubernetes.views import DeploymentView, PodView, ReplicaSetView
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Frozen
from runbooks.observe.pods import age_of
from runbooks.wording import counted

V = TypeVar("V")


class Resource(Frozen):
    """One thing."""

    name: str
    state: str
    """In a few words: `3/3 ready`."""
    well: bool
    age: str = ""


class ResourcesOfKind(Frozen):
    """All things of one kind; those that are not well first."""

    kind: str
    """`Deployment`."""
    region: str = ""
    """Where the environment has several."""
    found: tuple[Resource, ...] = ()
    unknown: str = ""
    """A sentence that says why nothing is known of them, where nothing is."""
    left_out: int = 0
    """How many are left out because nothing of them runs any more."""


async def resources(cluster: ClusterClient, environment: Environment) -> list[ResourcesOfKind]:
    """Return each kind. One that can't be read says why, and the others are still there. Raises RunbookError if none can be read."""
    namespace = environment.namespace
    found: dict[str, ResourcesOfKind | RunbookError] = dict(
        zip(
            ("Deployment", "Pod", "ReplicaSet", "Service", "Job", "Autoscaler"),
            await asyncio.gather(
                _kind("Deployment", cluster.deployments(namespace), _deployment),
                _kind("Pod", cluster.pods(namespace), _pod, lambda pod: pod.over),
                _kind(
                    "ReplicaSet", cluster.replica_sets(namespace), _replica_set, lambda it: not (it.total or it.desired)
                ),
                _kind("Service", _services(cluster, namespace), _service),
                _kind("Job", cluster.jobs.every(namespace), _job),
                _kind("Autoscaler", cluster.autoscalers(namespace), _autoscaler),
            ),
            strict=True,
        )
    )
    errors = [each for each in found.values() if isinstance(each, RunbookError)]
    if len(errors) == len(found):
        raise errors[0]
    kinds = (
        each
        if isinstance(each, ResourcesOfKind)
        else ResourcesOfKind(kind=name, unknown=f"{name}s are unknown: {each.message}")
        for name, each in found.items()
    )
    return [each.model_copy(update={"region": environment.region}) for each in kinds]


async def _kind(
    kind: str,
    reading: Awaitable[Sequence[V]],
    read: Callable[[V], Resource],
    is_over: Callable[[V], bool] = lambda _: False,
) -> ResourcesOfKind | RunbookError:
    try:
        every = await reading
    except RunbookError as error:
        return error
    found = [read(each) for each in every if not is_over(each)]
    ordered = sorted(found, key=lambda each: (each.well, each.name))
    return ResourcesOfKind(kind=kind, found=tuple(ordered), left_out=len(every) - len(found))


class _Backed(NamedTuple):
    service: ServiceView
    ready: int | None
    """How many pods serve it; None where that is not known."""


async def _services(cluster: ClusterClient, namespace: str) -> list[_Backed]:
    services, endpoints = await asyncio.gather(cluster.services(namespace), _endpoints(cluster, namespace))
    if endpoints is None:
        return [_Backed(each, None) for each in services]
    ready = {each.name: len(each.ready) for each in endpoints}
    return [_Backed(each, ready.get(each.name, 0)) for each in services]


async def _endpoints(cluster: ClusterClient, namespace: str) -> list[EndpointsView] | None:
    try:
        return await cluster.every_endpoints(namespace)
    except RunbookError:
        return None


def _deployment(each: DeploymentView) -> Resource:
    well = each.rolled_out and each.ready >= each.desired
    state = f"{each.ready}/{each.desired} ready" + (", paused" if each.paused else "")
    if each.past_deadline:
        state += ", no progress"
    elif not each.rolled_out:
        state += ", rolling out"
    return Resource(name=each.name, state=state, well=well, age=age_of(each.created))


def _pod(each: PodView) -> Resource:
    waits = each.unschedulable or next((one.reason for one in each.containers if one.reason and not one.ready), "")
    state = "Terminating" if each.deleting else "ready" if each.ready else waits or each.phase
    restarts = f", restarts: {each.restarts}" if each.restarts else ""
    return Resource(
        name=each.name, state=state + restarts, well=each.ready and not each.deleting, age=age_of(each.created)
    )


def _replica_set(each: ReplicaSetView) -> Resource:
    return Resource(
        name=each.name,
        state=f"{each.ready}/{each.desired} ready",
        well=each.ready >= each.desired,
        age=age_of(each.created),
    )


def _service(backed: _Backed) -> Resource:
    each, ready = backed
    about = f"{each.type} {', '.join(str(port.port) for port in each.ports)}".strip()
    age, outside = age_of(each.created), each.type == "ExternalName"
    if not outside:
        about += ", endpoints unknown" if ready is None else f", {ready} ready behind it"
    return Resource(name=each.name, state=about, well=outside or ready != 0, age=age)


def _job(each: JobView) -> Resource:
    state = each.ended or ("suspended" if each.suspended else f"running, {each.active} active")
    if each.ended == "failed" and each.reason:
        state += f" ({each.reason})"
    return Resource(name=each.name, state=state, well=each.ended != "failed", age=age_of(each.created))


def _autoscaler(each: AutoscalerView) -> Resource:
    state = f"{each.target}: {counted(each.current, 'replica')}, between {each.least} and {each.most}"
    if each.trouble:
        return Resource(name=each.name, state=f"{state}, {each.trouble}", well=False, age=age_of(each.created))
    at_most = each.current >= each.most
    return Resource(
        name=each.name,
        state=state + (", at its maximum" if at_most else ""),
        well=not at_most,
        age=age_of(each.created),
    )
