"""Which lists of Kubernetes objects are sets or maps: what identifies an entry when two versions are merged.

Strategic merge patches and server-side apply both follow it. A list that is not named here is replaced as a whole.
"""

from __future__ import annotations

from sandbox.cluster.resources import Json

Path = tuple[str, ...]

_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "podIPs": ("ip",),
    "secrets": ("name",),
    "addresses": ("type",),
}
_SETS = {"finalizers"}
_CONTAINERS = {"containers", "initContainers", "ephemeralContainers"}


def keys_of(path: Path) -> tuple[str, ...]:
    """The fields that identify an entry of the list at `path`; empty for a list that is one value."""
    if not path:
        return ()
    if path[-1] == "ports":
        if len(path) > 1 and path[-2] in _CONTAINERS:
            return ("containerPort", "protocol")
        return ("port", "protocol") if path == ("spec", "ports") else ()
    if path[-1] == "addresses" and path[:1] != ("status",):
        return ()
    return _KEYS.get(path[-1], ())


def is_set(path: Path) -> bool:
    """Whether the list at `path` is a set of plain values."""
    return path[-1:] != () and path[-1] in _SETS


def merge_key(path: Path) -> str | None:
    """The one field that a strategic merge patch goes by."""
    keys = keys_of(path)
    return keys[0] if keys else None


def identity(path: Path, entry: Json) -> tuple[tuple[str, object], ...]:
    """What tells an entry from its neighbours; a port's protocol is TCP where it is not said."""
    return tuple((key, entry.get(key, "TCP" if key == "protocol" else None)) for key in keys_of(path))
