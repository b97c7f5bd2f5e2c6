"""What a pod needs before its containers can start: ConfigMaps, Secrets and volume claims, as the kubelet looks for them."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.cluster.resources import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, Json, Kind
from sandbox.cluster.store import Store

_MAP, _SECRET = "ConfigMap", "Secret"
_KINDS = {_MAP: CONFIG_MAP, _SECRET: SECRET}


def environment(store: Store, pod: Json, container: Json) -> str:
    """The kubelet's message where the container's environment names what is not there; empty where all is."""
    namespace = pod["metadata"]["namespace"]
    for kind, name, key, optional in _named(container):
        message = _missing(store, kind, namespace, name, key)
        if message and not optional:
            return message
    return ""


def _named(container: Json) -> Iterator[tuple[str, str, str, bool]]:
    """(kind, name, key, whether it may be missing) of everything that the environment comes from."""
    for entry in container.get("envFrom") or []:
        for field, kind in (("configMapRef", _MAP), ("secretRef", _SECRET)):
            if reference := entry.get(field):
                yield kind, reference["name"], "", bool(reference.get("optional"))
    for entry in container.get("env") or []:
        for field, kind in (("configMapKeyRef", _MAP), ("secretKeyRef", _SECRET)):
            if reference := (entry.get("valueFrom") or {}).get(field):
                yield kind, reference["name"], reference["key"], bool(reference.get("optional"))


def _missing(store: Store, kind: str, namespace: str, name: str, key: str) -> str:
    found = store.get(_KINDS[kind], namespace, name)
    if found is None:
        return f'{kind.lower()} "{name}" not found'
    if key and key not in (found.get("data") or {}):
        return f"couldn't find key {key} in {kind} {namespace}/{name}"
    return ""


def mounts(store: Store, pod: Json) -> str:
    """The kubelet's message where a volume can't be made; empty where all can."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or []:
        for field, kind, key in (("configMap", _MAP, "name"), ("secret", _SECRET, "secretName")):
            source = volume.get(field)
            if not source or source.get("optional"):
                continue
            message = _missing(store, kind, namespace, source[key], "")
            if message:
                return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {message}'
    return ""


def claims(store: Store, pod: Json) -> str:
    """The scheduler's words where a volume claim of the pod is not there or not bound; empty where all are."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or []:
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not name:
            continue
        claim = store.get(PERSISTENT_VOLUME_CLAIM, namespace, name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if (claim.get("status") or {}).get("phase") != "Bound":
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def affects(kind: Kind) -> bool:
    """Whether a pod may wait for an object of that kind."""
    return kind in (CONFIG_MAP, SECRET, PERSISTENT_VOLUME_CLAIM)
