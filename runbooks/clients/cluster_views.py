"""What the cluster client hands out: small frozen values, read from Kubernetes' own JSON.

Runbooks, plans and diagnoses work on these and never see the SDK's models, whose fields follow the newest Kubernetes and
refuse what an older server leaves out. Each class names only what some runbook needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

REVISION = "deployment.kubernetes.io/revision"

ContainerPhase = Literal["waiting", "running", "terminated", "unknown"]


class View(Protocol):
    """What every view has: enough to tell two versions of one object apart."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Seen(Generic[V_co]):
    """One thing that a watch tells. `synced` comes once after the first list, and has no view."""

    kind: Literal["changed", "deleted", "synced"]
    view: V_co | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as it was asked for."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One of an object's conditions."""

    type: str
    status: str
    reason: str
    message: str
    updated: str
    """When it was written last, whatever it said before."""


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """Who set the images of a Deployment last, from `metadata.managedFields`."""

    name: str
    """The field manager, such as `kubectl-set` or `omnicare-bot`."""
    time: str
    containers: frozenset[str]


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
    conditions: tuple[Condition, ...]
    owners: tuple[FieldOwner, ...]

    @property
    def revision(self) -> int:
        return int(self.annotations.get(REVISION, "0") or "0")

    def container(self, name: str) -> tuple[int, ContainerSpec] | None:
        """The container of that name and its index."""
        return next(((i, c) for i, c in enumerate(self.containers) if c.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == kind), None)

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
    conditions: tuple[Condition, ...]

    @property
    def revision(self) -> int:
        return int(self.annotations.get(REVISION, "0") or "0")

    def image(self, container: str) -> str | None:
        return next((c.image for c in self.containers if c.name == container), None)


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
    """Why its previous run ended (`OOMKilled`, `Error`); empty where there was none."""
    ended_code: int | None

    @property
    def digest(self) -> str | None:
        """The digest that really runs, as the node reports it."""
        _, at, digest = self.image_id.rpartition("@")
        return digest if at and digest.startswith("sha256:") else None


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
    """The scheduler's message where no node has room for it, else empty."""
    asked: tuple[ContainerSpec, ...]
    containers: tuple[ContainerView, ...]
    """Init containers first, as they run."""

    def container(self, name: str) -> ContainerView | None:
        return next((c for c in self.containers if c.name == name), None)

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
    at: str
    about: str
    """The uid of the object that it tells of."""
    about_kind: str
    about_name: str


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """Which pods a Service sends requests to."""

    name: str
    ready: tuple[str, ...]
    """Pod names (or addresses where there is no pod)."""
    not_ready: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigMapView:
    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the bot's own account may do something."""

    allowed: bool
    reason: str


Json = Mapping[str, Any]


def _meta(item: Json) -> dict[str, str]:
    meta = item.get("metadata", {})
    return {
        "namespace": meta.get("namespace", ""),
        "name": meta.get("name", ""),
        "uid": meta.get("uid", ""),
        "resource_version": meta.get("resourceVersion", ""),
    }


def _created(item: Json) -> str:
    return str(item.get("metadata", {}).get("creationTimestamp") or "")


def _owner(item: Json) -> str:
    owners = item.get("metadata", {}).get("ownerReferences") or []
    return next((o.get("uid", "") for o in owners if o.get("controller")), "")


def _annotations(item: Json) -> Mapping[str, str]:
    return item.get("metadata", {}).get("annotations") or {}


def _specs(pod_spec: Json) -> tuple[ContainerSpec, ...]:
    return tuple(ContainerSpec(c.get("name", ""), c.get("image", "")) for c in pod_spec.get("containers") or [])


def _conditions(item: Json) -> tuple[Condition, ...]:
    found = item.get("status", {}).get("conditions") or []
    return tuple(
        Condition(
            type=c.get("type", ""),
            status=c.get("status", ""),
            reason=c.get("reason") or "",
            message=c.get("message") or "",
            updated=c.get("lastUpdateTime") or c.get("lastTransitionTime") or "",
        )
        for c in found
    )


