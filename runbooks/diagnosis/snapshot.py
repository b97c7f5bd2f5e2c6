"""What a rollout looks like at one moment, and the one cause that is read out of it: the values of this package."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runbooks.clients.kubernetes.views import ContainerView, DeploymentView, EventView, PodView, ReplicaSetView
from runbooks.deployments.service_state import newest_of
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode


@dataclass(frozen=True, slots=True)
class Crash:
    """One end of one container's life, as it was seen."""

    pod: str
    """The pod's uid."""
    container: str
    at: str
    reason: str
    code: int | None

    @property
    def kind(self) -> tuple[str, str, int | None]:
        """What crashes of one kind have in common."""
        return (self.container, self.reason, self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsSnapshot:
    """What is known at one moment of pods, whoever made them: a ReplicaSet or a Job."""

    events: Sequence[EventView] = ()
    crashes: Sequence[Crash] = ()
    """Every end of a new pod's container that was seen since they are watched."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def is_main(self, container: str) -> bool:
        """Return whether it is the container that this is about, not one beside it."""
        raise NotImplementedError

    def told(self, pod: PodView, *reasons: str, container: str = "") -> list[EventView]:
        """Return the events of those reasons about the pod (and, where it is named, the container), oldest first."""
        found = [
            event
            for event in self.events
            if event.about == pod.uid
            and event.reason in reasons
            and event.message
            and (not container or event.container in ("", container))
        ]
        return sorted(found, key=lambda event: event.order)

    def seconds_since(self, stamp: str) -> float:
        """Return how long ago Kubernetes wrote that time; 0 where it can't be read."""
        try:
            return max(0.0, (self.at - datetime.fromisoformat(stamp)).total_seconds())
        except ValueError:
            return 0.0


@dataclass(frozen=True, slots=True)
class Snapshot(PodsSnapshot):
    """What a rollout looks like at one moment."""

    change: ImageChange
    deployment: DeploymentView
    new: ReplicaSetView | None
    pods: Sequence[PodView]
    """The pods of the new ReplicaSet, without those that are being deleted or are over."""
    others: Sequence[PodView] = ()
    """The Deployment's pods of older ReplicaSets."""
    leaving: Sequence[PodView] = ()
    """Those of either that are being deleted or are over."""
    fresh: bool = True
    """The Deployment's Progressing condition was written since the change: what an older rollout left there is not ours."""

    def is_main(self, container: str) -> bool:
        return container == self.change.container


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason, and what showed it."""

    code: ReasonCode
    what: str
    """In words, as the end of "Deploy v2.0.0 stopped at Backend rollout: …"; names of Kubernetes' own objects may be in it."""
    brief: str
    """In a few words, for the progress line: "insufficient cpu"."""
    said: tuple[str, ...] = ()
    """Kubernetes' own words, the most telling first."""
    pod: PodView | None = None
    container: str | None = None
    certain: bool = False
    """No waiting will mend it."""
    crashed: bool = False
    """The log worth reading is that of the container's previous life."""
    silent: bool = False
    """The container never ran, so it has no log."""
    usual: tuple[UsualCause, ...] = ()


def usual(*pairs: tuple[str, str]) -> tuple[UsualCause, ...]:
    """Return usual causes from pairs of what it may be and what to do about it."""
    return tuple(UsualCause(cause=cause, to_do=to_do) for cause, to_do in pairs)


def words(*texts: str) -> tuple[str, ...]:
    """Return the texts without empty ones and without one that another repeats."""
    kept: list[str] = []
    for text in texts:
        if text and not any(text in other for other in kept):
            kept.append(text)
    return tuple(kept)


def named(container: ContainerView, snapshot: PodsSnapshot) -> str:
    """Return `the container`, or its name where it is not the one that is being changed."""
    if snapshot.is_main(container.name):
        return "the container"
    return f"the {'sidecar' if container.sidecar else 'container'} {container.name}"


def snapshot_of(
    change: ImageChange,
    deployment: DeploymentView,
    sets: Iterable[ReplicaSetView],
    pods: Iterable[PodView],
    events: Iterable[EventView] = (),
    crashes: Iterable[Crash] = (),
    *,
    fresh: bool = True,
) -> Snapshot:
    """Return the snapshot, with new pods told from old ones by the ReplicaSet that has the Deployment's present pod template."""
    own = [r for r in sets if r.owner == deployment.uid]
    new = newest_of(deployment, own)
    uids = {r.uid for r in own}
    ours = [pod for pod in pods if pod.owner in uids]
    # One that was evicted stays in the list, and its ReplicaSet makes another in its place.
    fresh_uids = {pod.uid for pod in ours if new is not None and pod.owner == new.uid}
    present = [pod for pod in ours if not pod.deleting and not pod.over]
    return Snapshot(
        change=change,
        deployment=deployment,
        new=new,
        pods=[pod for pod in present if new is not None and pod.owner == new.uid],
        others=[pod for pod in present if new is None or pod.owner != new.uid],
        leaving=[pod for pod in ours if pod.deleting or pod.over],
        events=list(events),
        crashes=[crash for crash in crashes if crash.pod in fresh_uids],
        fresh=fresh,
    )
