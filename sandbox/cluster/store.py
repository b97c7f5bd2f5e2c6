"""What the cluster holds: objects by kind, namespace and name, one counter of versions, and a log of changes.

The objects in it are never changed in place: whoever wants another one puts a new one, so that watchers and
readers may keep what they were given. Only `sandbox.cluster.api` and the reset write here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sandbox.cluster.errors import gone
from sandbox.cluster.resources import Json, Kind

Key = tuple[str, str]


@dataclass(frozen=True)
class Change:
    """One object that came, changed or went; `old` is what it was before."""

    type: str
    kind: Kind
    version: int
    obj: Json
    old: Json | None


class Store:
    """Objects, versions and listeners, all in one event loop."""

    def __init__(self, log_length: int) -> None:
        self.version = 100
        self._objects: dict[Kind, dict[Key, Json]] = {}
        self._log: deque[Change] = deque(maxlen=log_length)
        self._forgotten = 0
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` with each change from now on; what comes back ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> Iterator[Json]:
        """Every object of a kind, of one namespace or of all, in order of namespace and name."""
        held = self._objects.get(kind, {})
        for key in sorted(held):
            if not namespace or key[0] == namespace:
                yield held[key]

    def put(self, kind: Kind, obj: Json) -> Json:
        key = _key(obj)
        held = self._objects.setdefault(kind, {})
        old = held.get(key)
        obj = self._versioned(obj)
        held[key] = obj
        self._tell(Change("MODIFIED" if old else "ADDED", kind, self.version, obj, old))
        return obj

    def remove(self, kind: Kind, obj: Json) -> Json:
        old = self._objects.get(kind, {}).pop(_key(obj), None)
        gone_obj = self._versioned(obj)
        self._tell(Change("DELETED", kind, self.version, gone_obj, old))
        return gone_obj

    def since(self, kind: Kind, version: int) -> list[Change]:
        """What happened to a kind after `version`; refused with 410 where that is no longer known."""
        if version < self._forgotten:
            raise gone(version, self._forgotten)
        return [change for change in self._log if change.kind == kind and change.version > version]

    def clear(self) -> None:
        """Remove everything, telling every watcher."""
        for kind in list(self._objects):
            for obj in list(self.all(kind)):
                self.remove(kind, obj)

    def _versioned(self, obj: Json) -> Json:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def _tell(self, change: Change) -> None:
        if len(self._log) == self._log.maxlen:
            self._forgotten = self._log[0].version
        self._log.append(change)
        for listener in tuple(self._listeners):
            listener(change)


def _key(obj: Json) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
