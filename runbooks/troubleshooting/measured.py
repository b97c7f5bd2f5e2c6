"""Metrics beyond their limits: what people notice, and since when. Most often something else is the cause."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.metrics.change_points import change_points
from runbooks.metrics.reading import FiringAlerts, Metrics
from runbooks.metrics.standing import MetricHistory, MetricRecovery, Standing, where
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import by_count, counted, duration, listed

_KINDS = {
    "error-rate": Trouble.ERRORS,
    "api-p95": Trouble.SLOW,
    "endpoints": Trouble.SLOW,
    "restarts": Trouble.RESTARTS,
    "pool": Trouble.POOL_EXHAUSTED,
    "db-p95": Trouble.SLOW_QUERIES,
    "replication-lag": Trouble.REPLICATION_LAG,
    "locks": Trouble.BLOCKED_SESSIONS,
    "disk": Trouble.DISK_FULL,
}
_NEXT = {
    Trouble.DISK_FULL: ToDo(text="Enlarge the fullest volume (`kubectl get pvc`), or free space on it"),
    Trouble.SLOW: ToDo(text="See which statements take long", command="slow-queries", label="Slow queries"),
    Trouble.SLOW_QUERIES: ToDo(text="See which statements take long", command="slow-queries", label="Slow queries"),
    Trouble.POOL_EXHAUSTED: ToDo(text="See who has the connections", command="db pool", label="Pool"),
    Trouble.BLOCKED_SESSIONS: ToDo(text="See who blocks whom", command="db locks", label="Locks"),
    Trouble.REPLICATION_LAG: ToDo(text="See each replica", command="db replication", label="Replication"),
    Trouble.RESTARTS: ToDo(text="See which pods restarted", command="pods", label="Pods"),
}
"""Where to look next."""
_COUNTED = timedelta(hours=1)
"""The time over which the built-in metric counts restarts."""
_NAMED = 3
_SHARE = 0.9
"""Of a rule's time: what gives no answer by then does not hide what does."""
_NEAR = 5
"""Steps by which a metric may go beyond its limit before or after it jumps."""


class MetricLimits(Rule):
    """Looks at every metric that has a limit."""

    name = "metrics"
    permission = "fleet:read"
    seconds = 6.5

    async def look(self, case: Case) -> RuleAnswer:
        """Return those that are beyond their limit; one that can't be read is unknown."""
        if not (histories := await case.histories()):
            return not_configured()
        known = [each for each in histories if each.query.limit is not None]
        findings = [
            _finding(case, each) if each.recovery is None else _recovering(each, each.recovery)
            for each in known
            if each.standing in (Standing.BEYOND, Standing.RECOVERING)
        ]
        over = [await _is_over(case, each) for each in findings]
        found = tuple(_over(each) if gone else each for each, gone in zip(findings, over, strict=True))
        return RuleAnswer(found=found, unknown=tuple(_unknown(known)))


class Alerts(Rule):
    """Looks at the alerts that fire."""

    name = "alerts"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:
        """Return one finding for all of them in a region: what is behind them is for other rules to say."""
        metrics = case.find(Metrics)
        said = await metrics.alerts(self.within(case) * _SHARE, case.regions) if metrics is not None else ()
        if not said:
            return not_configured()
        return RuleAnswer(
            found=tuple(_alerts(each) for each in said if each.alerts),
            unknown=tuple(f"{_there(each.regions)}{each.why}" for each in said if each.why),
        )


def _alerts(said: FiringAlerts) -> Finding:
    count, (region, place) = len(said.alerts), _placed(said.regions)
    return Finding(
        kind=Trouble.ALERT,
        cause=f"{counted(count, 'alert')} {by_count(count, 'fires', 'fire')}{place}: {listed((each.name for each in said.alerts), most=_NAMED)}",
        confidence=Confidence.CERTAIN,
        since=min((each.since for each in said.alerts if each.since is not None), default=None),
        region=region,
        measured=True,
        to_do=(ToDo(text="Look at the metrics", command="metrics", label="Metrics"),),
    )


def _placed(regions: Sequence[str]) -> tuple[str, str]:
    """Return the region of a finding, and what its cause says where it is about several regions, but not all."""
    return (regions[0], "") if len(regions) == 1 else ("", where(regions))


def _there(regions: Sequence[str]) -> str:
    return f"{listed(regions)}: " if regions else ""


