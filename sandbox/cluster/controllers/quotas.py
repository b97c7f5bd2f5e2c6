"""The quota controller: keeps in each ResourceQuota's status what of it is used."""

from __future__ import annotations

from sandbox.cluster.admission import used
from sandbox.cluster.api import Api
from sandbox.cluster.controllers.owners import CONTROLLER
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import POD, RESOURCE_QUOTA
from sandbox.cluster.store import Change

_STATUS = Writer(CONTROLLER, subresource="status")


class Quotas:
    def __init__(self, api: Api) -> None:
        self._api = api
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        namespace = change.obj["metadata"].get("namespace", "")
        if change.kind == RESOURCE_QUOTA and change.type != "DELETED":
            self.queue.add(namespace, change.obj["metadata"]["name"])
        elif change.kind == POD and change.type in ("ADDED", "DELETED"):
            for quota in self._api.store.all(RESOURCE_QUOTA, namespace):
                self.queue.add(namespace, quota["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        quota = self._api.store.get(RESOURCE_QUOTA, namespace, name)
        if quota is None:
            return
        status = {"hard": quota["spec"].get("hard") or {}, "used": used(self._api.store, quota)}
        if quota.get("status") != status:
            self._api.modify(RESOURCE_QUOTA, namespace, name, lambda draft: {**draft, "status": status}, _STATUS)
