"""The volume binder: a claim of the class `standard` gets a volume at once, any other waits and says what for."""

from __future__ import annotations

from sandbox.cluster.api import Api
from sandbox.cluster.controllers.owners import CONTROLLER
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import PERSISTENT_VOLUME_CLAIM
from sandbox.cluster.store import Change

_COMPONENT = "persistentvolume-controller"
_STATUS = Writer(CONTROLLER, subresource="status")
_CLASS = "standard"


class VolumeClaims:
    def __init__(self, api: Api, events: Events) -> None:
        self._api, self._events = api, events
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        if change.kind == PERSISTENT_VOLUME_CLAIM and change.type != "DELETED":
            self.queue.add(change.obj["metadata"]["namespace"], change.obj["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        claim = self._api.store.get(PERSISTENT_VOLUME_CLAIM, namespace, name)
        if claim is None or (claim.get("status") or {}).get("phase") == "Bound":
            return
        wanted = claim["spec"].get("storageClassName")
        if wanted == _CLASS:
            asked = claim["spec"]["resources"]["requests"]["storage"]
            status = {"phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": {"storage": asked}}
            self._api.modify(
                PERSISTENT_VOLUME_CLAIM, namespace, name, lambda draft: {**draft, "status": status}, _STATUS
            )
        elif wanted:
            why = f'storageclass.storage.k8s.io "{wanted}" not found'
            self._events.warning(_COMPONENT, claim, "ProvisioningFailed", why)
        else:
            why = "no persistent volumes available for this claim and no storage class is set"
            self._events.normal(_COMPONENT, claim, "FailedBinding", why)
