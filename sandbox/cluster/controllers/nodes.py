"""The node controller: a node that is silent for too long is not ready, and so are its pods; after a while they are deleted."""

from __future__ import annotations

from sandbox.cluster.api import Api
from sandbox.cluster.clock import Timer
from sandbox.cluster.controllers.owners import CONTROLLER, condition, is_leaving
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import NODE, POD, Json
from sandbox.cluster.settings import Settings

_COMPONENT = "node-controller"
_WRITER, _STATUS = Writer(CONTROLLER), Writer(CONTROLLER, subresource="status")
_UNREACHABLE = "node.kubernetes.io/unreachable"
_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "KubeletReady",
    "message": "kubelet is posting ready status",
}
_SILENT = {
    "type": "Ready",
    "status": "Unknown",
    "reason": "NodeStatusUnknown",
    "message": "Kubelet stopped posting node status.",
}
_EFFECTS = ("NoSchedule", "NoExecute")


class NodeLifecycle:
    """Told that a node went silent; tells the rest of the cluster, in a real one's order."""

    def __init__(self, api: Api, events: Events, settings: Settings) -> None:
        self._api, self._events, self._settings = api, events, settings
        self._watched: dict[str, Timer] = {}
        """Silent nodes, each with what follows next."""

    def silent(self, node: str) -> None:
        grace = self._settings.node_grace_seconds
        self._watched[node] = self._api.clock.call_later(grace, lambda: self._not_ready(node))

    def found(self, node: str) -> None:
        """The node is ready again, and the pods that it had are gone."""
        if (timer := self._watched.pop(node, None)) is not None:
            timer.cancel()
        now = self._api.clock.stamp()
        ready = {**_READY, "lastHeartbeatTime": now, "lastTransitionTime": now}

        def mark(draft: Json) -> None:
            others = [each for each in draft["status"]["conditions"] if each["type"] != ready["type"]]
            draft["status"] = {**draft["status"], "conditions": [*others, ready]}

        def untaint(draft: Json) -> None:
            kept = [each for each in draft["spec"].pop("taints", None) or [] if each["key"] != _UNREACHABLE]
            if kept:
                draft["spec"]["taints"] = kept

        self._api.modify(NODE, "", node, mark, _STATUS)
        self._api.modify(NODE, "", node, untaint, _WRITER)
        for pod in [pod for pod in self._api.store.all(POD) if pod["spec"].get("nodeName") == node]:
            self._api.store.remove(POD, pod)

    def _not_ready(self, node: str) -> None:
        now = self._api.clock.stamp()
        if self._api.store.get(NODE, "", node) is None:
            return
        taints = [{"key": _UNREACHABLE, "effect": effect, "timeAdded": now} for effect in _EFFECTS]
        ready = {**_SILENT, "lastHeartbeatTime": now, "lastTransitionTime": now}

        def mark(draft: Json) -> None:
            others = [each for each in draft["status"]["conditions"] if each["type"] != ready["type"]]
            draft["status"] = {**draft["status"], "conditions": [*others, ready]}

        self._api.modify(NODE, "", node, mark, _STATUS)
        self._api.modify(NODE, "", node, lambda draft: draft["spec"].update(taints=taints), _WRITER)
        for pod in self._on(node):
            if self._unready(pod, now):
                self._events.warning(_COMPONENT, pod, "NodeNotReady", "Node is not ready")
        eviction = self._settings.eviction_seconds
        self._watched[node] = self._api.clock.call_later(eviction, lambda: self._evict(node))

    def _unready(self, pod: Json, now: str) -> bool:
        """Whether that was news: of a pod that was not ready the real controller says nothing."""
        ready = condition(pod, "Ready")
        if ready is None or ready["status"] != "True":
            return False

        def mark(draft: Json) -> None:
            for entry in draft["status"]["conditions"]:
                if entry["type"] == "Ready" and entry["status"] == "True":
                    entry["status"], entry["lastTransitionTime"] = "False", now

        metadata = pod["metadata"]
        self._api.modify(POD, metadata["namespace"], metadata["name"], mark, _STATUS)
        return True

    def _evict(self, node: str) -> None:
        """They stay until the node says that they are gone, which it does not."""
        entry = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": self._api.clock.stamp(),
        }
        for pod in self._on(node):
            metadata = pod["metadata"]
            self._events.normal(
                "taint-eviction-controller",
                pod,
                "TaintManagerEviction",
                f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}",
            )
            try:
                self._api.modify(
                    POD,
                    metadata["namespace"],
                    metadata["name"],
                    lambda draft: draft["status"]["conditions"].append(entry),
                    _STATUS,
                )
                self._api.delete(POD, metadata["namespace"], metadata["name"])
            except ApiError:
                continue  # somebody else was faster

    def _on(self, node: str) -> list[Json]:
        return [pod for pod in self._api.store.all(POD) if pod["spec"].get("nodeName") == node and not is_leaving(pod)]
