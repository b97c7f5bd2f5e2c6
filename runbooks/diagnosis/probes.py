"""A probe that fails: which one, how, and what it asks.

A readiness probe that fails keeps the pod out of the Service; a liveness or startup probe that fails ends the container, which the
kubelet says in an event of its own.
"""

import re

from runbooks.clients.kubernetes.views import ContainerView, EventView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, named, usual
from runbooks.kit.reasons import ReasonCode

_UNHEALTHY = re.compile(
    r"^(readiness|liveness|startup) probe (?:failed|errored)[^:]*:? ?(.*)", re.IGNORECASE | re.DOTALL
)
_KILLED = re.compile(r"failed (liveness|startup) probe", re.IGNORECASE)
_STATUS = re.compile(r"status ?code: ?(\d{3})", re.IGNORECASE)
_HOW = (
    (re.compile(r"connection refused", re.IGNORECASE), "connection refused"),
    (re.compile(r"connection reset", re.IGNORECASE), "connection reset"),
    (re.compile(r"no route to host|network is unreachable", re.IGNORECASE), "no route to the pod"),
    (re.compile(r"time-?out|timed out|deadline exceeded", re.IGNORECASE), "no answer in time"),
    (re.compile(r"not_serving|service unhealthy", re.IGNORECASE), "it reports that it is not serving"),
    (re.compile(r"x509|certificate|tls", re.IGNORECASE), "its certificate is rejected"),
)

_NOT_READY = usual(
    ("something the probe checks (database, cache) does not answer", "check that service first"),
    ("the probe uses a path or port that this version does not serve", "fix the probe on the Deployment, or roll back"),
    ("it needs more time to start than it gets", "raise `progressDeadlineSeconds`, then retry"),
)
_ENDS_IT = usual(
    (
        "it starts too slowly for the probe",
        "raise `initialDelaySeconds` or `failureThreshold`, or use a startup probe",
    ),
    ("the probe uses a path or port that this version does not serve", "fix the probe on the Deployment, or roll back"),
    ("it hangs", "roll back and send the log to the developers"),
)


def not_ready(snapshot: PodsSnapshot, pod: PodView, container: ContainerView) -> Cause | None:
    """Return the container that runs and is not ready."""
    if container.phase != "running" or container.ready or container.init:
        return None
    # as long as the startup probe has not passed, no other is asked
    spec = pod.spec(container.name)
    starts = not container.started and spec is not None and "startup" in spec.probes
    kinds = ("startup", "readiness") if starts else ("readiness", "startup")
    event = _newest(snapshot, pod, container, kinds[0]) or _newest(snapshot, pod, container, kinds[1])
    if event is None and starts:
        what = f"{named(container, snapshot)} runs, but its startup probe has not passed{_asked(pod, container, 'startup')}"
        brief = "its startup probe has not passed"
    elif event is None:
        what = f"{named(container, snapshot)} runs, but is not ready"
        brief = "it runs, but is not ready"
    else:
        probe, how = _read(event)
        what = f"the {probe} probe fails: {how}{_asked(pod, container, probe)}"
        brief = f"the {probe} probe fails ({how})"
    return Cause(
        code=ReasonCode.NEVER_READY,
        what=what,
        brief=brief,
        said=(event.message,) if event is not None else pod.said("ContainersReady"),
        pod=pod,
        container=container.name,
        usual=_NOT_READY,
    )


def killed_by(snapshot: PodsSnapshot, pod: PodView, container: ContainerView) -> Cause | None:
    """Return the liveness or startup probe that ends the container again and again, where one does."""
    killing = [e for e in snapshot.told(pod, "Killing", container=container.name) if _KILLED.search(e.message)]
    killing = [event for event in killing if container.name in event.message or event.container == container.name]
    if not killing:
        return None
    found = _KILLED.search(killing[-1].message)
    assert found is not None, "filtered above"
    probe = found[1].lower()
    event = _newest(snapshot, pod, container, probe)
    how = _read(event)[1] if event is not None else "no acceptable answer"
    said = (event.message, killing[-1].message) if event is not None else (killing[-1].message,)
    return Cause(
        code=ReasonCode.PROBE_KILLS,
        what=f"the {probe} probe fails: {how}{_asked(pod, container, probe)}",
        brief=f"the {probe} probe fails ({how})",
        said=said,
        usual=_ENDS_IT,
    )


def _newest(snapshot: PodsSnapshot, pod: PodView, container: ContainerView, probe: str) -> EventView | None:
    found = [
        event
        for event in snapshot.told(pod, "Unhealthy", "ProbeError", container=container.name)
        if event.message.lower().startswith(probe)
    ]
    return found[-1] if found else None


def _read(event: EventView) -> tuple[str, str]:
    """Return which probe it is and how it fails."""
    found = _UNHEALTHY.match(event.message)
    if found is None:
        return "readiness", "see below"
    detail = found[2]
    if status := _STATUS.search(detail):
        return found[1].lower(), f"HTTP {status[1]}"
    how = next((words for pattern, words in _HOW if pattern.search(detail)), "")
    return found[1].lower(), how or "its command fails"


def _asked(pod: PodView, container: ContainerView, probe: str) -> str:
    spec = pod.spec(container.name)
    asked = spec.probes.get(probe, "") if spec is not None else ""
    return f" ({asked})" if asked else ""
