"""Who belongs to whom: the controlling owner of an object, and what an owner has."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.cluster.resources import POD, Json, Kind
from sandbox.cluster.store import Store

CONTROLLER = "kube-controller-manager"


def owner_of(obj: Json) -> Json | None:
    """The owner reference of the controller, if the object has one."""
    references = obj["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def reference_to(owner: Json) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(store: Store, kind: Kind, owner: Json) -> Iterator[Json]:
    uid = owner["metadata"]["uid"]
    for obj in store.all(kind, owner["metadata"]["namespace"]):
        reference = owner_of(obj)
        if reference and reference["uid"] == uid:
            yield obj


def is_leaving(obj: Json) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def active_pods(store: Store, owner: Json) -> list[Json]:
    """The pods that count: neither ended nor on their way out."""
    pods = owned(store, POD, owner)
    return [pod for pod in pods if not is_leaving(pod) and pod["status"].get("phase") not in ("Succeeded", "Failed")]


def condition(obj: Json, name: str) -> Json | None:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == name), None)


def is_ready(pod: Json) -> bool:
    ready = condition(pod, "Ready")
    return bool(ready and ready["status"] == "True")
