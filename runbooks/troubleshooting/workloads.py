"""What keeps the services' pods from running: pending pods, image pulls, crashes, probes, missing configuration, stuck rollouts.

The causes are those that a rollout is told of (`runbooks.diagnosis`), read out of what the cluster lists.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from runbooks.clients.kubernetes.views import DeploymentView, EventView, PodView
from runbooks.deployments import service_state
from runbooks.deployments.service_state import Listed, ServiceState
from runbooks.diagnosis import Cause, KnownCluster, Snapshot, clean, every_standing, explained
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Service
from runbooks.observe.pods import log_of
from runbooks.observe.service_health import is_old, snapshot_now
from runbooks.troubleshooting.case import LOGS, Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, Thing, ToDo, Trouble, could_not_look
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import by_count, capital, counted, part_of

_LOG_LINES = 20
_CAUSES = 3
"""Of one service; there are seldom two."""
_KINDS = {
    ReasonCode.IMAGE_PULL: Trouble.IMAGE,
    ReasonCode.IMAGE_UNKNOWN: Trouble.IMAGE,
    ReasonCode.IMAGE_UNAUTHORIZED: Trouble.IMAGE,
    ReasonCode.IMAGE_RATE_LIMITED: Trouble.IMAGE,
    ReasonCode.IMAGE_PLATFORM: Trouble.IMAGE,
    ReasonCode.IMAGE_NAME: Trouble.IMAGE,
    ReasonCode.WRONG_DIGEST: Trouble.IMAGE,
    ReasonCode.CRASH_LOOP: Trouble.CRASHES,
    ReasonCode.INIT_FAILED: Trouble.CRASHES,
    ReasonCode.CONTAINER_CONFIG: Trouble.CRASHES,
    ReasonCode.POD_ENDED: Trouble.CRASHES,
    ReasonCode.OUT_OF_MEMORY: Trouble.OUT_OF_MEMORY,
    ReasonCode.CONFIG_MISSING: Trouble.CONFIG_MISSING,
    ReasonCode.NEVER_READY: Trouble.PROBE,
    ReasonCode.PROBE_KILLS: Trouble.PROBE,
    ReasonCode.READINESS_GATE: Trouble.PROBE,
    ReasonCode.UNSCHEDULABLE: Trouble.PENDING,
    ReasonCode.SCHEDULING_GATED: Trouble.PENDING,
    ReasonCode.VOLUME_UNAVAILABLE: Trouble.VOLUME,
    ReasonCode.NODE_LOST: Trouble.NODE_DOWN,
    ReasonCode.QUOTA_EXCEEDED: Trouble.QUOTA,
}
_WARNINGS = {
    Trouble.IMAGE: ("Failed", "BackOff", "InspectFailed"),
    Trouble.CRASHES: ("BackOff", "Failed"),
    Trouble.OUT_OF_MEMORY: ("BackOff", "OOMKilling"),
    Trouble.CONFIG_MISSING: ("Failed", "FailedMount"),
    Trouble.PROBE: ("Unhealthy",),
    Trouble.PENDING: ("FailedScheduling",),
    Trouble.VOLUME: ("FailedScheduling", "FailedMount", "FailedAttachVolume"),
    Trouble.QUOTA: ("FailedCreate",),
}
"""The reasons of the events that tell of each."""
_OF_A_VERSION = (Trouble.IMAGE, Trouble.CRASHES, Trouble.OUT_OF_MEMORY, Trouble.CONFIG_MISSING, Trouble.PROBE)
"""What going back to another image ends."""
_MOUNTS = (ReasonCode.VOLUME_UNAVAILABLE, ReasonCode.CONFIG_MISSING)
_LATELY = timedelta(minutes=15)
_ROOM = ToDo(
    text="Ask who runs the pods that request most: there is room once they end or move",
    command="top nodes",
    label="Top nodes",
)
_EXPLAINS = (Trouble.ROLLOUT_STUCK, Trouble.NOT_READY, Trouble.NOT_SERVED, Trouble.TARGETS, Trouble.RESTARTS, Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC, Trouble.ALERT)  # fmt: skip


class Workloads(RegionRule):
    """Looks at each service's Deployment and pods."""

    name = "pods and rollouts"
    permission = "fleet:read"
    seconds = 8.0

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the causes for what is not complete, with the log's last error and what is missing on the nodes."""
        listed = await place.listed()
        states = service_state.read(place.environment, listed)
        wanted = {service.name for service in case.services}
        pairs = [
            (service, state)
            for service, state in zip(place.environment.services, states, strict=True)
            if service.name in wanted
        ]
        unknown: tuple[str, ...] = ()
        events: Sequence[EventView] = ()
        if any(state.state != "complete" for _, state in pairs):
            try:
                events = await place.events()
            except RunbookError as error:  # there are fewer causes without them
                unknown = (f"events: {error.message}",)
        found = await asyncio.gather(
            *(_of_service(case, place, service, state, listed, events) for service, state in pairs)
        )
        return RuleAnswer(
            found=tuple(finding for each in found for finding in each),
            unknown=could_not_look(*unknown).unknown,
            details=counted(sum(state.ready for _, state in pairs), "ready pod"),
        )


