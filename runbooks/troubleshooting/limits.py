"""What has reached a limit: autoscalers at their maximum or without their metric, containers near their memory limit or throttled."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from runbooks.clients.kubernetes.autoscalers import AutoscalerView
from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis.quantities import amount
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Service
from runbooks.metrics.reading import Metrics
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import (
    Confidence,
    Finding,
    RuleAnswer,
    Thing,
    ToDo,
    Trouble,
    found,
    not_configured,
)
from runbooks.troubleshooting.lately import pods_of
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import by_count, counted, listed

_FULL = {"memory": 0.92, "cpu": 0.95}
"""Shares of a container's limit from which it is about to be killed, or is slowed down."""
THROTTLED_SHARE = (
    'topk(50, 100 * sum by (pod) (increase(container_cpu_cfs_throttled_periods_total{namespace="$namespace",container!=""}[$window]))'
    ' / sum by (pod) (increase(container_cpu_cfs_periods_total{namespace="$namespace",container!=""}[$window])))'
)
"""Of each pod, the percentage of the kernel's scheduling periods in which it had used up its CPU limit and had to wait."""
_WAITS = 25.0
"""Percent from which requests take noticeably longer."""
_LOAD = (Trouble.THROTTLED, Trouble.SLOW, Trouble.ERRORS, Trouble.METRIC, Trouble.ALERT)
_DELIBERATE = "ScalingDisabled"
"""Kubernetes' reason for an autoscaler whose Deployment was scaled to 0 by hand."""


class Autoscalers(RegionRule):
    """Looks at each service's autoscaler: whether it would add pods and may not, or can't tell."""

    name = "autoscalers"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return those at their maximum, with the metric that drives them, and those that can't scale."""
        scalers, findings, any_of = await place.autoscalers(), [], False
        for service in case.services:
            for scaler in scalers:
                if scaler.target == f"Deployment/{service.deployment}":
                    any_of = True
                    findings += list(_autoscaler(place, service, scaler))
        return found(*findings) if any_of else not_configured()


def _autoscaler(place: PlaceFacts, service: Service, scaler: AutoscalerView) -> Iterator[Finding]:
    if scaler.held_at_most:
        patch = f'{{"spec":{{"maxReplicas":{scaler.most + max(1, scaler.most // 2)}}}}}'
        line = by_hand.kubectl(place.environment, "patch", "hpa", scaler.name, "--patch", patch)
        yield Finding(
            kind=Trouble.AUTOSCALER,
            cause=f"{service.name}: its autoscaler is at its maximum of {counted(scaler.most, 'pod')} and wants more",
            evidence=tuple(filter(None, (f"It scales on {listed(scaler.drivers)}." if scaler.drivers else "",))),
            confidence=Confidence.LIKELY,
            since=read_time(scaler.held_since),
            service=service.name,
            to_do=(
                ToDo(text="Find what causes the load: more users, slow queries, a release"),
                ToDo(text=f"If nodes and database connections allow it: `{line}`"),
                ToDo(text="See what its pods use", command=f"top pods {service.name}", label="Top pods"),
            ),
            about=(Thing(kind="hpa", name=scaler.name),),
            explains=_LOAD,
        )
    elif scaler.trouble and scaler.trouble != _DELIBERATE:
        yield Finding(
            kind=Trouble.AUTOSCALER,
            cause=f"{service.name}: its autoscaler can't scale ({scaler.trouble})",
            evidence=(f"It stays at {counted(scaler.current, 'pod')} (allowed: {scaler.least} to {scaler.most}).",),
            confidence=Confidence.POSSIBLE,
            since=read_time(scaler.trouble_since),
            service=service.name,
            to_do=(
                ToDo(text="Check the metrics API (metrics-server), and that its containers have requests"),
                ToDo(text="See what is in the namespace", command="resources", label="Resources"),
            ),
            explains=_LOAD,
        )


