"""CPU and memory that pods and nodes use, beside what is requested and the limit; what is not measured is unknown, never zero."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Literal

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Forbidden
from runbooks.clients.kubernetes.views import ContainerSpec, NodeView, PodView, UsageView
from runbooks.diagnosis.quantities import amount, asked
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Frozen

NEAR = 0.8
"""From this share of a limit on, a pod or a node is near it."""
FULL = 0.95
"""From this share of what a node can give on, it has no room for most pods, however little is used of it."""
_GROUP = "metrics.k8s.io"
_RESOURCES: tuple[Literal["cpu", "memory"], ...] = ("cpu", "memory")


class Amount(Frozen):
    """One resource of one pod or node: cores, or bytes."""

    used: float | None = None
    """None where it was not measured."""
    requested: float | None = None
    limit: float | None = None
    """None where nothing bounds it."""
    share: float | None = None
    """Of the limit: that of the container that is nearest to its own."""

    @property
    def full(self) -> bool:
        """Whether nearly all of the limit is requested."""
        return bool(self.limit) and (self.requested or 0.0) >= FULL * (self.limit or 0.0)

    @property
    def near(self) -> bool:
        """Whether it is near its limit."""
        return self.share is not None and self.share >= NEAR


class ResourceUsage(Frozen):
    """A pod or a node."""

    name: str
    region: str = ""
    """Where the environment has several."""
    cpu: Amount
    memory: Amount
    restarts: int | None = None
    """None for a node."""
    detail: str = ""
    """Why it does not run as it should, where it doesn't."""

    @property
    def measured(self) -> bool:
        """Whether anything of it was measured."""
        return self.cpu.used is not None or self.memory.used is not None

    @property
    def share(self) -> float:
        """Of the limit that it is nearest to; below zero where nothing is known of one."""
        return max((each.share for each in (self.cpu, self.memory) if each.share is not None), default=-1.0)


class Top(Frozen):
    """What is used in one cluster."""

    lines: tuple[ResourceUsage, ...]
    """The nearest to a limit first."""
    unknown: str = ""
    """A sentence that says why nothing was measured, where nothing was."""


async def top_pods(cluster: ClusterClient, environment: Environment, service: str | None = None) -> Top:
    """Return the pods of one service, or all of the namespace, that have not ended."""
    namespace = environment.namespace
    (measured, unknown), pods = await asyncio.gather(
        measured_by_name(cluster, cluster.usage_of_pods(namespace)), _pods(cluster, environment, service)
    )
    lines = [_pod(pod, measured.get(pod.name, {}), environment.region) for pod in pods if not pod.over]
    return Top(lines=_ordered(lines), unknown=unknown)


async def top_nodes(cluster: ClusterClient, region: str = "") -> Top:
    """Return all nodes; their limit is what they can give to pods."""
    (measured, unknown), nodes, pods = await asyncio.gather(
        measured_by_name(cluster, cluster.usage_of_nodes()), cluster.nodes(), pods_or_unknown(cluster)
    )
    return Top(
        lines=_ordered([node_usage(node, measured.get(node.name, {}), pods, region) for node in nodes]), unknown=unknown
    )


async def _pods(cluster: ClusterClient, environment: Environment, service: str | None) -> list[PodView]:
    found = environment.service(service) if service else None
    if found is None:
        return await cluster.pods(environment.namespace)
    return await cluster.pods_of(await cluster.deployment(environment.namespace, found.deployment))


async def pods_or_unknown(cluster: ClusterClient) -> list[PodView] | None:
    """None without the permission: then what is requested on a node is unknown."""
    try:
        return await cluster.pods_everywhere()
    except RunbookError:
        return None


async def measured_by_name(
    cluster: ClusterClient, reading: Awaitable[list[UsageView]]
) -> tuple[dict[str, Mapping[str, Mapping[str, str]]], str]:
    """Return what was measured by name, or nothing and why."""
    try:
        return {each.name: each.parts for each in await reading}, ""
    except RunbookError as error:
        return {}, await _why(cluster, error)


async def _why(cluster: ClusterClient, error: RunbookError) -> str:
    """Return the sentence. A cluster without the API answers with a page or a refusal, so its list of APIs is asked."""
    try:
        served = _GROUP in await cluster.api_groups()
    except RunbookError:
        served = True
    if not served:
        return (
            f"The cluster has no metrics API ({_GROUP}): metrics-server is not installed, so what is used is unknown."
        )
    if isinstance(error, Forbidden):
        return f"The bot has no permission to read the metrics API ({_GROUP}), so what is used is unknown. Apply `deploy/roles.yml`."
    return f"The metrics API ({_GROUP}) does not answer, so what is used is unknown: {error.message}"


def _pod(pod: PodView, parts: Mapping[str, Mapping[str, str]], region: str) -> ResourceUsage:
    cpu, memory = (_of_pod(pod, parts, resource) for resource in _RESOURCES)
    waits = pod.unschedulable or next((each.reason for each in pod.containers if each.reason and not each.ready), "")
    detail = "Terminating" if pod.deleting else "" if pod.ready else waits or pod.phase
    return ResourceUsage(name=pod.name, region=region, cpu=cpu, memory=memory, restarts=pod.restarts, detail=detail)


def _of_pod(pod: PodView, parts: Mapping[str, Mapping[str, str]], resource: str) -> Amount:
    used = {each.name: _quantity(parts.get(each.name, {}), resource) for each in pod.asked}
    limits = {each.name: _quantity(each.limits, resource) for each in pod.asked}
    shares = (_share(used[each], limits[each]) for each in used)
    return Amount(
        used=_sum(used.values()),
        requested=asked(pod, resource) if _requests(pod.asked, resource) else None,
        limit=_sum(limits.values()),
        share=max((each for each in shares if each is not None), default=None),
    )


def _requests(containers: Iterable[ContainerSpec], resource: str) -> bool:
    return any(resource in each.requests for each in containers)


def node_usage(
    node: NodeView, parts: Mapping[str, Mapping[str, str]], pods: Sequence[PodView] | None, region: str
) -> ResourceUsage:
    """Return what is used of a node, requested on it and allocatable; `pods`: all of the cluster, None where that is unknown."""

    def of(resource: str) -> Amount:
        used, limit = _quantity(parts.get("", {}), resource), _quantity(node.allocatable, resource)
        requested = None if pods is None else sum(asked(pod, resource) for pod in pods if pod.node == node.name)
        return Amount(used=used, requested=requested, limit=limit, share=_share(used, limit))

    cpu, memory = (of(resource) for resource in _RESOURCES)
    detail = "not ready" if not node.ready else "cordoned" if node.cordoned else ""
    return ResourceUsage(name=node.name, region=region, cpu=cpu, memory=memory, detail=detail)


def _quantity(found: Mapping[str, str], resource: str) -> float | None:
    """Return the number; None for one that is missing or can't be read."""
    written = found.get(resource, "")
    number = amount(written)
    return number if number or written.startswith("0") else None


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum; None where one of them is not known, since the rest would look like all."""
    found = list(values)
    known = [each for each in found if each is not None]
    return sum(known) if known and len(known) == len(found) else None


def _share(used: float | None, limit: float | None) -> float | None:
    return used / limit if used is not None and limit else None


def _ordered(lines: Sequence[ResourceUsage]) -> tuple[ResourceUsage, ...]:
    return tuple(sorted(lines, key=lambda each: (-each.share, -(each.memory.used or 0.0), each.name)))
