"""What is kept before pods go away: their state, events and last log lines, redacted, so that the cause can be found afterwards.

It stands with the fleet's record, one ConfigMap for each run (`kubectl get configmap evidence-RUN -o jsonpath='{.data.text}'` reads it
without the bot): the newest few of an environment, each far below a ConfigMap's 1 MiB. Keeping it takes two seconds at most, it goes
on beside what it is kept for, and whatever goes wrong with it stops nobody from going back.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import AlreadyThere
from runbooks.clients.kubernetes.views import ContainerView, DeploymentView, EventView, PodView
from runbooks.fleet.fleet import utc_now
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.waiting import end
from runbooks.redaction.redactor import Scope, default_redactor
from runbooks.wording import counted

KEPT_RUNS = 20
"""Of each environment; the oldest goes first."""
LARGEST = 256 * 1024
"""Bytes of one run's evidence."""
_PODS = 20
_LINES = 200
"""Of each pod."""
_EVENTS = 60
_LONGEST_LINE = 500
PATIENCE = 1.5
"""Seconds for looking; what did not come by then is named."""
_WRITING = 1.0
_AGAIN = 0.5
"""Seconds before it is tried again, at most: there is no time for more."""
_HEAD_START = 0.3
"""Seconds for which pods are let be, so that their logs have begun to come; what is asked for by then comes from ending pods, too."""
_RECORD = "omnicare.dev/record"
_ENVIRONMENT = "omnicare.dev/environment"


class KeptEvidence(Frozen):
    """What was kept."""

    pods: int = 0
    events: int = 0
    lines: int = 0
    why: str = ""
    """Why nothing was, or what is missing."""

    @property
    def said(self) -> str:
        """Such as `6 pods, 12 events, 640 log lines`."""
        if not self.pods and not self.events:
            return f"nothing saved: {self.why}" if self.why else "nothing to save: there are no pods"
        counts = ((self.pods, "pod"), (self.events, "event"), (self.lines, "log line"))
        return ", ".join(counted(count, word) for count, word in counts)


class SavedEvidence(Frozen):
    """As it is read again."""

    at: str
    summary: str
    text: str


@dataclass(slots=True)
class _Log:
    """The last lines of one container."""

    title: str
    lines: list[str]
    why: str = ""


async def keep(
    pulse: Pulse,
    cluster: ClusterClient,
    environment: Environment,
    services: Sequence[str],
    *,
    home: ClusterClient | None = None,
    patience: float = PATIENCE,
) -> KeptEvidence:
    """Keep what the services' pods show as evidence. Never raises `RunbookError`. `home`: where it is kept, if that is another cluster.

    `patience`: seconds for looking.
    """
    kept = await _keep(pulse.run, cluster, environment, services, asyncio.Event(), home, patience)
    pulse.say(kept.said)
    return kept


