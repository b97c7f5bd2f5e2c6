"""Conversion from Kubernetes' JSON to the values in `views`. Only the cluster client uses this.

Fields that an older server omits are read as empty.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from runbooks.clients.kubernetes.fields import (
    Json,
    code,
    count,
    fields,
    generation,
    listed,
    mapped,
    past,
    stamp,
    text,
    texts,
)
from runbooks.clients.kubernetes.views import (
    DEFAULT_SURGE,
    SHARE,
    Condition,
    ConfigMapView,
    ContainerPhase,
    ContainerSpec,
    ContainerView,
    DeploymentView,
    FieldOwner,
    NodeView,
    PodView,
    QuotaView,
    ReplicaSetView,
    SecretView,
    Taint,
    UsageView,
)

_PHASES: tuple[ContainerPhase, ...] = ("waiting", "running", "terminated")

_TEMPLATE_HASH = "pod-template-hash"


def _meta(item: Json) -> dict[str, str]:
    meta = fields(item, "metadata")
    return {
        "namespace": text(meta, "namespace"),
        "name": text(meta, "name"),
        "uid": text(meta, "uid"),
        "resource_version": text(meta, "resourceVersion"),
    }


def _created(item: Json) -> str:
    return stamp(fields(item, "metadata"), "creationTimestamp")


def _owner(item: Json) -> str:
    owners = listed(fields(item, "metadata"), "ownerReferences")
    return next((text(each, "uid") for each in owners if each.get("controller")), "")


def _annotations(item: Json) -> dict[str, str]:
    return mapped(fields(item, "metadata"), "annotations")


def _specs(pod_spec: Json, which: str = "containers") -> tuple[ContainerSpec, ...]:
    return tuple(_spec(each) for each in listed(pod_spec, which))


def _spec(container: Json) -> ContainerSpec:
    resources = fields(container, "resources")
    probes = {kind: fields(container, f"{kind}Probe") for kind in ("readiness", "liveness", "startup")}
    return ContainerSpec(
        name=text(container, "name"),
        image=text(container, "image"),
        requests=mapped(resources, "requests") or mapped(resources, "limits"),
        limits=mapped(resources, "limits"),
        probes={kind: _probe(probe) for kind, probe in probes.items() if probe},
        ports=tuple((text(each, "name"), count(each, "containerPort")) for each in listed(container, "ports")),
    )


def _probe(probe: Json) -> str:
    """Return what the probe does; a command's arguments are omitted, since they may contain anything."""
    if http := fields(probe, "httpGet"):
        return f"GET {text(http, 'path', '/').partition('?')[0]} on port {_port(http)}"
    if tcp := fields(probe, "tcpSocket"):
        return f"a connection to port {_port(tcp)}"
    if grpc := fields(probe, "grpc"):
        return f"gRPC on port {_port(grpc)}"
    return "a command" if "exec" in probe else ""


def _port(probe: Json) -> str:
    """By number or name."""
    return text(probe, "port") or str(count(probe, "port"))


def _conditions(item: Json) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            type=text(each, "type"),
            status=text(each, "status"),
            reason=text(each, "reason"),
            message=text(each, "message"),
            updated=stamp(each, "lastUpdateTime") or stamp(each, "lastTransitionTime"),
        )
        for each in listed(fields(item, "status"), "conditions")
    )


def selector_text(selector: Json) -> str:
    """Return a `LabelSelector` as text for a query."""
    parts = [f"{key}={value}" for key, value in mapped(selector, "matchLabels").items()]
    for rule in listed(selector, "matchExpressions"):
        key, values = text(rule, "key"), ",".join(texts(rule, "values"))
        match rule.get("operator"):
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
        template = fields(entry, "fieldsV1", "f:spec", "f:template", "f:spec")
        names = frozenset(
            key.split('"name":"', 1)[1].split('"', 1)[0]
            for owned in (fields(template, "f:containers"), fields(template, "f:initContainers"))
            for key in owned
            if key.startswith("k:") and '"name":"' in key and "f:image" in fields(owned, key)
        )
        if names:
            found.append(FieldOwner(text(entry, "manager"), _written_at(entry), names))
    return tuple(found)


