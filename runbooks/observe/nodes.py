"""The nodes of a cluster: whether each is ready, under pressure, cordoned or tainted, of which version, and how full. What is wrong comes first."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Forbidden
from runbooks.clients.kubernetes.views import Condition, NodeView, PodView
from runbooks.diagnosis.quantities import amount
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Frozen
from runbooks.observe import events, pods
from runbooks.observe.events import EventGroup
from runbooks.observe.pods import PodLine
from runbooks.observe.usage import ResourceUsage, measured_by_name, node_usage, pods_or_unknown
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted, shortened

_LONGEST = 200
_NEAR = 0.9
"""From this share of the pods that a node takes on, it is nearly full."""
_KEEPS_OFF = ("NoSchedule", "NoExecute")
_OWN_TAINTS = "node.kubernetes.io/"
"""Taints that Kubernetes sets itself, from conditions that are told already."""
_GOOD_WHEN_TRUE = re.compile(r".*Ready|EtcdIsVoter")
"""Of all other conditions, also those of a node problem detector, True means trouble."""
_PRESSURE = {
    "MemoryPressure": "is short of memory, so pods are evicted from it",
    "DiskPressure": "has a disk that is nearly full, so pods are evicted from it and images removed",
    "PIDPressure": "has nearly no process ids left, so pods are evicted from it",
    "NetworkUnavailable": "has no network for pods",
}
_VERSION = re.compile(r"v?([1-9][0-9]{0,2})\.([0-9]{1,3})", re.ASCII)
"""Not `v0.0.0-master`, as a control plane that somebody built names itself."""
_SKEW, _SKEW_BEFORE, _SINCE = 3, 2, (1, 28)
"""Minor versions that a kubelet may be older than its control plane, from 1.28 on and before."""


class Problem(Frozen):
    """One thing that is wrong with a node."""

    code: str
    """`not-ready`, `pressure`, `condition`, `cordoned`, `version`, `full`."""
    what: str
    """The end of a sentence that begins with the node's name: `is not ready`."""
    said: str = ""
    """Kubernetes' own words."""
    since: str = ""
    """Since when (ISO 8601), where that is known."""
    serious: bool = True
    """Pods suffer from it; else it is worth knowing."""


class NodeCondition(Frozen):
    """One of a node's conditions."""

    type: str
    status: str
    reason: str
    said: str
    since: str


class NodeState(Frozen):
    """One node as it is now."""

    name: str
    region: str = ""
    """Where the environment has several."""
    ready: bool
    cordoned: bool
    problems: tuple[Problem, ...] = ()
    """The worst first."""
    taints: tuple[str, ...] = ()
    """Those that somebody set and that keep pods off: `dedicated=batch:NoSchedule`."""
    kubelet: str = ""
    zone: str = ""
    machine: str = ""
    """Its instance type."""
    created: str = ""
    pods: int | None = None
    """None where the bot may not list the pods of other namespaces."""
    own_pods: int = 0
    """Of this environment's namespace."""
    most_pods: int | None = None
    usage: ResourceUsage
    conditions: tuple[NodeCondition, ...] = ()
    """Those that say that something is wrong first."""

    @property
    def wrong(self) -> bool:
        """Whether pods suffer."""
        return any(each.serious for each in self.problems)

    @property
    def named(self) -> str:
        """`node-1`, or `node-1 in us` where there are regions."""
        return f"{self.name} in {self.region}" if self.region else self.name


class ClusterNodesView(Frozen):
    """The nodes of one cluster."""

    nodes: tuple[NodeState, ...]
    """What is wrong first."""
    version: str = ""
    """The control plane's; empty where it is not known."""
    unknown: tuple[str, ...] = ()
    """What could not be checked, in sentences."""


class OneNode(Frozen):
    """One node with its pods and its last events."""

    node: NodeState
    version: str = ""
    own: tuple[PodLine, ...] = ()
    """The environment's pods on it."""
    others: tuple[tuple[str, int], ...] = ()
    """Other namespaces, each with how many of its pods are on it."""
    events: tuple[EventGroup, ...] = ()
    unknown: tuple[str, ...] = ()


async def list_nodes(cluster: ClusterClient, environment: Environment) -> ClusterNodesView:
    """Return all nodes, what is wrong first."""
    (measured, unknown), nodes, everywhere, own, version = await asyncio.gather(
        measured_by_name(cluster, cluster.usage_of_nodes()),
        cluster.nodes(),
        pods_or_unknown(cluster),
        cluster.pods(environment.namespace),
        _version(cluster),
    )
    said = [unknown] if unknown else []
    if everywhere is None:
        said.append(
            "The bot may not list the pods of all namespaces, so what is requested on the nodes is unknown. Apply `deploy/roles.yml`."
        )
    there = [pod for pod in own if not pod.over] if everywhere is None else everywhere
    found = [_state(node, measured.get(node.name, {}), everywhere, there, environment, version) for node in nodes]
    return ClusterNodesView(nodes=tuple(sorted(found, key=_order)), version=version, unknown=tuple(said))