def _unknown(known: Sequence[MetricHistory]) -> Iterator[str]:
    """Yield why metrics are unknown, each region's for itself."""
    by_regions: dict[tuple[str, ...], list[MetricHistory]] = {}
    for each in known:
        if each.standing is Standing.UNKNOWN:
            by_regions.setdefault(each.regions, []).append(each)
    for regions, unknown in by_regions.items():
        names = listed((each.query.name for each in unknown), most=_NAMED)
        yield f"{_there(regions)}{names}: {unknown[0].unknown}"


def _finding(case: Case, history: MetricHistory) -> Finding:
    query = history.query
    limit = "limit" if query.must_be == "below" else "lower limit"
    kind, (region, place) = _KINDS.get(query.name, Trouble.METRIC), _placed(history.regions)
    return Finding(
        kind=kind,
        cause=f"{query.title}{place}: {query.shown(history.now)}, the {limit} is {query.shown(query.limit)}",
        evidence=(f"Usually {query.shown(history.usual)}.",) if history.usual is not None else (),
        confidence=Confidence.CERTAIN,
        since=began(history),
        region=region,
        measured=True,
        to_do=(*_next(case, kind), ToDo(text="See the trend", command=f"metrics {query.name}", label="Metrics")),
        explains=(Trouble.ALERT,),
    )


def _recovering(history: MetricHistory, recovery: MetricRecovery) -> Finding:
    """Return the finding of a metric whose trouble is over, while the value still contains the time before."""
    query, (region, place) = history.query, _placed(history.regions)
    bound = "limit" if query.must_be == "below" else "lower limit"
    window = duration(recovery.window.total_seconds())
    return Finding(
        kind=_KINDS.get(query.name, Trouble.METRIC),
        cause=f"{query.title}{place}: {recovery.shown}; over {window} it is still {query.shown(history.now)}, the {bound} is {query.shown(query.limit)}",
        evidence=(
            f"Over the newest minute it is {query.shown(recovery.now)}. The value over {window} still contains the time before {recovery.since:%H:%M}.",
        ),
        confidence=Confidence.LIKELY,
        region=region,
        measured=True,
        recovering=True,
        to_do=(ToDo(text="See the trend", command=f"metrics {query.name}", label="Metrics"),),
        explains=(Trouble.ALERT,),
    )


async def _is_over(case: Case, finding: Finding) -> bool:
    """Return whether it is about restarts, and no container of the pods that there are has restarted within the last hour.

    False where they can't be listed.
    """
    if finding.kind is not Trouble.RESTARTS:
        return False
    places = [place for place in case.places if finding.region in ("", place.region)]
    try:
        listed = await asyncio.gather(*(place.listed() for place in places))
    except RunbookError:
        return False
    return bool(listed) and not any(
        container.restarts and ((at := read_time(container.ended_at)) is None or case.now - at <= _COUNTED)
        for each in listed
        for pod in each.pods
        for container in pod.containers
    )


def _over(restarts: Finding) -> Finding:
    """Return the finding as one that is over: a rollback removes the pods, and the metric counts their restarts for another hour."""
    gone = "The pods that restarted are gone, and the running ones have not restarted. The number will fall within an hour."
    return restarts.model_copy(
        update={
            "confidence": Confidence.POSSIBLE,
            "recovering": True,
            "evidence": (gone, *restarts.evidence),
            "to_do": restarts.to_do[-1:],
        }
    )


def _next(case: Case, kind: Trouble) -> Iterator[ToDo]:
    if kind in _NEXT:
        yield _NEXT[kind]
    if kind in (Trouble.ERRORS, Trouble.SLOW):
        for service in case.services[:1]:
            yield ToDo(text="Read the newest log lines", command=f"logs {service.name} --since 15m", label="Logs")


def began(history: MetricHistory) -> datetime | None:
    """Return when it became so bad: the jump that led beyond the limit, or where there is none, when it went beyond it.

    None: it was beyond its limit all the time.
    """
    beyond = history.beyond_since
    if beyond is None:
        return None
    query = history.query
    jumps = [
        history.at(point.index)
        for point in change_points(history.values)
        if point.after != point.before and query.worse(point.before, point.after) == point.after
    ]
    near = [at for at in jumps if abs(at - beyond) <= _NEAR * history.step]
    return min(near, key=lambda at: abs(at - beyond), default=beyond)
