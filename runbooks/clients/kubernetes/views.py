"""The cluster client's return values: small and frozen (`reading` creates them).

Runbooks, plans and diagnoses use these and never see the SDK's models, whose fields follow the newest Kubernetes and
reject objects from which an older server omits fields. Each class has only the fields that a runbook needs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Literal, Protocol, TypeVar

REVISION = "deployment.kubernetes.io/revision"
DEFAULT_SURGE = "25%"
"""Kubernetes' own, where a Deployment does not say."""
_MOST_SURGE = 1000
_SURGE = re.compile(r"[0-9]{1,4}|[0-9]{1,3}%", re.ASCII)
SHARE = re.compile(r"[0-9]{1,9}%", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


def read_surge(value: object) -> int | str | None:
    """Return a `maxSurge` that Kubernetes takes and that makes sense, up to 1000 pods or 100 %; None for everything else."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _SURGE.fullmatch(text):
        return None
    if text.endswith("%"):
        return f"{int(text[:-1])}%" if int(text[:-1]) <= 100 else None  # noqa: PLR2004 - per cent
    return int(text) if int(text) <= _MOST_SURGE else None


def _revision(annotations: Mapping[str, str]) -> int:
    """0 if the annotation is missing or not a number, because anybody may write it."""
    found = annotations.get(REVISION, "")
    return int(found) if _NUMBER.fullmatch(found) else 0


ContainerPhase = Literal["waiting", "running", "terminated", "unknown"]


class View(Protocol):
    """Base of all views: enough to distinguish two versions of one object."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Seen(Generic[V_co]):
    """One item from a watch. `synced` comes once after the first list, and has no view."""

    kind: Literal["changed", "deleted", "synced"]
    view: V_co | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as specified."""

    name: str
    image: str
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=dict)
    """What each probe (readiness, liveness, startup) asks: `GET /health on port 3001`."""
    written: str = ""
    """The actual image name, if it is a configured mirror's."""
    ports: tuple[tuple[str, int], ...] = ()
    """Name and number of each port that it declares; it may listen on others."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of an object's conditions."""

    type: str
    status: str
    reason: str
    message: str
    updated: str
    """When it was last written, whether or not it changed."""


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """Who last set a Deployment's images, from `metadata.managedFields`."""

    name: str
    """The field manager, such as `kubectl-set` or `omnicare-bot`."""
    time: str
    containers: frozenset[str]


_COMPARABLE = re.compile(r"[ -%'-;=?-~]*")
"""Printable ASCII without `&`, `<` and `>`."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    created: str
    generation: int
    observed_generation: int
    annotations: Mapping[str, str]
    has_annotations: bool
    template_annotated: bool
    selector: str
    """As a label selector in text, ready for a query."""
    containers: tuple[ContainerSpec, ...]
    desired: int
    total: int
    updated: int
    ready: int
    available: int
    paused: bool
    progress_deadline: int
    max_unavailable: int
    """Number of pods that may be missing during a rollout."""
    strategy: str
    """`RollingUpdate` or `Recreate`."""
    max_surge: int | str | None
    """How many extra pods a rollout may create, as a number or a percentage; None with `Recreate`."""
    conditions: tuple[Condition, ...]
    owners: tuple[FieldOwner, ...]
    labels: Mapping[str, str]
    writers: tuple[FieldOwner, ...]
    """Who wrote any part of the pod template."""
    template: Mapping[str, str]
    """The pod template's paths and hashes of their values: to see what changed without its contents. Images are omitted."""
    template_hash: str
    """Hash of the whole pod template with images: the ReplicaSet with the same hash is the current one."""
    init: tuple[ContainerSpec, ...] = ()

    @property
    def images(self) -> dict[str, str]:
        """Of each container and init container."""
        return {c.name: c.image for c in (*self.init, *self.containers)}

    @property
    def written(self) -> dict[str, str]:
        """The same with their actual names, including mirrors: the values that a patch tests."""
        return {c.name: c.written or c.image for c in (*self.init, *self.containers)}

    def image_path(self, name: str) -> str:
        """Return the JSON Pointer to that container or init container."""
        for index, each in enumerate(self.init):
            if each.name == name:
                return f"/spec/template/spec/initContainers/{index}"
        return f"/spec/template/spec/containers/{next(i for i, c in enumerate(self.containers) if c.name == name)}"

    def unchanged(self, path: str, value: str) -> dict[str, str]:
        """Return the JSON Patch condition that this text is unchanged.

        An API server may compare the bytes of its own JSON with the client's: a text that the two write in different ways (`<`, `é`) is never
        found equal, and whoever writes one into an annotation could stop every change. Then the object's version is the condition.
        """
        if _COMPARABLE.fullmatch(value):
            return {"op": "test", "path": path, "value": value}
        return {"op": "test", "path": "/metadata/resourceVersion", "value": self.resource_version}

    @property
    def revision(self) -> int:
        return _revision(self.annotations)

    def container(self, name: str) -> tuple[int, ContainerSpec] | None:
        """Return the container with that name and its index."""
        return next(((i, c) for i, c in enumerate(self.containers) if c.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == kind), None)

    def surge(self, allowed: int | str | None) -> int:
        """So many pods more than asked for, by that `maxSurge`: a share is rounded up, as the Deployment controller does it."""
        if isinstance(allowed, str):
            return -(-int(allowed[:-1]) * self.desired // 100) if SHARE.fullmatch(allowed) else 0
        return allowed or 0

    def read_surge(self, kept: str) -> int | str | None:
        """Return the `maxSurge` that somebody wrote down for it; None where Kubernetes would not take it here.

        Nothing may surge only where something may be missing.
        """
        found = read_surge(kept)
        return None if found in (0, "0%") and self.max_unavailable == 0 else found

    @property
    def past_deadline(self) -> bool:
        """Kubernetes itself says that the rollout made no progress in time."""
        progressing = self.condition("Progressing")
        return progressing is not None and progressing.reason == "ProgressDeadlineExceeded"

    @property
    def rolled_out(self) -> bool:
        """Complete as `kubectl rollout status` defines it."""
        return (
            self.observed_generation >= self.generation
            and not self.past_deadline
            and self.updated >= self.desired
            and self.total <= self.updated
            and self.available >= self.updated
        )


@dataclass(frozen=True, slots=True)
class ReplicaSetView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    created: str
    owner: str
    """The uid of the Deployment that made it, or an empty text."""
    annotations: Mapping[str, str]
    containers: tuple[ContainerSpec, ...]
    desired: int
    total: int
    ready: int
    available: int
    conditions: tuple[Condition, ...]
    template_hash: str
    init: tuple[ContainerSpec, ...] = ()

    @property
    def revision(self) -> int:
        return _revision(self.annotations)

    @property
    def images(self) -> dict[str, str]:
        """Of each container and init container."""
        return {c.name: c.image for c in (*self.init, *self.containers)}

    def image(self, container: str) -> str | None:
        return self.images.get(container)


@dataclass(frozen=True, slots=True)
class ContainerView:
    """A container as it is."""

    name: str
    image: str
    image_id: str
    ready: bool
    restarts: int
    phase: ContainerPhase
    reason: str
    message: str
    exit_code: int | None
    ended_reason: str
    """Why its previous run ended (`OOMKilled`, `Error`); empty if there was none."""
    ended_code: int | None
    ended_message: str = ""
    ended_at: str = ""
    """When its last run ended, the present one where that is over."""
    init: bool = False
    """It runs to its end before the others start. An init container that goes on beside them is a sidecar, and not one of these."""
    sidecar: bool = False
    """Listed with the init containers, and runs as long as the pod (`restartPolicy: Always`)."""
    ephemeral: bool = False
    """Added to the running pod for debugging (`kubectl debug`); the pod's state does not depend on it."""
    started: bool = True
    """Its startup probe has passed, or it has none."""
    started_at: str = ""
    """When it started."""

    @property
    def digest(self) -> str | None:
        """The digest by which the node could pull it again, where it reports one with its repository."""
        _, at, digest = self.image_id.rpartition("@")
        return digest if at and digest.startswith("sha256:") else None

    @property
    def reported(self) -> str:
        """The digest that the node reports, of whatever kind: an index's, its platform's, or (bare) that of the configuration."""
        _, prefix, digits = self.image_id.rpartition("sha256:")
        return prefix + digits if prefix else ""


@dataclass(frozen=True, slots=True)
class PodView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    created: str
    owner: str
    """The uid of the ReplicaSet (or Job) that made it, or an empty text."""
    phase: str
    ready: bool
    deleting: bool
    unschedulable: str
    """The scheduler's message if no node accepts the pod, else empty."""
    asked: tuple[ContainerSpec, ...]
    containers: tuple[ContainerView, ...]
    """Init containers first, as they run."""
    node: str = ""
    """The node it runs on."""
    reason: str = ""
    """Of the pod as a whole: `Evicted`, `NodeLost`."""
    disrupted: str = ""
    """Why something other than its owner terminates it (the condition `DisruptionTarget`)."""
    claims: tuple[str, ...] = ()
    """The volume claims that it mounts."""
    tolerations: tuple[Mapping[str, str], ...] = ()
    wanted_labels: Mapping[str, str] = field(default_factory=dict)
    """The labels that its node must have."""
    init: tuple[ContainerSpec, ...] = ()
    conditions: tuple[Condition, ...] = ()
    readiness_gates: tuple[str, ...] = ()
    """Conditions set by others that must be true before the pod is ready."""
    scheduling_gates: tuple[str, ...] = ()
    """While there is one, the pod is not scheduled."""
    finalizers: tuple[str, ...] = ()
    """Finalizers that must be removed before it is deleted."""
    deleted_at: str = ""
    """When its deletion was due, if it is being deleted."""
    message: str = ""
    """Of the pod as a whole: why it was evicted or refused."""
    ephemeral: tuple[ContainerView, ...] = ()
    """Apart from `containers`: what is true of all of those need not be true of these."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == kind), None)

    def said(self, kind: str) -> tuple[str, ...]:
        """Kubernetes' own words of why that condition is not met; none where it is, or says nothing."""
        found = self.condition(kind)
        return (found.message,) if found is not None and found.status != "True" and found.message else ()

    def container(self, name: str) -> ContainerView | None:
        return next((c for c in (*self.containers, *self.ephemeral) if c.name == name), None)

    def spec(self, container: str) -> ContainerSpec | None:
        """The container of that name as it was asked for."""
        return next((c for c in (*self.init, *self.asked) if c.name == container), None)

    @property
    def over(self) -> bool:
        """Return whether it has ended for good: evicted or finished."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def restarts(self) -> int:
        return sum(c.restarts for c in self.containers)


@dataclass(frozen=True, slots=True)
class EventView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    type: str
    reason: str
    message: str
    count: int
    at: datetime | None
    """When it was last seen; None if the event has no readable time."""
    about: str
    """The uid of the object that it tells of."""
    about_kind: str
    about_name: str
    container: str = ""
    """The container of the pod that it tells of, where it names one."""
    first: datetime | None = None
    """When it was first seen."""

    @property
    def order(self) -> datetime:
        """Return a key to sort events by, those of unknown time first."""
        return self.at or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint, which keeps pods without a toleration off a node."""

    key: str
    value: str
    effect: str

    def tolerated(self, tolerations: Iterable[Mapping[str, str]]) -> bool:
        """As the scheduler decides it."""
        return any(self._fits(toleration) for toleration in tolerations)

    def _fits(self, toleration: Mapping[str, str]) -> bool:
        if toleration.get("effect") not in (None, "", self.effect):
            return False
        if toleration.get("operator") == "Exists":
            return toleration.get("key") in (None, "", self.key)
        return toleration.get("key") == self.key and toleration.get("value", "") == self.value


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    uid: str
    resource_version: str
    ready: bool
    ready_message: str
    """Kubernetes' message if it is not ready."""
    cordoned: bool
    taints: tuple[Taint, ...]
    labels: Mapping[str, str]
    allocatable: Mapping[str, str]
    conditions: tuple[Condition, ...] = ()
    kubelet: str = ""
    """Its kubelet's version: `v1.28.4`."""
    created: str = ""


@dataclass(frozen=True, slots=True)
class UsageView:
    """What the metrics API measured of a pod or a node."""

    name: str
    parts: Mapping[str, Mapping[str, str]]
    """Container → resource → quantity; a node is one part without a name."""


@dataclass(frozen=True, slots=True)
class QuotaView:
    """The parts of a ResourceQuota that concern pods."""

    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]
    scopes: tuple[str, ...]
    """`NotTerminating`, `BestEffort` …; those of a scope selector by their name alone."""


@dataclass(frozen=True, slots=True)
class ConfigMapView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecretView:
    """A Secret; its `repr` shows no values. Readers must teach the redactor its values before anything else."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    annotations: Mapping[str, str]
    data: Mapping[str, bytes] = field(repr=False)
    immutable: bool = False
    """Kubernetes refuses every change of its values."""


@dataclass(frozen=True, slots=True)
class AccessReview:
    """Whether the bot's account may do something."""

    allowed: bool
    reason: str
