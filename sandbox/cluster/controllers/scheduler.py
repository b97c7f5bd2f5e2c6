"""The scheduler: places pods on the nodes while they have room, the emptiest first, and says why where none takes one."""

from __future__ import annotations

from collections import Counter

from sandbox.cluster.api import Api
from sandbox.cluster.controllers.owners import condition, is_leaving
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.needs import affects, claims
from sandbox.cluster.quantities import quantity, requested
from sandbox.cluster.resources import NODE, POD, Json
from sandbox.cluster.store import Change

_COMPONENT = "default-scheduler"
_WRITER, _STATUS = Writer("kube-scheduler"), Writer("kube-scheduler", subresource="status")
_GATED = "Scheduling is blocked due to non-empty scheduling gates"


class Scheduler:
    def __init__(self, api: Api, events: Events) -> None:
        self._api, self._events = api, events
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        if change.kind == POD:
            ended = change.type == "DELETED" or change.obj["status"].get("phase") in ("Succeeded", "Failed")
            if ended:
                self._retry()
            elif not change.obj["spec"].get("nodeName"):
                self.queue.add(change.obj["metadata"]["namespace"], change.obj["metadata"]["name"])
        elif change.kind == NODE or affects(change.kind):
            self._retry()

    def _retry(self) -> None:
        for pod in self._api.store.all(POD):
            if not pod["spec"].get("nodeName"):
                self.queue.add(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        pod = self._api.store.get(POD, namespace, name)
        if pod is None or pod["spec"].get("nodeName") or is_leaving(pod):
            return
        if pod["spec"].get("schedulingGates"):
            self._refuse(pod, _GATED, "SchedulingGated", warns=False)
            return
        nodes = sorted(self._api.store.all(NODE), key=self._load)
        waits = claims(self._api.store, pod)
        reasons: Counter[str] = Counter()
        for node in [] if waits else nodes:
            short = self._shortage(node, pod)
            if not short:
                self._bind(pod, node["metadata"]["name"])
                return
            reasons[short] += 1
        self._refuse(pod, _message(len(nodes), reasons, waits))

    def _load(self, node: Json) -> tuple[int, str]:
        name = node["metadata"]["name"]
        return sum(1 for pod in self._api.store.all(POD) if pod["spec"].get("nodeName") == name), name

    def _shortage(self, node: Json, pod: Json) -> str:
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        taint = _untolerated(node, pod)
        if taint is not None:
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        labels = node["metadata"].get("labels") or {}
        if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
            return "node(s) didn't match Pod's node affinity/selector"
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
            wanted = requested(pod, name)
            if wanted and sum(requested(other, name) for other in here) + wanted > quantity(room[name]):
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

    def _refuse(self, pod: Json, message: str, reason: str = "Unschedulable", *, warns: bool = True) -> None:
        have = condition(pod, "PodScheduled")
        if have and have.get("message") == message:
            return
        if warns:
            self._events.warning(_COMPONENT, pod, "FailedScheduling", message)
        now = self._api.clock.stamp()
        entry = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}

        def change(draft: Json) -> None:
            others = [item for item in draft["status"].get("conditions") or [] if item["type"] != "PodScheduled"]
            stamped = {**entry, "lastProbeTime": None, "lastTransitionTime": now}
            draft["status"] = {**draft["status"], "conditions": [*others, stamped]}

        self._api.modify(POD, pod["metadata"]["namespace"], pod["metadata"]["name"], change, _STATUS)


def _untolerated(node: Json, pod: Json) -> Json | None:
    tolerations = pod["spec"].get("tolerations") or []
    taints = node["spec"].get("taints") or []
    blocking = (taint for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute"))
    return next((taint for taint in blocking if not any(_tolerates(each, taint) for each in tolerations)), None)


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"]) and toleration.get("value", "") == taint.get("value", "")


def _message(total: int, reasons: Counter[str], waits: str) -> str:
    if not total:
        return "no nodes available to schedule pods"
    said = waits or ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    room = sum(count for reason, count in reasons.items() if reason.startswith(("Insufficient", "Too many")))
    helps = [f"{room} No preemption victims found for incoming pod"] if room else []
    if total - room:
        helps.append(f"{total - room} Preemption is not helpful for scheduling")
    return f"0/{total} nodes are available: {said}. preemption: 0/{total} nodes are available: {', '.join(helps)}."
