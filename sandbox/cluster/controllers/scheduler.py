"""The scheduler: places pods on the node while it has room, and says why where it has not."""

from __future__ import annotations

import re

from sandbox.cluster.api import Api
from sandbox.cluster.controllers.owners import condition, is_leaving
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import NODE, POD, Json
from sandbox.cluster.store import Change

_COMPONENT = "default-scheduler"
_WRITER, _STATUS = Writer("kube-scheduler"), Writer("kube-scheduler", subresource="status")
_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def quantity(text: str | float) -> float:
    """`100m` is 0.1, `64Gi` is 68719476736."""
    found = re.match(r"^([0-9.]+)([A-Za-z]*)$", str(text))
    return float(found[1]) * _UNITS.get(found[2], 1.0) if found else 0.0


def _requests(pod: Json, name: str) -> float:
    entries = (container.get("resources") or {} for container in pod["spec"]["containers"])
    return sum(quantity(((entry.get("requests") or entry.get("limits")) or {}).get(name, 0)) for entry in entries)


class Scheduler:
    def __init__(self, api: Api, events: Events) -> None:
        self._api, self._events = api, events
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        if change.kind == POD:
            ended = change.type == "DELETED" or change.obj["status"].get("phase") in ("Succeeded", "Failed")
            if ended:
                self._retry()
            elif not change.obj["spec"].get("nodeName") and change.type == "ADDED":
                self.queue.add(change.obj["metadata"]["namespace"], change.obj["metadata"]["name"])
        elif change.kind == NODE:
            self._retry()

    def _retry(self) -> None:
        for pod in self._api.store.all(POD):
            if not pod["spec"].get("nodeName"):
                self.queue.add(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        pod = self._api.store.get(POD, namespace, name)
        if pod is None or pod["spec"].get("nodeName") or is_leaving(pod):
            return
        why = ""
        for node in self._api.store.all(NODE):
            short = self._shortage(node, pod)
            if not short:
                self._bind(pod, node["metadata"]["name"])
                return
            why = short
        total = sum(1 for _ in self._api.store.all(NODE))
        message = f"0/{total} nodes are available: {total} {why}." if total else "no nodes available to schedule pods"
        self._refuse(pod, message)

    def _shortage(self, node: Json, pod: Json) -> str:
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        room = node["status"]["allocatable"]
        here = [
            other
            for other in self._api.store.all(POD)
            if other["spec"].get("nodeName") == node["metadata"]["name"]
            and other["status"].get("phase") not in ("Succeeded", "Failed")
        ]
        if len(here) + 1 > quantity(room["pods"]):
            return "Too many pods"
        for name in ("cpu", "memory"):
            wanted = _requests(pod, name)
            if wanted and sum(_requests(other, name) for other in here) + wanted > quantity(room[name]):
                return f"Insufficient {name}"
        return ""

    def _bind(self, pod: Json, node: str) -> None:
        metadata = pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]

        def change(draft: Json) -> None:
            draft["spec"]["nodeName"] = node

        self._api.modify(POD, namespace, name, change, _WRITER)
        message = f"Successfully assigned {namespace}/{name} to {node}"
        self._events.normal(_COMPONENT, pod, "Scheduled", message)

    def _refuse(self, pod: Json, message: str) -> None:
        have = condition(pod, "PodScheduled")
        if have and have.get("message") == message:
            return
        self._events.warning(_COMPONENT, pod, "FailedScheduling", message)
        now = self._api.clock.stamp()
        entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}

        def change(draft: Json) -> None:
            others = [item for item in draft["status"].get("conditions") or [] if item["type"] != "PodScheduled"]
            stamped = {**entry, "lastProbeTime": None, "lastTransitionTime": now}
            draft["status"] = {**draft["status"], "conditions": [*others, stamped]}

        self._api.modify(POD, pod["metadata"]["namespace"], pod["metadata"]["name"], change, _STATUS)
