"""Whether there is room for all new pods of a service beside the old ones, so that going back takes one start-up time.

Three may say no: the service's own limit in the configuration (each pod holds connections to the database), the namespace's
ResourceQuotas, and the nodes (what is allocatable without what is requested already). What can't be looked at is taken for no
room, and said. Services are looked at in order: the second has what the first leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import (
    ContainerSpec,
    DeploymentView,
    NodeView,
    PodView,
    QuotaView,
    ReplicaSetView,
)
from runbooks.deployments.service_state import same_digest
from runbooks.diagnosis.quantities import amount, asked
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import ImageChange, Wave
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Service
from runbooks.release import max_surge
from runbooks.wording import counted

PATIENCE = 2.0
"""Seconds: going back does not wait for longer to know whether it can be faster."""
_KEEPS_OFF = ("NoSchedule", "NoExecute")
_HOUSEKEEPING = ("cpu", "memory", "ephemeral-storage")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Need:
    """What one new pod takes."""

    requests: Mapping[str, float]
    limits: Mapping[str, float]
    tolerations: Sequence[Mapping[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def counted(self, resource: str) -> float | None:
        """Return the amount as a quota counts it; None for a resource that is not about pods."""
        if resource in ("pods", "count/pods"):
            return 1.0
        if resource.startswith("limits."):
            return self.limits.get(resource.removeprefix("limits."), 0.0)
        name = resource.removeprefix("requests.")
        return self.requests.get(name, 0.0) if name != resource or name in _HOUSEKEEPING else None


@dataclass(slots=True)
class _Free:
    """What is left of one node or quota."""

    name: str
    left: dict[str, float]
    node: NodeView | None = None
    scopes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What was looked at, or why it could not be."""

    deployments: Mapping[str, DeploymentView]
    sets: Sequence[ReplicaSetView]
    pods: Sequence[PodView]
    quotas: list[_Free] | str
    nodes: list[_Free] | str


async def waves(
    cluster: ClusterClient, environment: Environment, changes: Sequence[ImageChange], *, patience: float = PATIENCE
) -> list[Wave]:
    """Return how each service can be replaced now, with quotas and nodes as far as they answer within `patience` seconds.

    Raises `RunbookError` where not even its pods can be read.
    """
    seen = await _seen(cluster, environment.namespace, patience)
    return [_wave(seen, change, environment.service(change.service)) for change in changes]


def told(waves: Sequence[Wave]) -> list[str]:
    """Return how the pods are replaced, in sentences for a plan."""
    raised = [wave for wave in waves if wave.how == "raised"]
    said = []
    if raised:
        more = ", ".join(f"{wave.service} {wave.extra} more" for wave in raised)
        word = " ".join(f"{wave.service}: {wave.why}." for wave in raised if wave.why)
        said.append(
            f"One wave: all new pods start at once ({more}), so `maxSurge` is raised to 100 % and restored afterwards. "
            f"Meanwhile twice as many pods use connections.{f' {word}' if word else ''}"
        )
    return [*said, *(slow for wave in waves if (slow := by_own_strategy(wave)))]


def by_own_strategy(wave: Wave) -> str:
    """Return why a service does not go in one wave; empty where it does."""
    if wave.how == "own":
        own = f" (maxSurge {wave.own})" if wave.own else ""
        return f"{wave.service} uses its Deployment's own strategy{own} instead of one wave: {wave.why}."
    if wave.how == "recreated":
        return f"{wave.service} is recreated, as its Deployment requires: the old pods end before new ones start, and nothing serves meanwhile."
    return ""


async def no_room_for(cluster: ClusterClient, environment: Environment, service: Service, extra: int) -> str:
    """Return why there is no capacity for so many more pods of the service, or could not be looked at; empty where there is."""
    seen = await _seen(cluster, environment.namespace, PATIENCE)
    deployment = seen.deployments.get(service.deployment)
    if deployment is None:
        return "its Deployment does not exist"
    there = _pods_of_any_version(seen, deployment)
    peak = sum(not pod.deleting for pod in there) + extra
    why, word = _no_room(seen, service, _need(deployment, there), extra, peak)
    return why or word