def deployment(item: Json) -> DeploymentView:
    spec, status, meta = fields(item, "spec"), fields(item, "status"), fields(item, "metadata")
    template = fields(spec, "template")
    return DeploymentView(
        **_meta(item),
        created=_created(item),
        generation=generation(meta, "generation"),
        observed_generation=generation(status, "observedGeneration"),
        annotations=_annotations(item),
        has_annotations=bool(fields(meta, "annotations")),
        template_annotated=bool(fields(template, "metadata", "annotations")),
        selector=selector_text(fields(spec, "selector")),
        containers=_specs(fields(template, "spec")),
        init=_specs(fields(template, "spec"), "initContainers"),
        desired=count(spec, "replicas", 1),
        total=count(status, "replicas"),
        updated=count(status, "updatedReplicas"),
        ready=count(status, "readyReplicas"),
        available=count(status, "availableReplicas"),
        paused=spec.get("paused") is True,
        progress_deadline=count(spec, "progressDeadlineSeconds", 600),
        max_unavailable=_max_unavailable(spec),
        strategy=text(fields(spec, "strategy"), "type", "RollingUpdate"),
        max_surge=_max_surge(spec),
        conditions=_conditions(item),
        owners=_image_owners(listed(meta, "managedFields")),
        labels=mapped(meta, "labels"),
        writers=_template_writers(listed(meta, "managedFields")),
        template=dict(_hashed("", template)),
        template_hash=_template_hash(spec),
    )


def _template_hash(spec: Json) -> str:
    """Of the pod template without what the Deployment controller adds to a ReplicaSet's: it compares the two in the same way."""
    template = fields(spec, "template")
    metadata = dict(fields(template, "metadata"))
    metadata["labels"] = {key: each for key, each in fields(metadata, "labels").items() if key != _TEMPLATE_HASH}
    compared = {**template, "metadata": {key: each for key, each in metadata.items() if each}}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()


def _written_at(entry: Json) -> str:
    return stamp(entry, "time") if past(entry, "time") is not None else ""


def _template_writers(entries: Sequence[Json]) -> tuple[FieldOwner, ...]:
    return tuple(
        FieldOwner(text(entry, "manager"), _written_at(entry), frozenset())
        for entry in entries
        if fields(entry, "fieldsV1", "f:spec", "f:template")
    )


def _hashed(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Return each leaf's path and a hash of its value; list members by name if they have one."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not (key == "image" and path.startswith("spec.containers.")):
                yield from _hashed(f"{path}.{key}" if path else key, each)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            name = each.get("name", place) if isinstance(each, dict) else place
            yield from _hashed(f"{path}.{name}", each)
    else:
        yield path, hashed(value)


def hashed(value: object) -> str:
    """Return the hash of a value of the pod template, as `DeploymentView.template` has it."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _max_unavailable(spec: Json) -> int:
    """A share is rounded down, as the Deployment controller does it; where nothing may surge either, it is one."""
    replicas = count(spec, "replicas", 1)
    if fields(spec, "strategy").get("type") == "Recreate":
        return replicas
    rolling = fields(spec, "strategy", "rollingUpdate")
    missing = _share(rolling.get("maxUnavailable", DEFAULT_SURGE), replicas)
    return missing or (0 if _share(rolling.get("maxSurge", DEFAULT_SURGE), 100) else 1)


def _max_surge(spec: Json) -> int | str | None:
    if fields(spec, "strategy").get("type") == "Recreate":
        return None
    found = fields(spec, "strategy", "rollingUpdate").get("maxSurge", DEFAULT_SURGE)
    valid = (type(found) is int and found >= 0) or (isinstance(found, str) and SHARE.fullmatch(found) is not None)
    return found if valid else DEFAULT_SURGE


def _share(value: object, whole: int) -> int:
    """Of a share, rounded down; Kubernetes' own default where it is neither a share nor a number."""
    if isinstance(value, str) and SHARE.fullmatch(value):
        return int(value[:-1]) * whole // 100
    return value if type(value) is int and value >= 0 else _share(DEFAULT_SURGE, whole)


def replica_set(item: Json) -> ReplicaSetView:
    spec, status = fields(item, "spec"), fields(item, "status")
    template = fields(spec, "template")
    return ReplicaSetView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        annotations=_annotations(item),
        containers=_specs(fields(template, "spec")),
        init=_specs(fields(template, "spec"), "initContainers"),
        desired=count(spec, "replicas", 1),
        total=count(status, "replicas"),
        ready=count(status, "readyReplicas"),
        available=count(status, "availableReplicas"),
        conditions=_conditions(item),
        template_hash=_template_hash(spec),
    )


def _container(status: Json, *, init: bool = False, sidecar: bool = False, ephemeral: bool = False) -> ContainerView:
    phase: ContainerPhase = "unknown"
    detail: Json = {}
    for word in _PHASES:
        if word in fields(status, "state"):
            phase, detail = word, fields(status, "state", word)
    ended = fields(status, "lastState", "terminated")
    return ContainerView(
        name=text(status, "name"),
        image=text(status, "image"),
        image_id=text(status, "imageID"),
        ready=status.get("ready") is True,
        restarts=count(status, "restartCount"),
        phase=phase,
        reason=text(detail, "reason"),
        message=text(detail, "message"),
        exit_code=code(detail, "exitCode"),
        ended_reason=text(ended, "reason"),
        ended_code=code(ended, "exitCode"),
        ended_message=text(ended, "message"),
        ended_at=stamp(detail if phase == "terminated" else ended, "finishedAt"),
        init=init,
        sidecar=sidecar,
        ephemeral=ephemeral,
        started=status.get("started") is not False,
        started_at=stamp(detail, "startedAt") if phase == "running" else "",
    )


