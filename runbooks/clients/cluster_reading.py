"""From Kubernetes' own JSON to the values of `cluster_views`. Only the cluster client uses this.

Fields that an older server leaves out are read as empty.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbooks.clients.cluster_views import (
    Condition,
    ConfigMapView,
    ContainerPhase,
    ContainerSpec,
    ContainerView,
    DeploymentView,
    EndpointsView,
    FieldOwner,
    NodeView,
    PodView,
    QuotaView,
    ReplicaSetView,
    SecretView,
    Taint,
)

Json = Mapping[str, Any]

_TEMPLATE_HASH = "pod-template-hash"


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


def _specs(pod_spec: Json, which: str = "containers") -> tuple[ContainerSpec, ...]:
    return tuple(_spec(c) for c in pod_spec.get(which) or [])


def _spec(container: Json) -> ContainerSpec:
    resources = container.get("resources") or {}
    probes = {kind: container.get(f"{kind}Probe") for kind in ("readiness", "liveness", "startup")}
    return ContainerSpec(
        name=container.get("name", ""),
        image=container.get("image", ""),
        requests=resources.get("requests") or resources.get("limits") or {},
        limits=resources.get("limits") or {},
        probes={kind: _probe(probe) for kind, probe in probes.items() if probe},
    )


def _probe(probe: Json) -> str:
    """What is asked; a command's words are left out, since they may carry anything."""
    if http := probe.get("httpGet"):
        return f"GET {http.get('path', '/').partition('?')[0]} on port {http.get('port')}"
    if tcp := probe.get("tcpSocket"):
        return f"a connection to port {tcp.get('port')}"
    if grpc := probe.get("grpc"):
        return f"gRPC on port {grpc.get('port')}"
    return "a command" if "exec" in probe else ""


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
        for step in ("f:spec", "f:template", "f:spec"):
            fields = fields.get(step) or {}
        names = frozenset(
            key.split('"name":"', 1)[1].split('"', 1)[0]
            for which in ("f:containers", "f:initContainers")
            for key, value in (fields.get(which) or {}).items()
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
        init=_specs(spec.get("template", {}).get("spec", {}), "initContainers"),
        desired=spec.get("replicas", 1),
        total=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        paused=bool(spec.get("paused")),
        progress_deadline=spec.get("progressDeadlineSeconds", 600),
        max_unavailable=_max_unavailable(spec),
        strategy=(spec.get("strategy") or {}).get("type") or "RollingUpdate",
        max_surge=_max_surge(spec),
        conditions=_conditions(item),
        owners=_image_owners(item["metadata"].get("managedFields") or []),
        labels=item["metadata"].get("labels") or {},
        writers=_template_writers(item["metadata"].get("managedFields") or []),
        template=dict(_hashed("", spec.get("template") or {})),
        template_hash=_template_hash(spec),
    )


def _template_hash(spec: Json) -> str:
    """Of the pod template without what the Deployment controller adds to a ReplicaSet's: it compares the two in the same way."""
    template = spec.get("template") or {}
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: each for key, each in (metadata.get("labels") or {}).items() if key != _TEMPLATE_HASH}
    compared = {**template, "metadata": {key: each for key, each in metadata.items() if each}}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()


def _template_writers(entries: Sequence[Json]) -> tuple[FieldOwner, ...]:
    found = []
    for entry in entries:
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if spec.get("f:template"):
            found.append(FieldOwner(entry.get("manager", ""), entry.get("time") or "", frozenset()))
    return tuple(found)


def _hashed(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Each leaf's path and a hash of it; members of a list by their name, where they have one."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not (key == "image" and path.startswith("spec.containers.")):
                yield from _hashed(f"{path}.{key}" if path else key, each)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            name = each.get("name", place) if isinstance(each, dict) else place
            yield from _hashed(f"{path}.{name}", each)
    else:
        yield path, hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _max_unavailable(spec: Json) -> int:
    """A share is rounded down, as the Deployment controller does it; where nothing may surge either, it is one."""
    replicas = spec.get("replicas", 1)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return int(replicas)
    rolling = strategy.get("rollingUpdate") or {}
    missing = _share(rolling.get("maxUnavailable", "25%"), replicas)
    return missing or (0 if _share(rolling.get("maxSurge", "25%"), 100) else 1)


def _max_surge(spec: Json) -> int | str | None:
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return None
    found: int | str = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    return found


def _share(value: Any, whole: int) -> int:
    """Of a share, rounded down."""
    return int(value[:-1]) * whole // 100 if isinstance(value, str) and value.endswith("%") else int(value)


def replica_set(item: Json) -> ReplicaSetView:
    spec, status = item.get("spec", {}), item.get("status", {})
    return ReplicaSetView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        annotations=_annotations(item),
        containers=_specs(spec.get("template", {}).get("spec", {})),
        init=_specs(spec.get("template", {}).get("spec", {}), "initContainers"),
        desired=spec.get("replicas", 1),
        total=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        conditions=_conditions(item),
        template_hash=_template_hash(spec),
    )