async def _of_service(
    case: Case,
    place: PlaceFacts,
    service: Service,
    state: ServiceState,
    listed: Listed,
    events: Sequence[EventView],
) -> list[Finding]:
    deployment = listed.deployment(service)
    look = ToDo(text="Look at its pods, probes and warnings", command=f"describe {service.name}", label="Describe")
    if deployment is None or state.image is None:
        return [_plain(service, Trouble.NOT_SERVED, f"{service.name}: {_end(state.detail)}")]
    if state.idle:
        return [_plain(service, Trouble.NOT_SERVED, f"{service.name} is scaled to 0 replicas, so it does not run")]
    if state.state == "complete":
        return []
    snapshot = snapshot_now(state, state.image, deployment, listed, events)
    causes = [
        cause
        for cause in every_standing(snapshot)
        if (cause.certain or is_old(snapshot)) and not _is_history(cause, case.since)
    ][:_CAUSES]
    if not causes:
        return _stuck(service, state, deployment, look)
    return list(await asyncio.gather(*(_of_cause(case, place, service, snapshot, cause, look) for cause in causes)))


async def _of_cause(
    case: Case, place: PlaceFacts, service: Service, snapshot: Snapshot, cause: Cause, look: ToDo
) -> Finding:
    """Return the finding for one cause: its words, Kubernetes' own, the log's last error, what to do."""
    logs = LOGS in case.may
    error = await explained(
        place.place.cluster, snapshot, cause, log_lines=_LOG_LINES if logs else 0, known=_known(place)
    )
    said = error.diagnosis
    assert said is not None, "an explained cause has a diagnosis"
    to_do: tuple[ToDo, ...] = (look,)
    if cause.crashed or said.log:
        to_do = (look, _log(service, cause))
    errors = [line for line in said.seen if line.startswith("Last error: ")]
    kind = _KINDS.get(error.code, Trouble.NOT_READY)
    return Finding(
        kind=kind,
        cause=f"{service.name}: {said.cause}{_whose(snapshot)}",
        # what a container leaves as its last message may be the end of its log
        evidence=(
            *errors,
            *(said.said if logs or not cause.crashed else ()),
            *(line for line in said.seen if line not in errors),
        ),
        confidence=Confidence.CERTAIN if cause.certain else Confidence.LIKELY,
        since=_since(snapshot, cause),
        service=service.name,
        to_do=(
            *(_back(service, snapshot) if kind in _OF_A_VERSION else ()),
            *((_ROOM,) if any(line.startswith("Most is requested by ") for line in said.seen) else ()),
            *(
                # there may be no run to retry
                ToDo(text=f"Possible cause: {each.cause}. {_capital(each.to_do.removesuffix(', then retry'))}")
                for each in said.causes
            ),
            *to_do,
        ),
        about=tuple(_about(service, cause)),
        explains=_EXPLAINS,
    )


def _known(place: PlaceFacts) -> KnownCluster:
    """Return nodes and pods as they are read for the other rules, too."""

    async def pods() -> Sequence[PodView]:
        return (await place.listed()).pods

    return KnownCluster(nodes=place.nodes, pods=pods)


def _about(service: Service, cause: Cause) -> Iterator[Thing]:
    if cause.pod is None:
        yield Thing(kind="deployment", name=service.deployment)
        return
    yield Thing(kind="pod", name=cause.pod.name)
    if cause.container is not None and not cause.silent:
        yield log_thing(cause.pod, cause.container)
    if cause.pod.node:
        yield Thing(kind="node", name=cause.pod.node)


def log_thing(pod: PodView, container: str) -> Thing:
    """Return the log of that container, from before its restart where it was restarted."""
    view = pod.container(container)
    before = ("--previous",) if view is not None and view.restarts else ()
    return Thing(kind="log", name=pod.name, options=("-c", container, *before))


def _log(service: Service, cause: Cause) -> ToDo:
    """The log of the pod that failed: the service's other pods may be well, and have much to say."""
    if cause.pod is None:
        return ToDo(text="Read its log", command=f"logs {service.name}", label="Logs")
    words = log_of(cause.pod, cause.container or service.container, service)
    text = "Read what it wrote before it ended" if "--previous" in words else f"Read the log of pod {cause.pod.name}"
    return ToDo(text=text, command=f"logs {words}", label="Logs")


