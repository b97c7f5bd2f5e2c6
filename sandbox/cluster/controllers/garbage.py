"""What goes when its owner goes: dependents of deleted objects, and everything in a namespace that is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.cluster.api import FOREGROUND, ORPHAN, Api, Deletion
from sandbox.cluster.controllers.owners import CONTROLLER, is_leaving
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT, STORED, Json, Kind, by_kind
from sandbox.cluster.store import Change

_WRITER = Writer(CONTROLLER)
_ROOT_CA = "kube-root-ca.crt"


class Garbage:
    """Keys are (uid, "") of an owner that changed or went, and ("", name) of a namespace."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._owners: dict[str, tuple[Kind, Json]] = {}
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        metadata = change.obj["metadata"]
        namespace = metadata.get("namespace", "")
        if change.kind == NAMESPACE:
            self.queue.add("", metadata["name"])
        if change.type == "DELETED" or is_leaving(change.obj):
            self._owners[metadata["uid"]] = (change.kind, change.obj)
            self.queue.add(metadata["uid"], "")
            if namespace and change.type == "DELETED":
                self.queue.add("", namespace)
        if change.type == "DELETED":
            for reference in metadata.get("ownerReferences") or []:
                owner = self._holder(reference, namespace)
                if owner and is_leaving(owner[1]):
                    self._owners[reference["uid"]] = owner
                    self.queue.add(reference["uid"], "")

    def _holder(self, reference: Json, namespace: str) -> tuple[Kind, Json] | None:
        kind = by_kind(reference["apiVersion"], reference["kind"])
        if kind is None:
            return None
        obj = self._api.store.get(kind, namespace if kind.namespaced else "", reference["name"])
        return (kind, obj) if obj and obj["metadata"]["uid"] == reference["uid"] else None

    def _dependents(self, uid: str) -> Iterator[tuple[Kind, Json]]:
        for kind in STORED:
            for obj in list(self._api.store.all(kind)):
                if any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences") or []):
                    yield kind, obj

    def _work(self, uid: str, namespace: str) -> None:
        if not uid:
            self._tend_namespace(namespace)
            return
        if uid not in self._owners:
            return  # looked at already, in the same batch
        kind, seen = self._owners.pop(uid)
        metadata = seen["metadata"]
        owner = self._api.store.get(kind, metadata.get("namespace", ""), metadata["name"])
        if owner is None or owner["metadata"]["uid"] != uid:
            for dependent_kind, obj in self._dependents(uid):
                self._delete(dependent_kind, obj, "Background")
            return
        self._finalize(kind, owner, uid)

    def _finalize(self, kind: Kind, owner: Json, uid: str) -> None:
        finalizers = owner["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            for dependent_kind, obj in self._dependents(uid):
                self._release(dependent_kind, obj, uid)
            self._finish(kind, owner, ORPHAN)
        elif FOREGROUND in finalizers:
            dependents = list(self._dependents(uid))
            for dependent_kind, obj in dependents:
                if not is_leaving(obj):
                    self._delete(dependent_kind, obj, "Foreground")
            if not dependents:
                self._finish(kind, owner, FOREGROUND)

    def _delete(self, kind: Kind, obj: Json, propagation: str) -> None:
        metadata = obj["metadata"]
        self._api.delete(kind, metadata.get("namespace", ""), metadata["name"], Deletion(propagation=propagation))

    def _finish(self, kind: Kind, owner: Json, finalizer: str) -> None:
        def change(draft: Json) -> None:
            draft["metadata"]["finalizers"] = [entry for entry in draft["metadata"]["finalizers"] if entry != finalizer]

        self._api.modify(kind, owner["metadata"].get("namespace", ""), owner["metadata"]["name"], change, _WRITER)

    def _release(self, kind: Kind, obj: Json, uid: str) -> None:
        def change(draft: Json) -> None:
            kept = [reference for reference in draft["metadata"]["ownerReferences"] if reference["uid"] != uid]
            draft["metadata"]["ownerReferences"] = kept

        self._api.modify(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], change, _WRITER)

    def _tend_namespace(self, name: str) -> None:
        namespace = self._api.store.get(NAMESPACE, "", name)
        if namespace is None:
            return
        if namespace["status"].get("phase") != "Terminating":
            self._furnish(name)
            return
        left = [(kind, obj) for kind in STORED if kind.namespaced for obj in list(self._api.store.all(kind, name))]
        for kind, obj in left:
            if not is_leaving(obj):
                self._delete(kind, obj, "Background")
        if not any(True for kind in STORED if kind.namespaced for _ in self._api.store.all(kind, name)):
            self._api.store.remove(NAMESPACE, namespace)
        elif not left or any(is_leaving(obj) for _, obj in left):
            self.queue.add_later("", name, 0.2)

    def _furnish(self, name: str) -> None:
        """Every namespace has a service account and the cluster's certificate."""
        if self._api.store.get(SERVICE_ACCOUNT, name, "default") is None:
            self._api.create(SERVICE_ACCOUNT, name, {"metadata": {"name": "default"}}, _WRITER)
        if self._api.store.get(CONFIG_MAP, name, _ROOT_CA) is None:
            body = {"metadata": {"name": _ROOT_CA}, "data": {"ca.crt": "the sandbox's own certificate\n"}}
            self._api.create(CONFIG_MAP, name, body, _WRITER)