def pod(item: Json) -> PodView:
    status = fields(item, "status")
    conditions = {c.type: c for c in _conditions(item)}
    scheduled = conditions.get("PodScheduled")
    waits = scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable"
    disrupted = conditions.get("DisruptionTarget")
    spec, meta = fields(item, "spec"), fields(item, "metadata")
    sidecars = {text(each, "name") for each in listed(spec, "initContainers") if each.get("restartPolicy") == "Always"}
    return PodView(
        **_meta(item),
        created=_created(item),
        owner=_owner(item),
        phase=text(status, "phase"),
        ready="Ready" in conditions and conditions["Ready"].status == "True",
        deleting=bool(meta.get("deletionTimestamp")),
        unschedulable=scheduled.message if waits and scheduled is not None else "",
        asked=_specs(spec),
        init=_specs(spec, "initContainers"),
        containers=(
            *(
                _container(state, init=text(state, "name") not in sidecars, sidecar=text(state, "name") in sidecars)
                for state in listed(status, "initContainerStatuses")
            ),
            *(_container(state) for state in listed(status, "containerStatuses")),
        ),
        node=text(spec, "nodeName"),
        reason=text(status, "reason"),
        disrupted=disrupted.message or disrupted.reason if disrupted is not None and disrupted.status == "True" else "",
        claims=_claims(spec),
        tolerations=tuple(mapped({"": each}, "") for each in listed(spec, "tolerations")),
        wanted_labels=mapped(spec, "nodeSelector"),
        labels=mapped(meta, "labels"),
        conditions=tuple(conditions.values()),
        readiness_gates=tuple(text(gate, "conditionType") for gate in listed(spec, "readinessGates")),
        scheduling_gates=tuple(text(gate, "name") for gate in listed(spec, "schedulingGates")),
        finalizers=texts(meta, "finalizers"),
        deleted_at=stamp(meta, "deletionTimestamp"),
        message=text(status, "message"),
        ephemeral=_ephemeral(spec, status),
    )


def _ephemeral(spec: Json, status: Json) -> tuple[ContainerView, ...]:
    """As they were asked for: a node has no status of one that it has not begun."""
    states = {text(state, "name"): state for state in listed(status, "ephemeralContainerStatuses")}
    asked = listed(spec, "ephemeralContainers")
    return tuple(_container(states.get(text(each, "name"), each), ephemeral=True) for each in asked)


def _claims(pod_spec: Json) -> tuple[str, ...]:
    found = (text(fields(volume, "persistentVolumeClaim"), "claimName") for volume in listed(pod_spec, "volumes"))
    return tuple(name for name in found if name)


def node(item: Json) -> NodeView:
    spec, status, meta = fields(item, "spec"), fields(item, "status"), _meta(item)
    ready = next((c for c in _conditions(item) if c.type == "Ready"), None)
    return NodeView(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resource_version"],
        ready=ready is not None and ready.status == "True",
        ready_message=ready.message if ready is not None else "",
        cordoned=bool(spec.get("unschedulable")),
        taints=tuple(
            Taint(text(each, "key"), text(each, "value"), text(each, "effect")) for each in listed(spec, "taints")
        ),
        labels=mapped(fields(item, "metadata"), "labels"),
        allocatable=mapped(status, "allocatable"),
        conditions=_conditions(item),
        kubelet=text(fields(status, "nodeInfo"), "kubeletVersion"),
        created=_created(item),
    )


def quota(item: Json) -> QuotaView:
    spec, status = fields(item, "spec"), fields(item, "status")
    selected = listed(fields(spec, "scopeSelector"), "matchExpressions")
    return QuotaView(
        name=_meta(item)["name"],
        hard=mapped(status, "hard") or mapped(spec, "hard"),
        used=mapped(status, "used"),
        scopes=(*texts(spec, "scopes"), *(text(rule, "scopeName") for rule in selected)),
    )


def usage(item: Json) -> UsageView:
    parts = {text(each, "name"): mapped(each, "usage") for each in listed(item, "containers")}
    return UsageView(_meta(item)["name"], parts or {"": mapped(item, "usage")})


def config_map(item: Json) -> ConfigMapView:
    return ConfigMapView(**_meta(item), labels=mapped(fields(item, "metadata"), "labels"), data=mapped(item, "data"))


def secret(item: Json) -> SecretView:
    """Return the values; a key whose value is not base64 is omitted, as if it were missing."""
    data: dict[str, bytes] = {}
    for key, value in mapped(item, "data").items():
        with suppress(ValueError):
            data[key] = base64.b64decode(value)
    annotations = mapped(fields(item, "metadata"), "annotations")
    return SecretView(**_meta(item), annotations=annotations, data=data, immutable=item.get("immutable") is True)
