"""A rollout as it goes on: Deployment, ReplicaSets, pods and events watched together, told as one snapshot after another.

Only `rollouts` uses this.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.cluster_events import LISTED
from runbooks.clients.kubernetes.views import Condition, DeploymentView, EventView, PodView, ReplicaSetView, Seen
from runbooks.diagnosis import Crash, Snapshot
from runbooks.diagnosis.snapshot import snapshot_of
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import merged
from runbooks.wording import counted

_KEPT_EVENTS = 200

V = TypeVar("V")
_View = DeploymentView | ReplicaSetView | PodView | EventView


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands."""

    complete: bool
    past_deadline: bool
    detail: str


def completion(snapshot: Snapshot, pods: str = "new pods") -> Progress:
    """Return the progress; it is complete where `kubectl rollout status` says so and every pod of the new ReplicaSet is ready.

    That a pod belongs to the ReplicaSet whose template names the asked image is the proof of what it runs. What a node reports as
    `imageID` is not: an index's platform, a shared layer store or another runtime make another digest of the same image.
    """
    deployment = snapshot.deployment
    observed = deployment.observed_generation >= deployment.generation
    ready = [pod for pod in snapshot.pods if pod.ready]
    old = deployment.total - deployment.updated
    complete = (
        deployment.rolled_out
        and (snapshot.new is not None or deployment.desired == 0)
        and len(snapshot.pods) == len(ready) == deployment.desired
    )
    detail = f"{len(ready)}/{deployment.desired} {pods} ready"
    if len(ready) >= deployment.desired and old > 0:
        detail += f", {counted(old, 'old pod')} still there"
    return Progress(complete, observed and deployment.past_deadline and snapshot.fresh, detail)


