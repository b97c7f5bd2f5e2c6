"""The Deployment controller: ReplicaSets and their revisions, rolling and recreating updates, pause, scale."""

from __future__ import annotations

import copy

from sandbox.cluster import names
from sandbox.cluster.api import Api
from sandbox.cluster.controllers import rollouts
from sandbox.cluster.controllers.owners import CONTROLLER, is_leaving, owned, owner_of, reference_to
from sandbox.cluster.controllers.progress import Progress
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.faults import Faults
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import DEPLOYMENT, POD, REPLICA_SET, Json
from sandbox.cluster.store import Change

_WRITER = Writer(CONTROLLER)
_STATUS = Writer(CONTROLLER, subresource="status")
"""The real controller writes the revision with the status, which raises no generation."""
_COMPONENT = "deployment-controller"


class Deployments:
    def __init__(self, api: Api, events: Events, faults: Faults, observe_seconds: float) -> None:
        self._api, self._events, self._observe_seconds = api, events, observe_seconds
        self.queue = Queue(api.clock, self._work)
        self._progress = Progress(api, self.queue, faults)

    def see(self, change: Change) -> None:
        namespace = change.obj["metadata"].get("namespace", "")
        if change.kind == DEPLOYMENT and change.type != "DELETED":
            self.queue.add_later(namespace, change.obj["metadata"]["name"], self._observe_seconds)
        elif change.kind == REPLICA_SET:
            owner = owner_of(change.obj)
            if owner and owner["kind"] == DEPLOYMENT.name:
                self.queue.add(namespace, owner["name"])
        elif change.kind == POD and change.type == "DELETED":
            self._see_pod_gone(change.obj)

    def _see_pod_gone(self, pod: Json) -> None:
        """A Deployment that recreates waits for its last old pod; one that was evicted and is still listed counts, as it does really."""
        owner = owner_of(pod)
        namespace = pod["metadata"]["namespace"]
        replica_set = self._api.store.get(REPLICA_SET, namespace, owner["name"]) if owner else None
        top = owner_of(replica_set) if replica_set else None
        deployment = self._api.store.get(DEPLOYMENT, namespace, top["name"]) if top else None
        if deployment is None or any(
            True for entry in self._sets(deployment) for _ in owned(self._api.store, POD, entry)
        ):
            return
        self.queue.add(namespace, deployment["metadata"]["name"])

    def _work(self, namespace: str, name: str) -> None:
        deployment = self._api.store.get(DEPLOYMENT, namespace, name)
        if deployment is None or is_leaving(deployment):
            return
        sets = self._sets(deployment)
        new = self._new_of(deployment, sets)
        if deployment["spec"].get("paused"):
            self._scale_only(deployment, sets, new)
        else:
            if new is not None or rollouts.is_rolling(deployment) or not self._still_running(sets):
                new = self._ensure_new(deployment, sets, new)
            self._roll(self._fresh(deployment), self._sets(deployment), new)
        deployment = self._fresh(deployment)
        sets = self._sets(deployment)
        new = self._new_of(deployment, sets)
        self._progress.record(deployment, new, sets)
        self._clean_up(self._fresh(deployment), sets, new)

    def _fresh(self, deployment: Json) -> Json:
        metadata = deployment["metadata"]
        return self._api.get(DEPLOYMENT, metadata["namespace"], metadata["name"])

    def _sets(self, deployment: Json) -> list[Json]:
        return [entry for entry in owned(self._api.store, REPLICA_SET, deployment) if not is_leaving(entry)]

    @staticmethod
    def _new_of(deployment: Json, sets: list[Json]) -> Json | None:
        template = deployment["spec"]["template"]
        same = [entry for entry in sets if rollouts.same_template(entry["spec"]["template"], template)]
        return min(same, key=lambda entry: entry["metadata"]["creationTimestamp"], default=None)

    def _ensure_new(self, deployment: Json, sets: list[Json], new: Json | None) -> Json:
        """The ReplicaSet of the present template, with the newest revision, made if there is none."""
        revision = max((rollouts.revision_of(entry) for entry in sets if entry is not new), default=0) + 1
        new = self._create(deployment, sets, revision) if new is None else self._annotate(deployment, new, revision)
        number = str(rollouts.revision_of(new))
        if (deployment["metadata"].get("annotations") or {}).get(rollouts.REVISION) != number:
            self._set_annotation(deployment, number)
        return new

    def _set_annotation(self, deployment: Json, number: str) -> None:
        def change(draft: Json) -> None:
            annotations = draft["metadata"].get("annotations") or {}
            draft["metadata"]["annotations"] = {**annotations, rollouts.REVISION: number}

        metadata = deployment["metadata"]
        self._api.modify(DEPLOYMENT, metadata["namespace"], metadata["name"], change, _STATUS)

    @staticmethod
    def _annotations(deployment: Json, revision: int) -> dict[str, str]:
        wanted = deployment["spec"]["replicas"]
        copied = deployment["metadata"].get("annotations") or {}
        return {
            **{key: value for key, value in copied.items() if key not in rollouts.NOT_COPIED},
            rollouts.REVISION: str(revision),
            rollouts.DESIRED: str(wanted),
            rollouts.MAXIMUM: str(wanted + rollouts.fenceposts(deployment)[0]),
        }

    def _create(self, deployment: Json, sets: list[Json], revision: int) -> Json:
        metadata, spec = deployment["metadata"], deployment["spec"]
        label = names.template_hash(spec["template"])
        template = copy.deepcopy(spec["template"])
        labels = {**(template["metadata"].get("labels") or {}), rollouts.HASH: label}
        template["metadata"]["labels"] = labels
        selector = copy.deepcopy(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), rollouts.HASH: label}
        size = rollouts.new_size(deployment, None, sets)
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{label}",
                "labels": labels,
                "annotations": self._annotations(deployment, revision),
                "ownerReferences": [reference_to(deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        try:
            new = self._api.create(REPLICA_SET, metadata["namespace"], body, _WRITER)
        except ApiError:
            self._progress.cannot_create(deployment)
            raise
        if size:
            self._tell_scaled(deployment, new["metadata"]["name"], 0, size)
        self._progress.created(self._fresh(deployment), new)
        return new

    def _annotate(self, deployment: Json, new: Json, revision: int) -> Json:
        have = new["metadata"].get("annotations") or {}
        number = max(revision, rollouts.revision_of(new))
        wanted = {**have, **self._annotations(deployment, number)}
        before = have.get(rollouts.REVISION)
        if before and before != str(number):
            earlier = have.get(rollouts.HISTORY)
            wanted[rollouts.HISTORY] = f"{earlier},{before}" if earlier else before
        # The counts are written when it is scaled, so that a new wish for replicas can be told from an old one.
        for name in (rollouts.DESIRED, rollouts.MAXIMUM):
            if name in have:
                wanted[name] = have[name]
        metadata = new["metadata"]
        ready = deployment["spec"].get("minReadySeconds", 0)
        if wanted == have and new["spec"].get("minReadySeconds", 0) == ready:
            return new

        def change(draft: Json) -> None:
            draft["metadata"]["annotations"] = wanted
            draft["spec"].pop("minReadySeconds", None)
            if ready:
                draft["spec"]["minReadySeconds"] = ready

        return self._api.modify(REPLICA_SET, metadata["namespace"], metadata["name"], change, _WRITER)

    def _roll(self, deployment: Json, sets: list[Json], new: Json | None) -> None:
        old = [entry for entry in sets if new is None or entry["metadata"]["uid"] != new["metadata"]["uid"]]
        if not rollouts.is_rolling(deployment):
            for entry in old:
                self._scale(deployment, entry, 0)
            if new is not None and not self._still_running(old):
                self._scale(deployment, new, deployment["spec"]["replicas"])
            return
        assert new is not None
        if self._was_rescaled(deployment, sets):
            self._scale_only(deployment, sets, new)
            return
        wanted = deployment["spec"]["replicas"]
        size = min(rollouts.new_size(deployment, new, sets), wanted)
        if size != new["spec"]["replicas"]:
            self._scale(deployment, new, size)
            sets = self._sets(deployment)
            new = self._new_of(deployment, sets) or new
            old = [entry for entry in sets if entry["metadata"]["uid"] != new["metadata"]["uid"]]
        by_name = {entry["metadata"]["name"]: entry for entry in old}
        for name, smaller in rollouts.old_sizes(deployment, new, old).items():
            self._scale(deployment, by_name[name], smaller)
        self._scale(deployment, new, new["spec"]["replicas"])

    @staticmethod
    def _was_rescaled(deployment: Json, sets: list[Json]) -> bool:
        wanted = str(deployment["spec"]["replicas"])
        active = [entry for entry in sets if entry["spec"]["replicas"] > 0]
        noted = [(entry["metadata"].get("annotations") or {}).get(rollouts.DESIRED, wanted) for entry in active]
        return len(active) > 1 and any(number != wanted for number in noted)

    def _scale_only(self, deployment: Json, sets: list[Json], new: Json | None) -> None:
        """Another number of replicas is shared out over what is there, without going on with the rollout."""
        active = [entry for entry in sets if entry["spec"]["replicas"] > 0]
        wanted = deployment["spec"]["replicas"]
        if len(active) <= 1:
            newest = max(sets, key=rollouts.revision_of, default=None)
            only = active[0] if active else new or newest
            if only is not None:
                self._scale(deployment, only, wanted)
            return
        if not self._was_rescaled(deployment, sets):
            return
        sizes = rollouts.proportional(deployment, sets)
        for entry in active:
            self._scale(deployment, entry, sizes[entry["metadata"]["name"]])

    def _still_running(self, sets: list[Json]) -> bool:
        """Whether a pod of these has not ended yet, those on their way out too; one that was evicted has."""
        pods = (pod for entry in sets for pod in owned(self._api.store, POD, entry))
        return any(pod["status"].get("phase") not in ("Succeeded", "Failed") for pod in pods)

    def _scale(self, deployment: Json, replica_set: Json, size: int) -> None:
        wanted = deployment["spec"]["replicas"]
        notes = {rollouts.DESIRED: str(wanted), rollouts.MAXIMUM: str(wanted + rollouts.fenceposts(deployment)[0])}
        before = replica_set["spec"]["replicas"]
        annotations = {**(replica_set["metadata"].get("annotations") or {}), **notes}
        if before == size and annotations == replica_set["metadata"].get("annotations"):
            return

        def change(draft: Json) -> None:
            draft["metadata"]["annotations"] = annotations
            draft["spec"]["replicas"] = size

        metadata = replica_set["metadata"]
        self._api.modify(REPLICA_SET, metadata["namespace"], metadata["name"], change, _WRITER)
        if before != size:
            self._tell_scaled(deployment, metadata["name"], before, size)

    def _tell_scaled(self, deployment: Json, name: str, before: int, size: int) -> None:
        way = "up" if size > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {size}"
        self._events.normal(_COMPONENT, deployment, "ScalingReplicaSet", message)

    def _clean_up(self, deployment: Json, sets: list[Json], new: Json | None) -> None:
        """Old ReplicaSets beyond `revisionHistoryLimit` go when the rollout is done."""
        if not rollouts.is_complete(deployment, deployment.get("status") or {}):
            return
        idle = [
            entry
            for entry in sets
            if entry is not new and not entry["spec"]["replicas"] and not (entry.get("status") or {}).get("replicas")
        ]
        too_many = len(idle) - deployment["spec"].get("revisionHistoryLimit", 10)
        for entry in sorted(idle, key=rollouts.revision_of)[: max(0, too_many)]:
            self._api.delete(REPLICA_SET, entry["metadata"]["namespace"], entry["metadata"]["name"])