class Keeping:
    """What is being kept, beside something else."""

    def __init__(self, task: "asyncio.Task[KeptEvidence]", looked: asyncio.Event) -> None:
        self._task = task
        self._looked = looked

    async def head_start(self) -> None:
        """Return once the pods were looked at, or after a moment at the longest, so that changes come after."""
        looked = asyncio.ensure_future(self._looked.wait())
        try:
            await asyncio.wait((self._task, looked), timeout=_HEAD_START, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looked.cancel()

    @property
    def kept(self) -> KeptEvidence:
        """What was kept, once that is over."""
        return self._task.result()


@asynccontextmanager
async def keeping(
    run: str,
    cluster: ClusterClient,
    environment: Environment,
    services: Sequence[str],
    *,
    home: ClusterClient | None = None,
) -> AsyncGenerator[Keeping, None]:
    """Keep the evidence while the body runs; end when both have ended."""
    looked = asyncio.Event()
    task = asyncio.ensure_future(_keep(run, cluster, environment, services, looked, home, PATIENCE))
    try:
        yield Keeping(task, looked)
    finally:
        await task


async def _keep(
    run: str,
    cluster: ClusterClient,
    environment: Environment,
    services: Sequence[str],
    looked: asyncio.Event,
    home: ClusterClient | None,
    patience: float,
) -> KeptEvidence:
    chosen = [service for service in environment.services if service.name in services]
    try:
        async with asyncio.timeout(patience + _WRITING):
            return await retried(
                lambda: _kept(cluster, environment, chosen, run, looked, home or cluster, patience),
                # the pods are still there just now, and may not be later: nobody waits for as long as a server asks
                pause=lambda seconds: asyncio.sleep(min(seconds, _AGAIN)),
            )
    except TimeoutError:
        return KeptEvidence(why="the cluster did not answer in time")
    except RunbookError as error:
        return KeptEvidence(
            why="the bot lacks the permission" if error.code is ReasonCode.CLUSTER_REFUSED else error.message
        )


async def find(cluster: ClusterClient, environment: Environment, run: str) -> SavedEvidence | None:
    """Return the evidence of that run, of all regions; None where none was kept, or newer evidence has replaced it."""
    regions = [each.name for each in environment.regions] or [""]
    read = await asyncio.gather(*(_find(cluster, environment.within(region), run) for region in regions))
    found = [(region, each) for region, each in zip(regions, read, strict=True) if each is not None]
    if len(found) < 2:  # noqa: PLR2004 - one has no need of a heading
        return found[0][1] if found else None
    return SavedEvidence(
        at=max(each.at for _, each in found),
        summary="; ".join(f"{region}: {each.summary}" for region, each in found),
        text="\n".join(f"Region {region}\n{each.text}" for region, each in found),
    )


async def _find(cluster: ClusterClient, environment: Environment, run: str) -> SavedEvidence | None:
    try:
        found = await cluster.config_map(environment.record_namespace, _name(run, environment))
    except PermanentError as error:
        if error.code is ReasonCode.NOT_FOUND:
            return None
        raise
    return SavedEvidence(
        at=found.data.get("at", ""), summary=found.data.get("summary", ""), text=found.data.get("text", "")
    )


def _name(run: str, environment: Environment) -> str:
    away = f"-{environment.region}" if environment.region != environment.home and environment.region else ""
    return re.sub(r"[^a-z0-9.-]", "-", f"evidence-{run.lower()}{away}")


async def _kept(
    cluster: ClusterClient,
    environment: Environment,
    services: Sequence[Service],
    run: str,
    looked: asyncio.Event,
    home: ClusterClient,
    patience: float,
) -> KeptEvidence:
    deployments, sets, pods, events = await asyncio.gather(
        cluster.deployments(environment.namespace),
        cluster.replica_sets(environment.namespace),
        cluster.pods(environment.namespace),
        cluster.events(environment.namespace),
    )
    containers = {service.deployment: service.container for service in services}
    mine = {view.uid: view for view in deployments if view.name in containers}
    owners = {each.uid: mine[each.owner] for each in sets if each.owner in mine}
    own = sorted((pod for pod in pods if pod.owner in owners), key=_worst_first)
    told = _of(events, [*mine.values()], own)
    scope = default_redactor().scope()
    logs = await _logs(cluster, scope, [(pod, containers[owners[pod.owner].name]) for pod in own[:_PODS]], patience)
    looked.set()
    parts = [_deployment(view) for view in mine.values()]
    parts += [_pod(pod, told, logs.get(pod.uid, [])) for pod in own[:_PODS]]
    parts += ["\n".join(["Events", *(f"  {_event(event)}" for event in told)])] if told else []
    lines = sum(len(log.lines) for each in logs.values() for log in each)
    kept = KeptEvidence(pods=len(own[:_PODS]), events=len(told), lines=lines)
    if own or told:
        await _write(home, environment, run, kept, await asyncio.to_thread(_fitting, scope, parts))
    return kept


def _worst_first(pod: PodView) -> tuple[bool, int, str]:
    return (pod.ready, -pod.restarts, pod.name)


def _of(events: Iterable[EventView], deployments: Sequence[DeploymentView], pods: Sequence[PodView]) -> list[EventView]:
    """Return the newest events about these Deployments, their ReplicaSets and their pods."""
    uids = {pod.uid for pod in pods}
    names = tuple(f"{view.name}-" for view in deployments)
    exactly = {view.name for view in deployments}
    told = [
        event
        for event in events
        if event.about in uids
        or (event.about_kind == "Deployment" and event.about_name in exactly)
        or (event.about_kind == "ReplicaSet" and event.about_name.startswith(names))
    ]
    return told[-_EVENTS:]


async def _logs(
    cluster: ClusterClient, scope: Scope, pods: Sequence[tuple[PodView, str]], patience: float
) -> dict[str, list[_Log]]:
    """Return the logs of all pods, read side by side; one that has not answered by the deadline is left out and named."""
    tasks = {
        asyncio.ensure_future(_log(cluster, scope, pod, container, previous=previous)): (pod.uid, previous)
        for pod, container in pods
        for previous in ((True, False) if _restarted(pod, container) else (False,))
    }
    if not tasks:
        return {}
    done, late = await asyncio.wait(tasks, timeout=patience)
    await end(*late)
    found: dict[str, list[_Log]] = {}
    for task, (uid, previous) in tasks.items():
        log = task.result() if task in done else _Log(_titled(previous=previous), [], "no answer in time")
        found.setdefault(uid, []).append(log)
    return found


def _restarted(pod: PodView, container: str) -> bool:
    seen = pod.container(container)
    return seen is not None and seen.restarts > 0


def _titled(*, previous: bool) -> str:
    return "Log before the last restart" if previous else "Log"


async def _log(cluster: ClusterClient, scope: Scope, pod: PodView, container: str, *, previous: bool) -> _Log:
    log = _Log(_titled(previous=previous), [])
    count = _LINES // 2 if _restarted(pod, container) else _LINES
    most = LARGEST // _PODS * 4
    kept = b""
    cut = False
    try:
        stream = cluster.logs(pod.namespace, pod.name, container, tail=count, previous=previous)
        async with aclosing(stream) as chunks:
            async for chunk in _bounded(chunks):
                kept += chunk
                if len(kept) > most:
                    kept, cut = kept[-most:], True
    except RunbookError as error:
        log.why = " ".join((*error.evidence, error.message)[0].split())[:200]
    if cut:  # a line's rest could be half of a secret that no pattern knows any more
        kept = kept.partition(b"\n")[2]
    log.lines = [line for line in scope.tail(kept).decode(errors="replace").splitlines() if line.strip()][-count:]
    return log


async def _bounded(chunks: AsyncIterator[bytes], most: int = 4 << 20) -> AsyncIterator[bytes]:
    """Yield at most so many bytes of one log: lines may be of any length."""
    read = 0
    async for chunk in chunks:
        yield chunk
        read += len(chunk)
        if read > most:
            return


def _fitting(scope: Scope, parts: Sequence[str]) -> str:
    """Return the evidence redacted as a whole, so that equal secrets get equal marks, then each part cut as far as needed."""
    whole: list[str] = []
    left = LARGEST
    for place, part in enumerate(parts):
        lines = [line[:_LONGEST_LINE] for line in scope.text(part).splitlines()]
        share = left // (len(parts) - place)
        text = _within("\n".join(lines), share)
        left -= len(text.encode()) + 2
        whole.append(text)
    return "\n\n".join(whole) + "\n"


def _within(text: str, most: int) -> str:
    """Return the text without its middle: its head says what it is, its end is the newest."""
    data = text.encode()
    if len(data) <= most:
        return text
    head, tail = data[: most // 4], data[-(most * 3 // 4 - 80) :]
    before = head[: head.rfind(b"\n") + 1].decode(errors="ignore")
    after = tail[tail.find(b"\n") + 1 :].decode(errors="ignore")
    return f"{before}  … {counted(len(data) - len(head) - len(tail), 'byte')} omitted …\n{after}"


async def _write(cluster: ClusterClient, environment: Environment, run: str, kept: KeptEvidence, text: str) -> None:
    labels = {
        "app.kubernetes.io/managed-by": "omnicare-bot",
        _RECORD: "evidence",
        _ENVIRONMENT: environment.name,
    }
    data = {"run": run, "at": utc_now(), "summary": kept.said, "text": text}
    namespace = environment.record_namespace
    try:
        await cluster.create_config_map(namespace, _name(run, environment), data, labels)
    except AlreadyThere:  # the step was killed and runs again: what was kept first is nearer to the cause
        return
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    known = sorted(await cluster.config_maps(namespace, selector), key=lambda each: each.data.get("at", ""))
    for old in known[:-KEPT_RUNS]:
        await cluster.delete_config_map(namespace, old.name)


def _deployment(view: DeploymentView) -> str:
    conditions = (f"  {c.type}={c.status} {c.reason}: {c.message}" for c in view.conditions)
    images = ", ".join(each.image for each in view.containers)
    head = f"Deployment {view.name} · revision {view.revision} · {view.ready} of {view.desired} ready"
    return "\n".join([head, f"  images {images}", *conditions])


def _pod(pod: PodView, events: Sequence[EventView], logs: Sequence[_Log]) -> str:
    state = "ready" if pod.ready else "not ready"
    lines = [f"Pod {pod.name} · {state} · {pod.phase}{f' {pod.reason}' if pod.reason else ''} · since {pod.created}"]
    lines += [f"  on {pod.node}"] if pod.node else []
    lines += [f"  {pod.unschedulable}"] if pod.unschedulable else []
    lines += [f"  {line}" for each in pod.containers for line in _container(each)]
    lines += [f"  {_event(event)}" for event in events if event.about == pod.uid]
    for log in logs:
        count = counted(len(log.lines), "line") if log.lines else ""
        lines.append(f"  {log.title}: {log.why or (count and f'the last {count}') or 'empty'}")
        lines += [f"    {line}" for line in log.lines]
    return "\n".join(lines)


def _container(seen: ContainerView) -> Iterator[str]:
    now = " ".join(filter(None, (seen.phase, seen.reason, f"exit code {seen.exit_code}" if seen.exit_code else "")))
    yield f"{'init ' if seen.init else ''}container {seen.name}: {now}, {counted(seen.restarts, 'restart')}, image {seen.image}"
    if seen.message:
        yield f"  {seen.message}"
    if seen.ended_reason:
        yield f"  previously: {seen.ended_reason}, exit code {seen.ended_code}, {seen.ended_at} {seen.ended_message}".rstrip()


def _event(event: EventView) -> str:
    times = f" ({counted(event.count, 'time')})" if event.count > 1 else ""
    at = f"{event.at:%Y-%m-%dT%H:%M:%SZ}" if event.at is not None else "at an unknown time:"
    return f"{at} {event.type} {event.reason}{times} {event.about_kind} {event.about_name}: {event.message}"