def _container(status: Json, *, init: bool = False, sidecar: bool = False) -> ContainerView:
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
        ended_message=ended.get("message") or "",
        ended_at=(detail.get("finishedAt") if phase == "terminated" else ended.get("finishedAt")) or "",
        init=init,
        sidecar=sidecar,
        started=status.get("started") is not False,
        started_at=str(detail.get("startedAt") or "") if phase == "running" else "",
    )


def pod(item: Json) -> PodView:
    status = item.get("status", {})
    conditions = {c.type: c for c in _conditions(item)}
    scheduled = conditions.get("PodScheduled")
    waits = scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable"
    disrupted = conditions.get("DisruptionTarget")
    spec, meta = item.get("spec", {}), item["metadata"]
    sidecars = {c.get("name") for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    return PodView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        phase=status.get("phase", ""),
        ready="Ready" in conditions and conditions["Ready"].status == "True",
        deleting=bool(meta.get("deletionTimestamp")),
        unschedulable=scheduled.message if waits and scheduled is not None else "",
        asked=_specs(spec),
        init=_specs(spec, "initContainers"),
        containers=(
            *(
                _container(state, init=state.get("name") not in sidecars, sidecar=state.get("name") in sidecars)
                for state in status.get("initContainerStatuses") or []
            ),
            *(_container(state) for state in status.get("containerStatuses") or []),
        ),
        node=spec.get("nodeName") or "",
        reason=status.get("reason") or "",
        disrupted=disrupted.message or disrupted.reason if disrupted is not None and disrupted.status == "True" else "",
        claims=_claims(spec),
        tolerations=tuple(spec.get("tolerations") or ()),
        wanted_labels=spec.get("nodeSelector") or {},
        conditions=tuple(conditions.values()),
        readiness_gates=tuple(gate.get("conditionType", "") for gate in spec.get("readinessGates") or ()),
        scheduling_gates=tuple(gate.get("name", "") for gate in spec.get("schedulingGates") or ()),
        finalizers=tuple(meta.get("finalizers") or ()),
        deleted_at=meta.get("deletionTimestamp") or "",
        message=status.get("message") or "",
    )


def _claims(pod_spec: Json) -> tuple[str, ...]:
    found = ((volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in pod_spec.get("volumes") or [])
    return tuple(name for name in found if name)


def node(item: Json) -> NodeView:
    spec, status, meta = item.get("spec", {}), item.get("status", {}), _meta(item)
    ready = next((c for c in _conditions(item) if c.type == "Ready"), None)
    return NodeView(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resource_version"],
        ready=ready is not None and ready.status == "True",
        ready_message=ready.message if ready is not None else "",
        cordoned=bool(spec.get("unschedulable")),
        taints=tuple(
            Taint(t.get("key", ""), t.get("value") or "", t.get("effect", "")) for t in spec.get("taints") or []
        ),
        labels=item.get("metadata", {}).get("labels") or {},
        allocatable=status.get("allocatable") or {},
    )


def quota(item: Json) -> QuotaView:
    spec, status = item.get("spec", {}), item.get("status", {})
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return QuotaView(
        name=item["metadata"]["name"],
        hard=status.get("hard") or spec.get("hard") or {},
        used=status.get("used") or {},
        scopes=(*(spec.get("scopes") or ()), *(rule.get("scopeName", "") for rule in selected)),
    )


def endpoints(item: Json) -> EndpointsView:
    def names(key: str) -> tuple[str, ...]:
        found = [a for subset in item.get("subsets") or [] for a in subset.get(key) or []]
        return tuple(sorted((a.get("targetRef") or {}).get("name") or a.get("ip", "") for a in found))

    return EndpointsView(item["metadata"]["name"], names("addresses"), names("notReadyAddresses"))


def config_map(item: Json) -> ConfigMapView:
    return ConfigMapView(**_meta(item), labels=item["metadata"].get("labels") or {}, data=item.get("data") or {})


def secret(item: Json) -> SecretView:
    data = {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
    return SecretView(**_meta(item), data=data)