async def _seen(cluster: ClusterClient, namespace: str, patience: float) -> _Seen:
    deployments, sets, pods, quotas, nodes = await asyncio.gather(
        cluster.deployments(namespace),
        cluster.replica_sets(namespace),
        cluster.pods(namespace),
        _looked(lambda: _quotas(cluster, namespace), "resource quotas", patience),
        _looked(lambda: _nodes(cluster), "nodes", patience),
    )
    return _Seen({view.name: view for view in deployments}, sets, pods, quotas, nodes)


async def _looked(look: Callable[[], Awaitable[T]], what: str, patience: float) -> T | str:
    try:
        async with asyncio.timeout(patience):
            return await look()
    except TimeoutError:
        return f"the cluster did not report the capacity of its {what} within {patience:g} s"
    except RunbookError as error:
        refused = error.code is ReasonCode.CLUSTER_REFUSED
        return f"the bot can't read {what}" if refused else f"the cluster does not report its {what}"


async def _quotas(cluster: ClusterClient, namespace: str) -> list[_Free]:
    return [_left_of(quota) for quota in await cluster.quotas(namespace)]


def _left_of(quota: QuotaView) -> _Free:
    left = {name: amount(hard) - amount(quota.used.get(name, 0)) for name, hard in quota.hard.items()}
    return _Free(f"quota {quota.name}", left, scopes=quota.scopes)


async def _nodes(cluster: ClusterClient) -> list[_Free]:
    nodes, pods = await asyncio.gather(cluster.nodes(), cluster.pods_everywhere())
    on: dict[str, list[PodView]] = {}
    for pod in pods:
        on.setdefault(pod.node, []).append(pod)
    return [_room_of(node, on.get(node.name, ())) for node in nodes if node.ready and not node.cordoned]


def _room_of(node: NodeView, pods: Sequence[PodView]) -> _Free:
    left = {name: amount(text) - sum(asked(pod, name) for pod in pods) for name, text in node.allocatable.items()}
    left["pods"] = amount(node.allocatable.get("pods", 0)) - len(pods)
    return _Free(node.name, left, node)


def _wave(seen: _Seen, change: ImageChange, service: Service | None) -> Wave:
    deployment = seen.deployments.get(change.deployment)
    if deployment is None or service is None:
        return Wave(service=change.service, how="own", why="its Deployment does not exist")
    if deployment.strategy == "Recreate":
        return Wave(service=change.service, how="recreated", extra=deployment.desired)
    own = max_surge.own(deployment)
    pods, there = _pods(seen, deployment, change)
    extra = max(0, deployment.desired - there)
    wave = Wave(service=change.service, how="enough", extra=extra, own=str(own))
    if extra <= deployment.surge(own):
        return wave
    need = _need(deployment, pods)
    there_then = sum(not pod.deleting for pod in pods) + extra  # as Kubernetes counts a surge: without those that end
    why, word = _no_room(seen, service, need, extra, there_then)
    if why:
        return wave.model_copy(update={"how": "own", "why": why})
    _take(seen, need, extra)
    return wave.model_copy(update={"how": "raised", "why": word})


def _pods(seen: _Seen, deployment: DeploymentView, change: ImageChange) -> tuple[list[PodView], int]:
    """Return the Deployment's pods, and how many of them are of the new version already (a rollout that hangs leaves old ones)."""
    own = {each.uid: each for each in seen.sets if each.owner == deployment.uid}
    pods = _pods_of_any_version(seen, deployment)
    if change.restarts:
        return pods, 0
    asked_for = {
        uid for uid, each in own.items() if same_digest(each.image(change.container) or "", change.after.reference)
    }
    return pods, sum(pod.owner in asked_for and not pod.deleting for pod in pods)


