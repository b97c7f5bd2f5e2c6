"""The endpoints controller: which pods a Service reaches now."""

from __future__ import annotations

from typing import Any

from sandbox.cluster.api import Api
from sandbox.cluster.controllers.owners import CONTROLLER, is_leaving, is_ready
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import ENDPOINTS, POD, SERVICE, Json
from sandbox.cluster.selectors import labels_of, selects
from sandbox.cluster.store import Change

_WRITER = Writer(CONTROLLER)


class ServiceEndpoints:
    def __init__(self, api: Api) -> None:
        self._api = api
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        namespace = change.obj["metadata"].get("namespace", "")
        if change.kind == SERVICE:
            self.queue.add(namespace, change.obj["metadata"]["name"])
        elif change.kind == POD:
            for service in self._api.store.all(SERVICE, namespace):
                if selects({"matchLabels": service["spec"].get("selector") or {}}, labels_of(change.obj)):
                    self.queue.add(namespace, service["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        service = self._api.store.get(SERVICE, namespace, name)
        have = self._api.store.get(ENDPOINTS, namespace, name)
        if service is None:
            if have is not None:
                self._api.delete(ENDPOINTS, namespace, name)
            return
        selector = service["spec"].get("selector")
        if not selector:
            return
        subsets = self._subsets(service, selector)
        body: Json = {"metadata": {"name": name, "labels": dict(labels_of(service))}, "subsets": subsets}
        if have is None:
            self._api.create(ENDPOINTS, namespace, body, _WRITER)
        elif _seen(have.get("subsets")) != _seen(subsets):
            self._api.modify(ENDPOINTS, namespace, name, lambda draft: {**draft, "subsets": subsets}, _WRITER)

    def _subsets(self, service: Json, selector: Json) -> list[Json]:
        namespace = service["metadata"]["namespace"]
        ready: list[Json] = []
        waiting: list[Json] = []
        for pod in self._api.store.all(POD, namespace):
            address = pod["status"].get("podIP")
            running = not is_leaving(pod) and pod["status"].get("phase") not in ("Succeeded", "Failed")
            if address and running and selects({"matchLabels": selector}, labels_of(pod)):
                (ready if is_ready(pod) else waiting).append(_address(pod, address))
        ports = [
            {
                **({"name": port["name"]} if "name" in port else {}),
                "port": port["targetPort"],
                "protocol": port["protocol"],
            }
            for port in service["spec"]["ports"]
        ]
        subset: Json = {}
        if ready:
            subset["addresses"] = ready
        if waiting:
            subset["notReadyAddresses"] = waiting
        return [{**subset, "ports": ports}] if subset else []


def _address(pod: Json, address: str) -> Json:
    metadata = pod["metadata"]
    target = {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
    return {"ip": address, "nodeName": pod["spec"]["nodeName"], "targetRef": target}


def _seen(subsets: Any) -> Any:
    return subsets or []