def selector_text(selector: Json) -> str:
    """A `LabelSelector` as the text that a query takes."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or []:
        key, values = rule["key"], ",".join(rule.get("values") or [])
        match rule["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case _:
                parts.append(f"!{key}")
    return ",".join(parts)


def _image_owners(entries: Sequence[Json]) -> tuple[FieldOwner, ...]:
    found = []
    for entry in entries:
        fields: Any = entry.get("fieldsV1") or {}
        for step in ("f:spec", "f:template", "f:spec", "f:containers"):
            fields = fields.get(step) or {}
        names = frozenset(
            key.split('"name":"', 1)[1].split('"', 1)[0]
            for key, value in fields.items()
            if key.startswith("k:") and '"name":"' in key and "f:image" in (value or {})
        )
        if names:
            found.append(FieldOwner(entry.get("manager", ""), entry.get("time") or "", names))
    return tuple(found)


def deployment(item: Json) -> DeploymentView:
    spec, status = item.get("spec", {}), item.get("status", {})
    return DeploymentView(
        **_meta(item),
        created=_created(item),
        generation=item["metadata"].get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        annotations=_annotations(item),
        has_annotations=bool(_annotations(item)),
        template_annotated=bool(_annotations(spec.get("template", {}))),
        selector=selector_text(spec.get("selector") or {}),
        containers=_specs(spec.get("template", {}).get("spec", {})),
        desired=spec.get("replicas", 1),
        total=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        paused=bool(spec.get("paused")),
        progress_deadline=spec.get("progressDeadlineSeconds", 600),
        conditions=_conditions(item),
        owners=_image_owners(item["metadata"].get("managedFields") or []),
    )


def replica_set(item: Json) -> ReplicaSetView:
    spec, status = item.get("spec", {}), item.get("status", {})
    return ReplicaSetView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        annotations=_annotations(item),
        containers=_specs(spec.get("template", {}).get("spec", {})),
        desired=spec.get("replicas", 1),
        total=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        conditions=_conditions(item),
    )


def _container(status: Json) -> ContainerView:
    phase: ContainerPhase = "unknown"
    detail: Json = {}
    for word in ("waiting", "running", "terminated"):
        if word in (status.get("state") or {}):
            phase, detail = word, status["state"][word] or {}
    ended = (status.get("lastState") or {}).get("terminated") or {}
    return ContainerView(
        name=status.get("name", ""),
        image=status.get("image", ""),
        image_id=status.get("imageID") or "",
        ready=bool(status.get("ready")),
        restarts=status.get("restartCount", 0),
        phase=phase,
        reason=detail.get("reason") or "",
        message=detail.get("message") or "",
        exit_code=detail.get("exitCode"),
        ended_reason=ended.get("reason") or "",
        ended_code=ended.get("exitCode"),
    )


def pod(item: Json) -> PodView:
    status = item.get("status", {})
    conditions = {c.type: c for c in _conditions(item)}
    scheduled = conditions.get("PodScheduled")
    waits = scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable"
    states = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return PodView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        phase=status.get("phase", ""),
        ready="Ready" in conditions and conditions["Ready"].status == "True",
        deleting=bool(item["metadata"].get("deletionTimestamp")),
        unschedulable=scheduled.message if waits and scheduled is not None else "",
        asked=_specs(item.get("spec", {})),
        containers=tuple(_container(state) for state in states),
    )


def event(item: Json) -> EventView:
    about = item.get("involvedObject") or item.get("regarding") or {}
    return EventView(
        **_meta(item),
        type=item.get("type") or "",
        reason=item.get("reason") or "",
        message=item.get("message") or item.get("note") or "",
        count=item.get("count") or 1,
        at=item.get("lastTimestamp") or item.get("eventTime") or item.get("firstTimestamp") or _created(item),
        about=about.get("uid", ""),
        about_kind=about.get("kind", ""),
        about_name=about.get("name", ""),
    )


def endpoints(item: Json) -> EndpointsView:
    def names(key: str) -> tuple[str, ...]:
        found = [a for subset in item.get("subsets") or [] for a in subset.get(key) or []]
        return tuple(sorted((a.get("targetRef") or {}).get("name") or a.get("ip", "") for a in found))

    return EndpointsView(item["metadata"]["name"], names("addresses"), names("notReadyAddresses"))


def config_map(item: Json) -> ConfigMapView:
    return ConfigMapView(**_meta(item), labels=item["metadata"].get("labels") or {}, data=item.get("data") or {})
