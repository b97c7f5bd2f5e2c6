"""Metrics beyond their limits: what people notice, and since when. Most often something else is the cause."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.metrics.change_points import change_points
from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory, Standing
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, found, not_configured
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import by_count, counted, listed

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
_NEAR = 5
"""Steps by which a metric may go beyond its limit before or after it jumps."""


class MetricLimits(Rule):
    """Looks at every metric that has a limit."""

    name = "metrics"
    permission = "fleet:read"
    seconds = 5.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return those that are beyond their limit; one that can't be read is unknown."""
        if case.find(Metrics) is None:
            return not_configured()
        known = [each for each in await case.histories() if each.query.limit is not None]
        unknown = [each for each in known if each.standing is Standing.UNKNOWN]
        why: tuple[str, ...] = ()
        if unknown:
            names = listed((each.query.name for each in unknown), most=_NAMED)
            why = (f"{names}: {unknown[0].unknown}",)
        beyond = [each for each in known if each.standing is Standing.BEYOND]
        findings = [_finding(case, each) for each in beyond]
        if any(each.kind is Trouble.RESTARTS for each in findings) and await _restarted_pods_are_gone(case):
            findings = [_over(each) if each.kind is Trouble.RESTARTS else each for each in findings]
        return RuleAnswer(found=tuple(findings), unknown=why)


class Alerts(Rule):
    """Looks at the alerts that fire."""

    name = "alerts"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:
        """Return one finding for all of them: what is behind them is for other rules to say."""
        metrics = case.find(Metrics)
        if metrics is None or metrics.settings.alertmanager is None:
            return not_configured()
        firing = await metrics.alerts()
        if not firing:
            return found()
        count = len(firing)
        return found(
            Finding(
                kind=Trouble.ALERT,
                cause=f"{counted(count, 'alert')} {by_count(count, 'fires', 'fire')}: {listed((each.name for each in firing), most=_NAMED)}",
                confidence=Confidence.CERTAIN,
                since=min((each.since for each in firing if each.since is not None), default=None),
                measured=True,
                to_do=(ToDo(text="Look at the metrics", command="metrics", label="Metrics"),),
            )
        )


def _finding(case: Case, history: MetricHistory) -> Finding:
    query = history.query
    limit = "limit" if query.must_be == "below" else "lower limit"
    kind = _KINDS.get(query.name, Trouble.METRIC)
    return Finding(
        kind=kind,
        cause=f"{query.title}: {query.shown(history.now)}, the {limit} is {query.shown(query.limit)}",
        evidence=(f"Usually {query.shown(history.usual)}.",) if history.usual is not None else (),
        confidence=Confidence.CERTAIN,
        since=began(history),
        measured=True,
        to_do=(*_next(case, kind), ToDo(text="See how it developed", command=f"metrics {query.name}", label="Metrics")),
        explains=(Trouble.ALERT,),
    )


async def _restarted_pods_are_gone(case: Case) -> bool:
    """Return whether no container of the pods that there are has restarted within the last hour; False where they can't be listed."""
    try:
        listed = await asyncio.gather(*(place.listed() for place in case.places))
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
    gone = "The pods that restarted are gone, and the running ones have not restarted. The number falls within an hour."
    return restarts.model_copy(
        update={
            "confidence": Confidence.POSSIBLE,
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
