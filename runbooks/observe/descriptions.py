"""One service or one pod, described: the part of `kubectl describe` that matters, as values.

What Kubernetes says of it in its own words is redacted here already.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import ContainerSpec, ContainerView, DeploymentView, NodeView, PodView
from runbooks.clients.kubernetes.written import WrittenView
from runbooks.deployments import configuration, service_state
from runbooks.deployments.service_state import Listed, ServiceState
from runbooks.diagnosis import clean
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.observe import events as told
from runbooks.observe import pods, service_health
from runbooks.observe.events import EventGroup
from runbooks.observe.pods import PodLine
from runbooks.wording import age_since, listed

_BACK = timedelta(hours=1)
_CHANGED, _CHANGED_LATELY = timedelta(days=1), timedelta(hours=2)
"""How long a change of the configuration is shown, and how long it is worth a word in the answer."""


class ContainerLine(Frozen):
    """One container of a pod: as it is, and as it was asked for."""

    name: str
    image: str
    state: str
    """`running, ready`, `waiting: ImagePullBackOff`."""
    restarts: int = 0
    last_end: str = ""
    """How its life before ended: `OOMKilled, exit code 137`."""
    ended_at: datetime | None = None
    asked: str = ""
    """Requests, limits and probes, in one line."""


class Described(Frozen):
    """One service or one pod."""

    kind: str
    """`service` or `pod`."""
    name: str
    service: str | None
    """Its service; None for a pod of none."""
    summary: str
    """`runs v1.2.0, 3/3 ready`."""
    well: bool
    trouble: str = ""
    changed: str = ""
    """What somebody did to it lately that its pods do not show: `its configuration was changed outside the bot 20 min ago`."""
    facts: tuple[tuple[str, str], ...] = ()
    pods: tuple[PodLine, ...] = ()
    containers: tuple[ContainerLine, ...] = ()
    events: tuple[EventGroup, ...] = ()
    log: str = ""
    """What `logs` is typed with to read how it failed: `backend-7c9f-x2lqp --previous`; empty where nothing crashed."""


async def describe(cluster: ClusterClient, environment: Environment, target: str) -> Described:
    """A service by its name, or a pod by its name or the end of it. Raises `RunbookError`."""
    service = environment.service(target)
    if service is not None:
        return await _service(cluster, environment, service)
    return await _pod(cluster, environment, target)


_SAID: dict[service_state.Condition, str] = {
    "complete": "runs {version}, {pods} ready",
    "rolling": "is rolling out {version}, {pods}",
    "degraded": "runs {version}, only {pods} ready",
    "stuck": "is stuck at {version}, {pods} ready",
    "paused": "is paused at {version}, {pods} ready",
    "missing": "is missing",
}


async def _service(cluster: ClusterClient, environment: Environment, service: Service) -> Described:
    now = datetime.now(UTC)
    since = now - _BACK
    found, events, written = await asyncio.gather(
        service_state.listed(cluster, environment),
        cluster.events(environment.namespace),
        _config_maps(cluster, environment),
    )
    looked = service_health.of(environment, found, service_state.read(environment, found), events)
    each = next(each for each in looked if each.state.service == service.name)
    deployment = found.deployment(service)
    state = each.state
    own = _own(found, deployment)
    version = state.image.tag or "untagged" if state.image is not None else "nothing"
    said = "is set to {version} and scaled to 0 replicas: no pods run" if state.idle else _SAID[state.state]
    changed = [
        each
        for each in written
        if each.at >= now - _CHANGED and deployment is not None and configuration.reads(deployment, each.name)
    ]
    lately = [each for each in changed if each.at >= now - _CHANGED_LATELY]
    return Described(
        kind="service",
        name=service.name,
        service=service.name,
        summary=said.format(version=version, pods=state.readiness),
        well=each.well,
        changed=f"its configuration was changed outside the bot {_ago(lately[0])}" if lately else "",
        trouble=each.trouble,
        facts=(*_facts_of(state, deployment, service), *(("Configuration", _changed(each, own)) for each in changed)),
        pods=tuple(
            pods.line(pod, service) for pod in sorted(own, key=lambda pod: (pod.ready and not pod.deleting, pod.name))
        ),
        events=tuple(told.of_service(events, environment, service.name, since=since)),
        log=pods.failed_log(own, service),
    )


async def _config_maps(cluster: ClusterClient, environment: Environment) -> list[WrittenView]:
    """Return those that somebody wrote outside the bot, the newest first; none where the bot may not list them."""
    try:
        found = configuration.by_others(await cluster.config_maps_written(environment.namespace))
    except RunbookError:
        return []
    return sorted(found, key=lambda each: each.at, reverse=True)


def _ago(each: WrittenView) -> str:
    return f"{age_since(each.at)} ago"


def _changed(each: WrittenView, own: Sequence[PodView]) -> str:
    """Return who changed it, and whether pods have started since: environment variables are read then."""
    started = [at for pod in own if not pod.over and (at := read_time(pod.created)) is not None]
    since = sum(at >= each.at for at in started)
    count = "none" if not since else "all" if since == len(started) else str(since)
    return clean(f"{configuration.change_of('ConfigMap', each)} {_ago(each)}; {count} of its pods started after that")


def _own(found: Listed, deployment: DeploymentView | None) -> list[PodView]:
    if deployment is None:
        return []
    sets = {each.uid for each in found.replica_sets if each.owner == deployment.uid}
    return [pod for pod in found.pods if pod.owner in sets]


def _facts_of(state: ServiceState, deployment: DeploymentView | None, service: Service) -> tuple[tuple[str, str], ...]:
    if deployment is None:
        return ()
    container = deployment.container(service.container)
    strategy = deployment.strategy
    if strategy == "RollingUpdate":
        strategy = f"rolling, {deployment.max_surge} more and {deployment.max_unavailable} fewer pods at a time"
    facts = (
        ("Deployment", f"{state.deployment} in {state.namespace}, revision {state.revision}"),
        ("Image", state.image.reference if state.image is not None else ""),
        ("Why", state.cause or ""),
        ("Requests", _asked(container[1]) if container is not None else ""),
        ("Rollouts", strategy),
        ("Owner", state.owned or ""),
        ("Changed outside the bot", "yes: the image is not the one that the bot set last" if state.drifted else ""),
    )
    return tuple((label, clean(value)) for label, value in facts if value)


async def _pod(cluster: ClusterClient, environment: Environment, target: str) -> Described:
    found, nodes = await asyncio.gather(service_state.listed(cluster, environment), _nodes(cluster))
    pod = pods.named(found.pods, target, environment)
    events = await cluster.events(pod.namespace, about=pod.uid)
    owned = [each for each in environment.services if pod in _own(found, found.deployment(each))]
    trouble = ""
    if owned:
        state = next(each for each in service_state.read(environment, found) if each.service == owned[0].name)
        trouble = service_health.trouble_of(pod, owned[0], state, found, events)
    return Described(
        kind="pod",
        name=pod.name,
        service=owned[0].name if owned else None,
        summary=_condition(pod),
        well=pod.ready and not pod.deleting,
        trouble=trouble,
        facts=_facts_of_pod(pod, nodes),
        containers=tuple(_container(each, pod.spec(each.name)) for each in (*pod.containers, *pod.ephemeral)),
        events=tuple(told.grouped(events)),
        log=pods.failed_log([pod], owned[0]) if owned else "",
    )


async def _nodes(cluster: ClusterClient) -> list[NodeView]:
    """Without the permission to read nodes there is less to say, and still an answer."""
    try:
        return await cluster.nodes()
    except RunbookError:
        return []


def _condition(pod: PodView) -> str:
    if pod.deleting:
        return "is terminating"
    if pod.over:
        return f"has ended ({pod.reason or pod.phase})"
    return "is ready" if pod.ready else f"is not ready ({pod.phase})"


def _facts_of_pod(pod: PodView, nodes: list[NodeView]) -> tuple[tuple[str, str], ...]:
    facts = (
        ("Node", _node(pod, nodes)),
        ("Age", pods.age_of(pod.created)),
        ("Not scheduled", pod.unschedulable),
        ("Ended by", pod.disrupted),
        ("Volumes", ", ".join(pod.claims)),
    )
    return tuple((label, clean(value)) for label, value in facts if value)


def _node(pod: PodView, nodes: list[NodeView]) -> str:
    if not pod.node:
        return "none yet"
    node = next((each for each in nodes if each.name == pod.node), None)
    if node is None:
        return f"{pod.node}, which does not exist" if nodes else pod.node
    cordoned = ", cordoned" if node.cordoned else ""
    return f"{pod.node}{cordoned}" if node.ready else f"{pod.node}{cordoned}, not ready: {node.ready_message}"


def _container(view: ContainerView, spec: ContainerSpec | None) -> ContainerLine:
    state = f"{view.phase}: {view.reason}" if view.reason else view.phase
    if view.phase == "running":  # Kubernetes never calls an ephemeral container ready
        state = "running" if view.ephemeral else "running, ready" if view.ready else "running, not ready"
    ended = ""
    if view.ended_reason or view.ended_code is not None:
        code = f", exit code {view.ended_code}" if view.ended_code is not None else ""
        ended = f"{view.ended_reason or 'ended'}{code}"
    kind = "init" if view.init else "sidecar" if view.sidecar else "ephemeral" if view.ephemeral else ""
    return ContainerLine(
        name=f"{view.name} ({kind})" if kind else view.name,
        image=Image.parse(view.image).short if view.image else "",
        state=state,
        restarts=view.restarts,
        last_end=clean(ended),
        ended_at=read_time(view.ended_at) if ended else None,
        asked=clean(_asked(spec)) if spec is not None else "",
    )


def _asked(spec: ContainerSpec) -> str:
    """`250m cpu, 256Mi memory (limit 512Mi); readiness GET /health on port 3001`."""
    sizes = ", ".join(filter(None, (_size(name, spec.requests, spec.limits) for name in ("cpu", "memory"))))
    alike = {what: [name for name, asked in spec.probes.items() if asked == what] for what in spec.probes.values()}
    probes = "; ".join(f"{listed(names)} {what}" for what, names in alike.items())
    return "; ".join(filter(None, (sizes, probes)))


def _size(name: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    asked, most = requests.get(name), limits.get(name)
    if asked and most:
        return f"{asked} {name} (limit {most})"
    return f"{asked} {name}" if asked else f"at most {most} {name}" if most else ""