async def one_node(cluster: ClusterClient, environment: Environment, name: str) -> OneNode | None:
    """Return one node with its pods and its last events; None where the cluster has none of that name."""
    found, own, everywhere, (told, why) = await asyncio.gather(
        list_nodes(cluster, environment),
        pods.list_pods(cluster, environment),
        pods_or_unknown(cluster),
        _events(cluster, name),
    )
    node = next((each for each in found.nodes if each.name == name), None)
    if node is None:
        return None
    others = Counter(
        pod.namespace for pod in everywhere or () if pod.node == name and pod.namespace != environment.namespace
    )
    return OneNode(
        node=node,
        version=found.version,
        own=tuple(each for each in own if each.node == name and not each.over),
        others=tuple(others.most_common()),
        events=tuple(told),
        unknown=(*found.unknown, *([why] if why else [])),
    )


async def _version(cluster: ClusterClient) -> str:
    try:
        return await cluster.version()
    except RunbookError:
        return ""


async def _events(cluster: ClusterClient, name: str) -> tuple[list[EventGroup], str]:
    try:
        return events.grouped(await cluster.events_of_node(name)), ""
    except RunbookError as error:
        if isinstance(error, Forbidden):
            return [], "The bot may not list the events of nodes. Apply `deploy/roles.yml`."
        return [], f"The node's events are unknown: {error.message}"


def _order(node: NodeState) -> tuple[bool, int, bool, int, str]:
    serious = sum(each.serious for each in node.problems)
    return not node.wrong, -serious, not node.problems, -len(node.problems), node.name


def _state(
    node: NodeView,
    parts: Mapping[str, Mapping[str, str]],
    everywhere: Sequence[PodView] | None,
    own: Sequence[PodView],
    environment: Environment,
    version: str,
) -> NodeState:
    count = None if everywhere is None else sum(pod.node == node.name for pod in everywhere)
    most = int(amount(node.allocatable.get("pods", 0))) or None
    labels = node.labels
    return NodeState(
        name=node.name,
        region=environment.region,
        ready=node.ready,
        cordoned=node.cordoned,
        problems=tuple(problems_of(node, version, count)),
        taints=tuple(_taints(node)),
        kubelet=node.kubelet,
        zone=labels.get("topology.kubernetes.io/zone", ""),
        machine=labels.get("node.kubernetes.io/instance-type", ""),
        created=node.created,
        pods=count,
        own_pods=sum(pod.node == node.name and pod.namespace == environment.namespace for pod in own),
        most_pods=most,
        usage=node_usage(node, parts, everywhere, environment.region),
        conditions=tuple(
            NodeCondition(
                type=each.type, status=each.status, reason=each.reason, said=_plain(each.message), since=each.updated
            )
            for each in sorted(node.conditions, key=lambda each: not _troubled(each))
        ),
    )


def problems_of(node: NodeView, version: str = "", count: int | None = None) -> list[Problem]:
    """Return what is wrong with the node, the worst first. `version`: the control plane's; `count`: of the pods that are on it."""
    found = []
    ready = next((each for each in node.conditions if each.type == "Ready"), None)
    if not node.ready:
        found.append(
            Problem(
                code="not-ready",
                what="is not ready" if ready is None or ready.status == "False" else "does not answer",
                said=_plain(node.ready_message),
                since=ready.updated if ready is not None else "",
            )
        )
    for each in node.conditions:
        # a node that is silent says nothing true of the rest
        if each.type == "Ready" or not _troubled(each) or (each.status == "Unknown" and not node.ready):
            continue
        known = _PRESSURE.get(each.type)
        found.append(
            Problem(
                code="pressure" if known else "condition",
                what=known or f"reports {each.type} {each.status}{f' ({each.reason})' if each.reason else ''}",
                said=_plain(each.message),
                since=each.updated,
            )
        )
    if node.cordoned:
        found.append(Problem(code="cordoned", what="is cordoned: no new pods are scheduled on it", serious=False))
    if skew := _skew(node.kubelet, version):
        found.append(Problem(code="version", what=skew, serious=False))
    most = amount(node.allocatable.get("pods", 0))
    if count is not None and most and count >= most * _NEAR:
        full = f"has {counted(count, 'pod')} and takes {most:.0f}"
        found.append(Problem(code="full", what=full, serious=False))
    return found


def _troubled(condition: Condition) -> bool:
    good = "True" if _GOOD_WHEN_TRUE.fullmatch(condition.type) else "False"
    return condition.status != good


def _taints(node: NodeView) -> list[str]:
    return [
        f"{each.key}{f'={each.value}' if each.value else ''}:{each.effect}"
        for each in node.taints
        if each.effect in _KEEPS_OFF and not each.key.startswith(_OWN_TAINTS)
    ]


def _skew(kubelet: str, version: str) -> str:
    """Return what is wrong with the kubelet's version; empty where it fits the control plane's, or one is not known."""
    node, plane = _VERSION.match(kubelet), _VERSION.match(version)
    if node is None or plane is None:
        return ""
    older = int(plane[2]) - int(node[2])
    most = _SKEW if (int(plane[1]), int(plane[2])) >= _SINCE else _SKEW_BEFORE
    if node[1] != plane[1] or older > most:
        return f"runs kubelet {kubelet}, too old for the control plane's {version} (at most {most} minor versions)"
    if older < 0:
        return f"runs kubelet {kubelet}, newer than the control plane's {version}, which Kubernetes does not support"
    return ""


def _plain(said: str) -> str:
    # redacted first, then cut: a cut could leave half of a secret that no pattern knows any more
    return shortened(" ".join(default_redactor().text(said).split()), _LONGEST)
