"""What happened to pods lately, though they run now: restarts in the last hour, evictions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from runbooks.clients.kubernetes.views import ContainerView, EventView, PodView
from runbooks.deployments.service_state import Listed
from runbooks.diagnosis import clean
from runbooks.diagnosis.crashes import last_error
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Service
from runbooks.observe.pods import log_of
from runbooks.redaction.redactor import default_redactor
from runbooks.troubleshooting.case import LOGS, Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, Thing, ToDo, Trouble, found
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import counted

_HOUR = timedelta(hours=1)
_LOG_LINES = 30
_STOPPED = (0, 143)
"""Exit codes of a container that was asked to stop and did."""


class Restarts(RegionRule):
    """Looks at how containers of ready pods ended within the last hour. Pods that are not ready are told by their cause."""

    name = "restarts in the last hour"
    permission = "fleet:read"
    contradicted_by = (Trouble.RESTARTS, Trouble.CRASHES, Trouble.OUT_OF_MEMORY, Trouble.PROBE)

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return one finding for each service and way of ending, with the last error that the newest one wrote."""
        listed = await place.listed()
        findings = []
        for service in case.services:
            ended = list(_ended(case, listed, service))
            for reason in dict.fromkeys(_way(each) for _, each, _ in ended):
                alike = [each for each in ended if _way(each[1]) == reason]
                findings.append(await _restarted(case, place, service, alike))
        return found(*findings)


def _ended(case: Case, listed: Listed, service: Service) -> Iterator[tuple[PodView, ContainerView, datetime]]:
    for pod in pods_of(listed, service):
        for container in pod.containers:
            at = read_time(container.ended_at)
            if pod.ready and container.restarts and at is not None and case.now - at <= _HOUR:
                yield pod, container, at


def pods_of(listed: Listed, service: Service) -> Iterator[PodView]:
    """Yield the pods of the service's Deployment that are not being deleted; evicted ones too."""
    view = listed.deployment(service)
    owners = {each.uid for each in listed.replica_sets if view is not None and each.owner == view.uid}
    yield from (pod for pod in listed.pods if pod.owner in owners and not pod.deleting)


def _way(container: ContainerView) -> str:
    return f"{container.ended_reason} {container.ended_code}"


async def _restarted(
    case: Case, place: PlaceFacts, service: Service, ended: Sequence[tuple[PodView, ContainerView, datetime]]
) -> Finding:
    pod, container, _ = max(ended, key=lambda each: each[2])
    pods = len({each.uid for each, _, _ in ended})
    whose = f"{counted(pods, 'pod')} restarted in the last hour"
    spec = pod.spec(container.name)
    orders: tuple[ToDo, ...] = ()
    if container.ended_reason == "OOMKilled":
        limit = spec.limits.get("memory", "") if spec is not None else ""
        why = f"killed for using more memory than its limit of {limit}" if limit else "killed for memory"
        kind, confidence = Trouble.OUT_OF_MEMORY, Confidence.CERTAIN
        orders = (
            ToDo(text="Raise `limits.memory` on the Deployment, or find what takes the memory"),
            ToDo(text="See what pods use", command=f"top pods {service.name}", label="Top pods"),
        )
    else:
        why = f"{container.ended_reason or 'ended'}, exit code {container.ended_code}"
        gentle = container.ended_code in _STOPPED
        kind, confidence = Trouble.RESTARTS, Confidence.POSSIBLE if gentle else Confidence.LIKELY
    error = await _last_error(place, pod, container) if LOGS in case.may else ""
    return Finding(
        kind=kind,
        cause=f"{service.name}: {whose}: {clean(why)}",
        evidence=tuple(
            filter(
                None,
                (
                    f"Last error before it: {clean(error)}" if error else "",
                    f"Newest: container {container.name} of pod {pod.name}, {counted(container.restarts, 'restart')} in all.",
                ),
            )
        ),
        confidence=confidence,
        since=min(at for _, _, at in ended),
        service=service.name,
        to_do=(
            *orders,
            ToDo(
                text="Read what it wrote before it ended",
                command=f"logs {log_of(pod, container.name, service)}",
                label="Logs",
            ),
        ),
        about=(
            Thing(kind="log", name=pod.name, options=("-c", container.name, "--previous")),
            Thing(kind="pod", name=pod.name),
        ),
        explains=(Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC, Trouble.ALERT, Trouble.WEBSOCKET_DROPS)
        + ((Trouble.RESTARTS,) if kind is not Trouble.RESTARTS else ()),
    )


async def _last_error(place: PlaceFacts, pod: PodView, container: ContainerView) -> str:
    """Return the last line before the end that names an error; empty where there is none, or the log can't be read."""
    kept = b""
    try:
        cluster = place.place.cluster
        async for chunk in cluster.logs(pod.namespace, pod.name, container.name, tail=_LOG_LINES, previous=True):
            kept = (kept + chunk)[-_LOG_LINES * 4096 :]
    except RunbookError:
        return ""
    return last_error(default_redactor().scope().tail(kept).decode(errors="replace").splitlines())


class Evictions(RegionRule):
    """Looks for pods that a node or somebody else put out within the time that is looked at."""

    name = "evictions"
    permission = "fleet:read"
    contradicted_by = (Trouble.EVICTED, Trouble.NODE_PRESSURE)

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return one finding for each service, with the node's own reason."""
        listed, events = await place.listed(), await place.events()
        return found(*(each for service in case.services for each in _evicted(case, service, listed, events)))


def _evicted(case: Case, service: Service, listed: Listed, events: Sequence[EventView]) -> Iterator[Finding]:
    gone = [(pod, at) for pod in pods_of(listed, service) if pod.reason == "Evicted" and (at := _at(pod, events))]
    lately = [(pod, at) for pod, at in gone if at >= case.since]
    if not lately:
        return
    nodes = Counter(pod.node for pod, _ in lately if pod.node)
    newest, _ = max(lately, key=lambda each: each[1])
    yield Finding(
        kind=Trouble.EVICTED,
        cause=f"{service.name}: {counted(len(lately), 'pod')} evicted",
        evidence=tuple(
            filter(
                None,
                (
                    clean(newest.message),
                    f"On {', '.join(f'{node} ({count})' for node, count in nodes.most_common(3))}." if nodes else "",
                ),
            )
        ),
        confidence=Confidence.CERTAIN,
        since=min(at for _, at in lately),
        service=service.name,
        to_do=(
            ToDo(text="Set memory and storage requests to what the pods use, or add a node"),
            ToDo(text="See what nodes have left", command="top nodes", label="Top nodes"),
        ),
        about=(
            Thing(kind="pod", name=newest.name),
            *(Thing(kind="node", name=node) for node, _ in nodes.most_common(1)),
        ),
        explains=(Trouble.NOT_READY, Trouble.ERRORS, Trouble.SLOW, Trouble.ALERT),
    )


def _at(pod: PodView, events: Sequence[EventView]) -> datetime | None:
    told = [each.at for each in events if each.about == pod.uid and each.reason == "Evicted" and each.at is not None]
    disrupted = pod.condition("DisruptionTarget")
    return max(told, default=None) or (read_time(disrupted.updated) if disrupted is not None else None)