def _pods_of_any_version(seen: _Seen, deployment: DeploymentView) -> list[PodView]:
    own = {each.uid for each in seen.sets if each.owner == deployment.uid}
    return [pod for pod in seen.pods if pod.owner in own and not pod.over]


def _need(deployment: DeploymentView, pods: Sequence[PodView]) -> _Need:
    """Return what a pod needs, as an existing one was admitted: a LimitRange may have added what the Deployment leaves out."""
    model = next(iter(pods), None)
    containers = model.asked if model is not None else deployment.containers
    names = {name for each in containers for name in each.requests}
    return _Need(
        requests={name: asked(model, name) if model is not None else _sum(containers, name) for name in names},
        limits=_limits(containers),
        tolerations=model.tolerations if model is not None else (),
        labels=model.wanted_labels if model is not None else {},
    )


def _sum(containers: Sequence[ContainerSpec], name: str) -> float:
    return sum(amount(each.requests.get(name, 0)) for each in containers)


def _limits(containers: Sequence[ContainerSpec]) -> dict[str, float]:
    names = {name for each in containers for name in each.limits}
    return {name: sum(amount(each.limits.get(name, 0)) for each in containers) for name in names}


def _no_room(seen: _Seen, service: Service, need: _Need, extra: int, peak: int) -> tuple[str, str]:
    """Return why there is no capacity, or nothing; and the source, where the nodes could not be asked."""
    limit = service.surge_limit
    if limit is not None and peak > limit:
        return f"its limit is {counted(limit, 'pod')} at once, and this would be {peak}", ""
    if isinstance(seen.quotas, str):
        return seen.quotas, ""
    for quota in seen.quotas:
        for name, left in quota.left.items() if _concerns(quota, need) else ():
            each = need.counted(name)
            if each and (few := _pods_of(left, each)) < extra:
                return f"{quota.name} has room for {few} more ({name}), and this needs {extra}", ""
    if isinstance(seen.nodes, str):
        # Who limits the pods in the configuration says with it that so many may be there.
        return (
            (seen.nodes, "")
            if limit is None
            else ("", f"{seen.nodes}, so only its limit of {counted(limit, 'pod')} counts")
        )
    room = sum(_fits(node, need) for node in seen.nodes)
    return (f"the nodes have room for {room} more, and this needs {extra}", "") if room < extra else ("", "")


def _concerns(quota: _Free, need: _Need) -> bool:
    """Return whether the quota applies; one whose scope can't be judged here does, since slow is better than refused."""
    best_effort = not need.requests and not need.limits
    if "Terminating" in quota.scopes or ("BestEffort" in quota.scopes and not best_effort):
        return False
    return not ("NotBestEffort" in quota.scopes and best_effort)


def _pods_of(left: float, each: float) -> int:
    return max(0, int(left / each + 1e-6))  # thirds of a cpu do not add up exactly


def _fits(node: _Free, need: _Need) -> int:
    """Return how many of these pods the node could take."""
    seen = node.node
    assert seen is not None, "made from a node"
    if any(taint.effect in _KEEPS_OFF and not taint.tolerated(need.tolerations) for taint in seen.taints):
        return 0
    if any(seen.labels.get(name) != value for name, value in need.labels.items()):
        return 0
    wanted = {**{name: each for name, each in need.requests.items() if each}, "pods": 1.0}
    return min(_pods_of(node.left.get(name, 0.0), each) for name, each in wanted.items())


def _take(seen: _Seen, need: _Need, extra: int) -> None:
    """Subtract what this service will use from what is left for the next one."""
    for quota in seen.quotas if not isinstance(seen.quotas, str) else ():
        for name in quota.left:
            quota.left[name] -= extra * (need.counted(name) or 0.0)
    left = extra
    for node in seen.nodes if not isinstance(seen.nodes, str) else ():
        here = min(left, _fits(node, need))
        for name, each in {**need.requests, "pods": 1.0}.items():
            node.left[name] = node.left.get(name, 0.0) - here * each
        left -= here
