"""What a Deployment says about its own rollout: Available, Progressing, and the deadline after which it gives up."""

from __future__ import annotations

from datetime import timedelta

from sandbox.cluster.api import Api
from sandbox.cluster.clock import parse
from sandbox.cluster.controllers import rollouts
from sandbox.cluster.controllers.owners import CONTROLLER, condition
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.faults import Faults
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import DEPLOYMENT, Json

_STATUS = Writer(CONTROLLER, subresource="status")
_DONE, _TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
_PAUSED = "DeploymentPaused"


class Progress:
    """Writes the status of Deployments."""

    def __init__(self, api: Api, queue: Queue, faults: Faults) -> None:
        self._api, self._queue, self._faults = api, queue, faults

    def created(self, deployment: Json, new: Json) -> None:
        if self._faults.loses_progress:
            return
        message = f'Created new replica set "{new["metadata"]["name"]}"'
        self._set(deployment, self._condition("Progressing", "True", "NewReplicaSetCreated", message))

    def cannot_create(self, deployment: Json) -> None:
        message = f'Failed to create new replica set for "{deployment["metadata"]["name"]}"'
        self._set(deployment, self._condition("Progressing", "False", "ReplicaSetCreateError", message))

    def _set(self, deployment: Json, wanted: Json) -> None:
        status = deployment.get("status") or {}
        others = [entry for entry in status.get("conditions") or [] if entry["type"] != wanted["type"]]
        self._write(deployment, {**status, "conditions": [*others, wanted]})

    def record(self, deployment: Json, new: Json | None, everything: list[Json]) -> None:
        before = deployment.get("status") or {}
        status = rollouts.status_counts(deployment, new, everything)
        status["conditions"] = [entry for entry in (self._available(deployment, status),) if entry]
        progressing = self._progressing(deployment, before, status, new)
        if progressing:
            status["conditions"].append(progressing)
        if status != before:
            self._write(deployment, status)

    def _write(self, deployment: Json, status: Json) -> None:
        metadata = deployment["metadata"]
        body = {**deployment, "status": status}
        self._api.update(DEPLOYMENT, metadata["namespace"], metadata["name"], body, _STATUS)

    def _available(self, deployment: Json, status: Json) -> Json:
        least = deployment["spec"]["replicas"] - rollouts.fenceposts(deployment)[1]
        if status.get("availableReplicas", 0) >= least:
            wanted = self._condition(
                "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
            )
        else:
            message = "Deployment does not have minimum availability."
            wanted = self._condition("Available", "False", "MinimumReplicasUnavailable", message)
        have = condition(deployment, "Available")
        return self._carried(have, wanted)

    def _condition(self, name: str, word: str, reason: str, message: str) -> Json:
        now = self._api.clock.stamp()
        entry: Json = {"type": name, "status": word, "reason": reason, "message": message}
        return {**entry, "lastUpdateTime": now, "lastTransitionTime": now}

    @staticmethod
    def _carried(have: Json | None, wanted: Json, *, renew: bool = False) -> Json:
        """An unchanged condition stays as it was; one with the same status keeps the time of its transition."""
        if have is None or have["status"] != wanted["status"]:
            return wanted
        if have["reason"] == wanted["reason"] and not renew:
            return have
        return {**wanted, "lastTransitionTime": have["lastTransitionTime"]}

    def _progressing(self, deployment: Json, before: Json, status: Json, new: Json | None) -> Json | None:
        have = condition(deployment, "Progressing")
        limit = deployment["spec"].get("progressDeadlineSeconds")
        if limit is None:
            return None
        if deployment["spec"].get("paused"):
            wanted = self._condition("Progressing", "Unknown", _PAUSED, "Deployment is paused")
            return self._carried(have, wanted)
        if have and have["reason"] == _PAUSED:
            return self._condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        settled = have is not None and have["reason"] == _DONE
        if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
            return have
        name = new["metadata"]["name"] if new else deployment["metadata"]["name"]
        if rollouts.is_complete(deployment, status):
            message = f'ReplicaSet "{name}" has successfully progressed.'
            return self._carried(have, self._condition("Progressing", "True", _DONE, message))
        if rollouts.has_progressed(before, status) and not self._faults.loses_progress:
            message = f'ReplicaSet "{name}" is progressing.'
            have = self._carried(have, self._condition("Progressing", "True", "ReplicaSetUpdated", message), renew=True)
        elif have and have["reason"] not in (_DONE, _TIMED_OUT) and self._is_late(have, limit):
            message = f'ReplicaSet "{name}" has timed out progressing.'
            return self._condition("Progressing", "False", _TIMED_OUT, message)
        self._look_again(deployment, have, limit)
        return have

    def _is_late(self, have: Json, limit: int) -> bool:
        return self._api.clock.now() - parse(have["lastUpdateTime"]) > timedelta(seconds=limit)

    def _look_again(self, deployment: Json, have: Json | None, limit: int) -> None:
        if have is None or have["reason"] in (_DONE, _TIMED_OUT):
            return
        due = parse(have["lastUpdateTime"]) + timedelta(seconds=limit) - self._api.clock.now()
        metadata = deployment["metadata"]
        self._queue.add_later(metadata["namespace"], metadata["name"], max(0.0, due.total_seconds()) + 0.05)
