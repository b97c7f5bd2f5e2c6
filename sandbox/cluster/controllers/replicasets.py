"""The ReplicaSet controller: as many pods as are asked for, and a status that counts them."""

from __future__ import annotations

import copy
from datetime import timedelta

from sandbox.cluster.api import Api, Deletion
from sandbox.cluster.clock import parse
from sandbox.cluster.controllers.owners import (
    CONTROLLER,
    active_pods,
    condition,
    is_leaving,
    is_ready,
    owner_of,
    reference_to,
)
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import POD, REPLICA_SET, Json
from sandbox.cluster.store import Change

_WRITER, _STATUS = Writer(CONTROLLER), Writer(CONTROLLER, subresource="status")
_COMPONENT = "replicaset-controller"
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 60.0


class ReplicaSets:
    def __init__(self, api: Api, events: Events) -> None:
        self._api, self._events = api, events
        self._failures: dict[str, tuple[str, int]] = {}
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        if change.kind == REPLICA_SET and change.type != "DELETED":
            self.queue.add(change.obj["metadata"]["namespace"], change.obj["metadata"]["name"])
        elif change.kind == POD:
            owner = owner_of(change.obj)
            if owner and owner["kind"] == REPLICA_SET.name:
                self.queue.add(change.obj["metadata"]["namespace"], owner["name"])

    def _work(self, namespace: str, name: str) -> None:
        replica_set = self._api.store.get(REPLICA_SET, namespace, name)
        if replica_set is None:
            return
        if not is_leaving(replica_set):
            self._scale(replica_set)
        self._count(replica_set)

    def _scale(self, replica_set: Json) -> None:
        pods = active_pods(self._api.store, replica_set)
        missing = replica_set["spec"]["replicas"] - len(pods)
        try:
            for _ in range(missing):
                self._create(replica_set)
        except ApiError as error:
            self._refused(replica_set, error)
        else:
            self._failures.pop(replica_set["metadata"]["uid"], None)
        for pod in sorted(pods, key=_worth)[: max(0, -missing)]:
            metadata = pod["metadata"]
            self._api.delete(POD, metadata["namespace"], metadata["name"], Deletion())
            self._events.normal(_COMPONENT, replica_set, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _create(self, replica_set: Json) -> None:
        template = copy.deepcopy(replica_set["spec"]["template"])
        metadata = {
            key: value for key, value in template["metadata"].items() if key in ("labels", "annotations") and value
        }
        metadata["generateName"] = replica_set["metadata"]["name"] + "-"
        metadata["ownerReferences"] = [reference_to(replica_set)]
        body = {"metadata": metadata, "spec": template["spec"]}
        pod = self._api.create(POD, replica_set["metadata"]["namespace"], body, _WRITER)
        self._events.normal(_COMPONENT, replica_set, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _refused(self, replica_set: Json, error: ApiError) -> None:
        """Told in a condition and an event, and tried again, each time after a longer pause."""
        metadata = replica_set["metadata"]
        message, tries = self._failures.get(metadata["uid"], (error.message, 0))
        self._failures[metadata["uid"]] = (message, tries + 1)
        self._events.warning(_COMPONENT, replica_set, "FailedCreate", f"Error creating: {error.message}")
        self.queue.add_later(metadata["namespace"], metadata["name"], min(_FIRST_RETRY * 2**tries, _LONGEST_RETRY))

    def _failure(self, replica_set: Json) -> list[Json]:
        """The condition keeps its first words and its first time, as in a real cluster."""
        failed = self._failures.get(replica_set["metadata"]["uid"])
        if failed is None:
            return []
        have = condition(replica_set, "ReplicaFailure")
        since = have["lastTransitionTime"] if have else self._api.clock.stamp()
        entry = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failed[0]}
        return [{**entry, "lastTransitionTime": since}]

    def _count(self, replica_set: Json) -> None:
        pods = active_pods(self._api.store, replica_set)
        ready = [pod for pod in pods if is_ready(pod)]
        available = self._available(replica_set, ready)
        counts = {
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": available,
        }
        status: Json = {"replicas": len(pods), **{name: count for name, count in counts.items() if count}}
        if failure := self._failure(replica_set):
            status["conditions"] = failure
        status["observedGeneration"] = replica_set["metadata"]["generation"]
        if status != replica_set.get("status"):
            metadata = replica_set["metadata"]
            body = {**replica_set, "status": status}
            self._api.update(REPLICA_SET, metadata["namespace"], metadata["name"], body, _STATUS)

    def _available(self, replica_set: Json, ready: list[Json]) -> int:
        """Ready for `minReadySeconds`; those that are not yet are looked at again when they will be."""
        least = replica_set["spec"].get("minReadySeconds") or 0
        if not least:
            return len(ready)
        now, count = self._api.clock.now(), 0
        for pod in ready:
            since = parse((condition(pod, "Ready") or {})["lastTransitionTime"])
            left = (since + timedelta(seconds=least) - now).total_seconds()
            if left <= 0:
                count += 1
            else:
                metadata = replica_set["metadata"]
                self.queue.add_later(metadata["namespace"], metadata["name"], left + 0.01)
        return count


def _worth(pod: Json) -> tuple[bool, bool, bool, int]:
    """The least worth goes first: not placed, not running, not ready, then the youngest."""
    placed = bool(pod["spec"].get("nodeName"))
    running = pod["status"].get("phase") == "Running"
    return placed, running, is_ready(pod), -int(parse(pod["metadata"]["creationTimestamp"]).timestamp())
