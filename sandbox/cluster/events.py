"""Events as the components of a real cluster write them; a repeated one is counted, not doubled."""

from __future__ import annotations

from collections import deque

from sandbox.cluster.api import Api
from sandbox.cluster.errors import ApiError
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import EVENT, Json

_KUBELET = "kubelet"
_IN_SERIES = ("default-scheduler",)
"""Components that write events in the newer form: a time of their own, and a series where one repeats."""


class Events:
    """Writes events; the oldest are forgotten, so a pod that crashes for a week fills nothing."""

    def __init__(self, api: Api, keep: int) -> None:
        self._api, self._keep = api, keep
        self._last = 0
        self._written: deque[tuple[str, str]] = deque()
        self._known: dict[tuple[str, ...], str] = {}

    def clear(self) -> None:
        self._written.clear()
        self._known.clear()

    def forget_before(self, moment: str) -> None:
        """Events live for an hour in a real cluster; what a seeded past told goes at once."""
        for namespace, name in tuple(self._written):
            event = self._api.store.get(EVENT, namespace, name)
            if event is None or _last(event) < moment:
                self._written.remove((namespace, name))
                self._forget(namespace, name)

    def normal(self, component: str, about: Json, reason: str, message: str, *, container: str = "") -> None:
        self._write(component, about, reason, message, "Normal", container)

    def warning(self, component: str, about: Json, reason: str, message: str, *, container: str = "") -> None:
        self._write(component, about, reason, message, "Warning", container)

    def _write(self, component: str, about: Json, reason: str, message: str, kind: str, container: str) -> None:
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        key = (component, metadata["uid"], reason, message)
        now = self._api.clock.stamp()
        known = self._known.get(key)
        if known and (event := self._api.store.get(EVENT, namespace, known)):
            if component in _IN_SERIES:
                times = (event.get("series") or {}).get("count", 1) + 1
                seen: Json = {"series": {"count": times, "lastObservedTime": self._exactly()}}
            else:
                seen = {"count": event["count"] + 1, "lastTimestamp": now}
            self._api.store.put(EVENT, {**event, **seen})
            return
        reference = {
            name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion") if name in metadata
        }
        if container:
            inits = [each["name"] for each in about["spec"].get("initContainers") or []]
            reference["fieldPath"] = f"spec.{'initContainers' if container in inits else 'containers'}{{{container}}}"
        node = about["spec"].get("nodeName", "") if component == _KUBELET else ""
        # Named by its time, as real ones are, so that events of one second are listed in the order they happened.
        self._last = max(self._last + 1, int(self._api.clock.now().timestamp() * 1e9))
        name = f"{metadata['name']}.{self._last:016x}"
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {"kind": about["kind"], "apiVersion": about["apiVersion"], **reference},
            "reason": reason,
            "message": message,
            "type": kind,
            **self._told(component, node, now),
            "reportingComponent": component,
            "reportingInstance": node,
        }
        try:
            self._api.create(EVENT, namespace, body, Writer(component))
        except ApiError:
            return  # its namespace has gone; nobody is left to read it
        self._known[key] = name
        self._written.append((namespace, name))
        if len(self._written) > self._keep:
            self._forget(*self._written.popleft())

    def _told(self, component: str, node: str, now: str) -> Json:
        if component in _IN_SERIES:
            unset: Json = {"source": {}, "firstTimestamp": None, "lastTimestamp": None}
            return {**unset, "eventTime": self._exactly(), "action": "Scheduling"}
        source = {"component": component, **({"host": node} if node else {})}
        return {"source": source, "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": None}

    def _exactly(self) -> str:
        return self._api.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _forget(self, namespace: str, name: str) -> None:
        self._known = {key: value for key, value in self._known.items() if value != name}
        if event := self._api.store.get(EVENT, namespace, name):
            self._api.store.remove(EVENT, event)


def _last(event: Json) -> str:
    return str((event.get("series") or {}).get("lastObservedTime") or event["lastTimestamp"] or event["eventTime"])
