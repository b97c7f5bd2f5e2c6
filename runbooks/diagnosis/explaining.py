"""From a cause to the error that people read: the words, the cluster's own, the pod, its last log lines, usual causes.

Everything is redacted here already, and what else has to be looked up (logs, nodes) may fail or take long without hiding the
failure itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import NodeView, PodView
from runbooks.diagnosis import nodes, scheduling
from runbooks.diagnosis.crashes import in_its_log, last_error
from runbooks.diagnosis.snapshot import Cause, Snapshot
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import with_names_once
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import default_redactor

T = TypeVar("T")

_LONGEST_LINE = 300
_LONGEST_CAUSE = 200
_LOOK_UP = 3.0
"""Seconds for everything that is looked up: the card stands within five of Kubernetes' word."""
_EVENTS = 3
"""Besides what is in the cause already; that the kubelet backs off, or repeats a container's reason, tells nobody anything."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was looked up beyond the snapshot."""

    log: list[str]
    previous: bool = False
    nodes: tuple[NodeView, ...] = ()
    neighbours: tuple[PodView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCluster:
    """What who asks reads anyway, and shares: each is called where it is needed, and may raise `RunbookError`."""

    nodes: Callable[[], Awaitable[Sequence[NodeView]]]
    pods: Callable[[], Awaitable[Sequence[PodView]]]
    """Of the namespace."""


async def explained(
    cluster: ClusterClient, snapshot: Snapshot, cause: Cause, *, log_lines: int, known: KnownCluster | None = None
) -> RunbookError:
    """Return the error for people: one sentence, and the diagnosis that was made. With no log lines no log is read."""
    if known is None:
        known = KnownCluster(nodes=cluster.nodes, pods=partial(cluster.pods, snapshot.change.namespace))
    looked = await _look(cluster, known, cause, log_lines)
    cause = in_its_log(cause, looked.log)
    if cause.pod is not None and not cause.certain:
        cause = nodes.gone(cause.pod, looked.nodes) or cause
    seen: list[str] = []
    if cause.pod is not None:
        ready = sum(pod.ready for pod in snapshot.pods)
        if cause.crashed and (error := last_error(looked.log)):
            seen.append(f"Last error: {error}")
        cause, more = _counted(cause, looked)
        seen.append(
            f"Pod {cause.pod.name}, {ready} of {snapshot.deployment.desired} new pods ready." if cause.pod else ""
        )
        seen += [*more, *_events(snapshot, cause)]
    diagnosis = Diagnosis(
        service=snapshot.change.service,
        cause=clean(cause.what, _LONGEST_CAUSE),
        said=tuple(clean(word) for word in cause.said),
        seen=tuple(clean(line) for line in seen if line),
        log=tuple(clean(line) for line in looked.log),
        before_exit=looked.previous,
        causes=cause.usual,
    )
    return PermanentError(f"{snapshot.change.service}: {diagnosis.cause}", code=cause.code, diagnosis=diagnosis)


def clean(line: str, most: int = _LONGEST_LINE) -> str:
    """Return the text redacted, then cut: a cut could leave half of a secret that no pattern knows any more.

    Of a runtime's message the end is needed: it says why.
    """
    plain = with_names_once(" ".join(default_redactor().text(line).split()))
    return plain if len(plain) <= most else plain[: most - 1] + "…"


async def _look(cluster: ClusterClient, known: KnownCluster, cause: Cause, log_lines: int) -> _Looked:
    """Return the log and the nodes, read side by side; each may be missing."""
    if cause.pod is None:
        return _Looked([])
    (log, before), (nodes_now, neighbours) = await asyncio.gather(
        _within(_log_of(cluster, cause, log_lines), ([], False)), _within(_nodes_of(known, cause), ((), ()))
    )
    return _Looked(log, before, nodes_now, neighbours)


async def _within(looking: Coroutine[Any, Any, T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(_LOOK_UP):
            return await looking
    except (RunbookError, TimeoutError):
        return otherwise


async def _nodes_of(known: KnownCluster, cause: Cause) -> tuple[tuple[NodeView, ...], tuple[PodView, ...]]:
    """Return the nodes and their pods, where capacity is missing or the pod's node may be lost."""
    if cause.code is ReasonCode.UNSCHEDULABLE:
        found, pods = await asyncio.gather(known.nodes(), known.pods())
        return tuple(found), tuple(pods)
    placed = cause.pod is not None and cause.pod.node != ""
    return (tuple(await known.nodes()), ()) if placed and not cause.certain else ((), ())


async def _log_of(cluster: ClusterClient, cause: Cause, count: int) -> tuple[list[str], bool]:
    """Return the last log lines, and whether they are of a container that has ended."""
    if not count or cause.pod is None or cause.container is None or cause.silent:
        return [], False
    view = cause.pod.container(cause.container)
    over = view is not None and view.phase == "terminated"  # its log is still the present one
    log, before = await _last_log(cluster, cause.pod, cause.container, count, crashed=cause.crashed and not over)
    return log, before or (over and bool(log))


async def _last_log(
    cluster: ClusterClient, pod: PodView, container: str, count: int, *, crashed: bool
) -> tuple[list[str], bool]:
    """Return the last log lines of the container that failed, and whether they are from before its restart."""
    for previous in (True, False) if crashed else (False,):
        try:
            kept = b""
            async for chunk in cluster.logs(pod.namespace, pod.name, container, tail=count, previous=previous):
                kept = (kept + chunk)[-count * 4096 :]
        except RunbookError:
            continue
        tail = default_redactor().scope().tail(kept)  # here, since the lines go on one by one
        lines = [line for line in tail.decode(errors="replace").splitlines() if line.strip()][-count:]
        if lines:
            return lines, previous
    return [], False


def _counted(cause: Cause, looked: _Looked) -> tuple[Cause, list[str]]:
    """Return the cause with what only the nodes tell: how much capacity is missing, how the node is."""
    if cause.pod is None:
        return cause, []
    if cause.code is ReasonCode.NODE_LOST:
        return cause, [nodes.now(cause.pod, looked.nodes)] if looked.nodes else []
    if cause.code is not ReasonCode.UNSCHEDULABLE:
        return cause, []
    lack, how = scheduling.missing(cause.pod, looked.nodes, looked.neighbours)
    large = scheduling.too_large(cause.pod, looked.nodes)
    takers = "" if large else scheduling.largest(cause.pod, looked.nodes, looked.neighbours)
    what = f"{cause.what}, {lack}" if lack else cause.what
    return replace(cause, what=what, usual=scheduling.sized(cause.usual, large=large)), [how, takers]


def _events(snapshot: Snapshot, cause: Cause) -> list[str]:
    """Return the cluster's other warnings about this pod, without those that repeat what the pod itself says."""
    pod = cause.pod
    if pod is None:
        return []
    told = sorted(
        (e for e in snapshot.events if e.about == pod.uid and e.type == "Warning"), key=lambda event: event.order
    )
    told = [event for event in told if event.reason != "BackOff" and not event.message.startswith("Error: ")]
    fresh = [e for e in told if not any(e.message in said or said in e.message for said in cause.said)]
    return [f"Event {event.reason}: {event.message}" for event in fresh[-_EVENTS:]]