def _stuck(service: Service, state: ServiceState, deployment: DeploymentView, look: ToDo) -> list[Finding]:
    to_do: tuple[ToDo, ...] = (look,)
    if state.state == "paused":
        cause = f"{service.name}: its rollout is paused, so a change waits"
        line = f"{state.kubectl} rollout resume deployment/{state.deployment} -n {state.namespace}"
        to_do = (ToDo(text=f"Ask who paused it, or run `{line}`"), look)
    elif state.state == "stuck":
        cause = f"{service.name}: its rollout makes no progress"
    else:  # it is under way, or a pod has just gone
        return []
    progressing = deployment.condition("Progressing")
    return [
        Finding(
            kind=Trouble.ROLLOUT_STUCK,
            cause=cause,
            evidence=(clean(state.detail),) if state.detail else (),
            confidence=Confidence.LIKELY,
            since=read_time(progressing.updated) if progressing is not None else None,
            service=service.name,
            to_do=to_do,
            explains=(Trouble.NOT_SERVED,),
        )
    ]


def _plain(service: Service, kind: Trouble, cause: str) -> Finding:
    return Finding(
        kind=kind,
        cause=cause,
        confidence=Confidence.CERTAIN,
        service=service.name,
        to_do=(ToDo(text="See what is there", command="resources", label="Resources"),),
        explains=(Trouble.TARGETS, Trouble.ERRORS, Trouble.METRIC, Trouble.ALERT),
    )


def _end(sentence: str) -> str:
    """Return a sentence as the end of another."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")


def _capital(sentence: str) -> str:
    return capital(sentence)


def _whose(snapshot: Snapshot) -> str:
    """Return which pods it is about, and what still serves."""
    late = sum(not pod.ready for pod in snapshot.pods)
    old = sum(pod.ready for pod in snapshot.others)
    serving = f"{counted(old, 'old pod')} still {by_count(old, 'serves', 'serve')}" if old else ""
    about = part_of(late, len(snapshot.pods), "new pod" if snapshot.others else "pod") if late else ""
    said = "; ".join(part for part in (about, serving) if part)
    return f" ({said})" if said else ""


def _back(service: Service, snapshot: Snapshot) -> Iterator[ToDo]:
    """Yield the way back, where old pods run another image than new ones."""
    specs = (pod.spec(snapshot.change.container) for pod in snapshot.others if pod.ready)
    images = {spec.image: Image.parse(spec.image) for spec in specs if spec is not None}
    now = snapshot.change.after
    before = [each for each in images.values() if (each.tag, each.digest) != (now.tag, now.digest)]
    if len(before) == 1:
        version = before[0].tag or before[0].short
        yield ToDo(text=f"Roll {service.name} back to {version}", command=f"rollback {service.name}", label="Roll back")


def _since(snapshot: Snapshot, cause: Cause) -> datetime | None:
    """Return the first warning of this kind that still comes; where there is none, when the first pod stopped being ready."""
    about = {pod.uid for pod in snapshot.pods if not pod.ready}
    about |= {snapshot.new.uid} if snapshot.new is not None and cause.pod is None else set()
    reasons = _WARNINGS.get(_KINDS.get(cause.code, Trouble.NOT_READY), ())
    warned = [
        event.first
        for event in snapshot.events
        if event.about in about and event.reason in reasons and event.first and snapshot.at - event.order <= _LATELY
    ]
    made = [at for pod in snapshot.pods if not pod.ready and (at := _unready_since(pod)) is not None]
    return min(warned or made, default=None)


def _is_history(cause: Cause, since: datetime) -> bool:
    """Return whether it is over: a pod that ended before the time that is looked at, or a mount that failed before its containers ran.

    Pods that were evicted lately are told by another rule.
    """
    pod = cause.pod
    if pod is None:
        return False
    if cause.code is ReasonCode.POD_ENDED:
        ends = [read_time(each.ended_at) for each in pod.containers]
        disrupted = pod.condition("DisruptionTarget")
        ends.append(read_time(disrupted.updated) if disrupted is not None else None)
        return pod.reason == "Evicted" or max((at for at in ends if at is not None), default=since) <= since
    ran = any(each.restarts or each.phase in ("running", "terminated") for each in pod.containers if not each.init)
    return cause.container is None and cause.code in _MOUNTS and ran


def _unready_since(pod: PodView) -> datetime | None:
    ready = pod.condition("Ready")
    return read_time(ready.updated if ready is not None and ready.updated else pod.created)