class ContainerLimits(RegionRule):
    """Looks at the memory that containers use beside their limit, and at whether they are throttled at their CPU limit.

    Throttling is told by the kernel's own counters where Prometheus has them, otherwise by the use beside the limit.
    """

    name = "CPU and memory of pods"
    permission = "fleet:read"
    contradicted_by = (Trouble.OUT_OF_MEMORY, Trouble.THROTTLED)

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the services with containers at a limit. Without a metrics API, only the counters could be looked at."""
        here, counters = await asyncio.gather(place.listed(), _counters(case, place.region))
        unknown, measured = "", None
        try:
            measured = {each.name: each.parts for each in await place.usage_of_pods()}
        except RunbookError as error:
            unknown = f"the metrics API: {error.message.rstrip('.')}"
        findings: list[Finding] = []
        by_counters = False
        for service in case.services:
            pods = [pod for pod in pods_of(here, service) if not pod.over]
            counted_here = any(pod.name in counters for pod in pods)
            by_counters = by_counters or counted_here
            if counted_here:
                findings += _throttled(service, pods, counters)
            if measured is not None:
                looked_at = ("memory",) if counted_here else ("memory", "cpu")
                findings += [each for resource in looked_at for each in _near(service, pods, measured, resource)]
        told = "throttling by Prometheus' counters" if by_counters else "CPU by its use compared with the limit"
        return RuleAnswer(found=tuple(findings), unknown=(unknown,) if unknown else (), details=told)


async def _counters(case: Case, region: str) -> dict[str, float]:
    """Return pod → percentage of periods in which it was throttled; nothing where nobody counts them, or Prometheus does not answer."""
    metrics = case.find(Metrics)
    if metrics is None:
        return {}
    try:
        return await metrics.newest_by("pod", THROTTLED_SHARE, case.now, region)
    except RunbookError:  # the metrics' own rule tells why
        return {}


def _throttled(service: Service, pods: Sequence[PodView], counters: Mapping[str, float]) -> Iterator[Finding]:
    waiting = {pod.name: share for pod in pods if (share := counters.get(pod.name, 0.0)) >= _WAITS}
    if waiting:
        worst = max(waiting, key=lambda name: waiting[name])
        yield _at_limit(
            service,
            "cpu",
            f"{len(waiting)} of {counted(len(pods), 'pod')} {by_count(len(waiting), 'is', 'are')} throttled at {by_count(len(waiting), 'its', 'their')} CPU limit",
            f"Pod {worst} was throttled in {waiting[worst]:.0f} % of its CPU periods lately (Prometheus' throttling counters).",
            Confidence.LIKELY if len(waiting) > len(pods) / 2 else Confidence.POSSIBLE,
        )


def _near(
    service: Service, pods: Sequence[PodView], measured: Mapping[str, Mapping[str, Mapping[str, str]]], resource: str
) -> Iterator[Finding]:
    shares = {pod.name: _share(pod, measured.get(pod.name, {}), resource) for pod in pods}
    near = {name: share for name, share in shares.items() if share >= _FULL[resource]}
    if near:
        worst = max(near, key=lambda name: near[name])
        count, verb = f"{len(near)} of {counted(len(pods), 'pod')}", by_count(len(near), "uses", "use")
        of = f"{by_count(len(near), 'its', 'their')} {'memory' if resource == 'memory' else 'CPU'} limit"
        yield _at_limit(
            service,
            resource,
            f"{count} {verb} nearly all of {of}",
            f"Pod {worst}: {near[worst] * 100:.0f} % of its limit now (metrics API).",
            Confidence.LIKELY if len(near) > len(pods) / 2 else Confidence.POSSIBLE,
        )


def _at_limit(service: Service, resource: str, what: str, evidence: str, confidence: Confidence) -> Finding:
    memory = resource == "memory"
    return Finding(
        kind=Trouble.OUT_OF_MEMORY if memory else Trouble.THROTTLED,
        cause=f"{service.name}: {what}",
        evidence=(evidence,),
        confidence=confidence,
        service=service.name,
        to_do=(
            ToDo(
                text="It is killed at its limit: raise `limits.memory`, or find what takes the memory"
                if memory
                else "It is throttled at its limit: raise `limits.cpu`, or add pods"
            ),
            ToDo(text="See what each pod uses", command=f"top pods {service.name}", label="Top pods"),
        ),
        explains=(Trouble.RESTARTS, Trouble.ALERT) if memory else (Trouble.SLOW, Trouble.PROBE, Trouble.ALERT),
    )


def _share(pod: PodView, parts: Mapping[str, Mapping[str, str]], resource: str) -> float:
    """Return how much of its limit the container uses that is nearest to it; 0 without a limit."""
    shares = (
        amount(parts.get(each.name, {}).get(resource, 0)) / limit
        for each in pod.asked
        if (limit := amount(each.limits.get(resource, 0)))
    )
    return max(shares, default=0.0)