class Standstill:
    """For how long a rollout has made no progress, counted by the bot as well.

    Kubernetes counts from the condition Progressing, and not at all while that still tells of the rollout before. Where its controller
    was late, the condition may never be written anew (seen with 1.20): such a rollout is never past its deadline.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: tuple[object, ...] | None = None
        self._since = 0.0

    def exceeds(self, snapshot: Snapshot, lag: float) -> bool:
        """Return whether the rollout stands still for longer than its progress deadline and `lag` seconds."""
        deployment, new = snapshot.deployment, snapshot.new
        counts = (
            (new.uid, deployment.total, deployment.updated, deployment.ready, deployment.available)
            if new is not None and not deployment.paused
            else None
        )
        now = self._clock()
        if counts is None or counts != self._counts:
            self._counts, self._since = counts, now
        return now - self._since > deployment.progress_deadline + lag

    async def confirmed(self, cluster: ClusterClient, change: ImageChange, snapshot: Snapshot, lag: float) -> bool:
        """Return whether it does so by a fresh look as well: while the cluster is away, the last snapshot says nothing of now."""
        if not self.exceeds(snapshot, lag):
            return False
        try:
            return self.exceeds(await glance(cluster, change), lag)
        except RunbookError:
            return False


async def glance(cluster: ClusterClient, change: ImageChange) -> Snapshot:
    """Look at the rollout once and return the snapshot."""
    deployment, sets, pods = await asyncio.gather(
        cluster.deployment(change.namespace, change.deployment),
        cluster.replica_sets(change.namespace),
        cluster.pods(change.namespace),
    )
    return snapshot_of(change, deployment, sets, pods)


@asynccontextmanager
async def watched(
    cluster: ClusterClient, change: ImageChange, since: DeploymentView | None, *, tick: float = 10.0
) -> AsyncIterator[AsyncGenerator[Snapshot, None]]:
    """Yield the rollout's snapshots from now on. `since` is the Deployment as the change left it: nothing older is yielded.

    Where nothing changes, the same snapshot comes again every `tick` seconds: that something takes long is news, too.
    """
    first = since or await cluster.deployment(change.namespace, change.deployment)
    streams: tuple[AsyncGenerator[Seen[_View], None], ...] = (
        cluster.watch_deployments(change.namespace, change.deployment),
        cluster.watch_replica_sets(change.namespace, first.selector),
        cluster.watch_pods(change.namespace, first.selector),
        cluster.watch_events(change.namespace),
    )
    async with merged(*streams, tick=tick) as changes:
        yield _snapshots(changes, change, first, since)


async def _snapshots(
    changes: AsyncGenerator[list[Seen[_View]], None],
    change: ImageChange,
    first: DeploymentView,
    since: DeploymentView | None,
) -> AsyncGenerator[Snapshot, None]:
    picture = _Picture(change, first, since.condition("Progressing") if since is not None else None)
    async for batch in changes:
        news = [picture.take(seen) for seen in batch]
        if not (any(news) if batch else picture.complete):
            continue
        snapshot = picture.snapshot()
        # events only explain: what they might still explain waits for them a while, what is done does not
        if picture.explained or not batch or completion(snapshot).complete:
            yield snapshot


class _Picture:
    """What the watches told so far."""

    def __init__(self, change: ImageChange, first: DeploymentView, before: Condition | None) -> None:
        self._change = change
        self._first = first
        self._before = before
        """The Progressing condition as the change found it: an older rollout's, until it is written anew."""
        self._deployment = first
        self._present = False
        self._unlisted = 3
        self.explained = False
        """Events were listed, too."""
        self._sets: dict[str, ReplicaSetView] = {}
        self._pods: dict[str, PodView] = {}
        self._events: dict[str, EventView] = {}
        self._crashes: dict[tuple[str, str, str], Crash] = {}

    def take(self, seen: Seen[_View]) -> bool:
        """Take a change; return whether there is a whole snapshot to look at, since a part could be taken for a failure or for success."""
        gone = seen.kind == "deleted"
        match seen.view:
            case None if seen is LISTED:
                self.explained = True
            case None:
                self._unlisted -= 1
            case DeploymentView() as view:
                self._take_deployment(view, gone=gone)
            case ReplicaSetView() as view:
                _keep(self._sets, view.uid, view, gone=gone)
            case PodView() as view:
                _keep(self._pods, view.uid, view, gone=gone)
                self._note_crashes(view)
            case EventView() as view:
                if not self._concerns(view):
                    return False
                _keep(self._events, view.uid, view, gone=gone)
                if len(self._events) > _KEPT_EVENTS:
                    self._events.pop(next(iter(self._events)))
        if self._unlisted == 0 and not self._present:  # it was deleted before the watch began
            raise _deleted(self._change)
        return self.complete

    @property
    def complete(self) -> bool:
        """Whether everything that the state depends on was listed once."""
        return self._unlisted == 0

    def snapshot(self) -> Snapshot:
        stale = self._before is not None and self._deployment.condition("Progressing") == self._before
        pods, events, crashes = self._pods.values(), self._events.values(), self._crashes.values()
        return snapshot_of(self._change, self._deployment, self._sets.values(), pods, events, crashes, fresh=not stale)

    def _concerns(self, event: EventView) -> bool:
        """Return whether the event is about the Deployment's pods and ReplicaSets, or about a volume claim."""
        if event.about_kind == "PersistentVolumeClaim":
            return True  # it may come before the pod that mounts it
        return event.about_kind in ("Pod", "ReplicaSet") and event.about_name.startswith(f"{self._first.name}-")

    def _note_crashes(self, pod: PodView) -> None:
        """Keep each end of a container: the pod's status shows it only until the container ends again."""
        for container in pod.containers:
            reason = container.reason if container.phase == "terminated" else container.ended_reason
            code = container.exit_code if container.phase == "terminated" else container.ended_code
            if container.ended_at and not (container.init and code == 0):
                crash = Crash(pod.uid, container.name, container.ended_at, reason, code)
                self._crashes.setdefault((pod.uid, container.name, container.ended_at), crash)

    def _take_deployment(self, view: DeploymentView, *, gone: bool) -> None:
        if gone or view.uid != self._first.uid:
            raise _deleted(self._change)
        self._present = True
        if view.generation >= self._first.generation:
            self._deployment = view


def _keep(known: dict[str, V], key: str, view: V, *, gone: bool) -> None:
    if gone:
        known.pop(key, None)
    else:
        known[key] = view


def _deleted(change: ImageChange) -> PermanentError:
    return PermanentError(
        f"{change.service}: deployment {change.deployment} was deleted during the rollout", code=ReasonCode.NOT_FOUND
    )
