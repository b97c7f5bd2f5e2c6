"""The Job controller: one pod after another until enough have succeeded or too many have failed."""

from __future__ import annotations

import copy

from sandbox.cluster.api import Api
from sandbox.cluster.clock import parse
from sandbox.cluster.controllers.owners import CONTROLLER, condition, is_leaving, owned, owner_of, reference_to
from sandbox.cluster.controllers.queue import Queue
from sandbox.cluster.errors import ApiError
from sandbox.cluster.events import Events
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import JOB, POD, Json
from sandbox.cluster.store import Change

_WRITER, _STATUS = Writer(CONTROLLER), Writer(CONTROLLER, subresource="status")
_COMPONENT = "job-controller"
_RETRY = 5.0


class Jobs:
    def __init__(self, api: Api, events: Events) -> None:
        self._api, self._events = api, events
        self.queue = Queue(api.clock, self._work)

    def see(self, change: Change) -> None:
        if change.kind == JOB and change.type != "DELETED":
            self.queue.add(change.obj["metadata"]["namespace"], change.obj["metadata"]["name"])
        elif change.kind == POD:
            owner = owner_of(change.obj)
            if owner and owner["kind"] == JOB.name:
                self.queue.add(change.obj["metadata"]["namespace"], owner["name"])

    def _work(self, namespace: str, name: str) -> None:
        job = self._api.store.get(JOB, namespace, name)
        if job is None or is_leaving(job):
            return
        if condition(job, "Complete") or condition(job, "Failed"):
            self._forget(job)
            return
        pods = [pod for pod in owned(self._api.store, POD, job) if not is_leaving(pod)]
        phases = [pod["status"].get("phase") for pod in pods]
        done, failed = phases.count("Succeeded"), phases.count("Failed")
        active = len(phases) - done - failed
        ended = self._ended(job, done, failed)
        spec = job["spec"]
        if ended is not None and active:
            for pod in pods:
                if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                    self._api.delete(POD, namespace, pod["metadata"]["name"])
            active, failed = 0, failed + active
        if ended is None and not spec.get("suspend"):
            active += self._start_up_to(min(spec["parallelism"], spec["completions"] - done) - active, job)
        self._record(job, {"active": active, "succeeded": done, "failed": failed}, ended)

    def _ended(self, job: Json, done: int, failed: int) -> Json | None:
        now = self._api.clock.stamp()
        times = {"lastProbeTime": now, "lastTransitionTime": now}
        if done >= job["spec"]["completions"]:
            self._events.normal(_COMPONENT, job, "Completed", "Job completed")
            return {"type": "Complete", "status": "True", **times}
        left = self._seconds_left(
            job, job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
        )
        if left is not None and left <= 0:
            message = "Job was active longer than specified deadline"
            self._events.warning(_COMPONENT, job, "DeadlineExceeded", message)
            return {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": message, **times}
        if failed > job["spec"]["backoffLimit"]:
            message = "Job has reached the specified backoff limit"
            self._events.warning(_COMPONENT, job, "BackoffLimitExceeded", message)
            return {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": message, **times}
        return None

    def _seconds_left(self, job: Json, seconds: int | None, since: str | None) -> float | None:
        """Return how long that time lasts yet, and look again then; None where there is none."""
        if seconds is None or since is None:
            return None
        left = seconds - (self._api.clock.now() - parse(since)).total_seconds()
        if left > 0:
            self.queue.add_later(job["metadata"]["namespace"], job["metadata"]["name"], left)
        return left

    def _forget(self, job: Json) -> None:
        """An ended Job goes after its `ttlSecondsAfterFinished`, and its pods with it."""
        ended = (condition(job, "Complete") or condition(job, "Failed") or {})["lastTransitionTime"]
        left = self._seconds_left(job, job["spec"].get("ttlSecondsAfterFinished"), ended)
        if left is not None and left <= 0:
            self._api.delete(JOB, job["metadata"]["namespace"], job["metadata"]["name"])

    def _start_up_to(self, most: int, job: Json) -> int:
        """Return how many pods were started; the others are tried again later."""
        for started in range(most):
            try:
                self._start(job)
            except ApiError as error:
                self._events.warning(_COMPONENT, job, "FailedCreate", f"Error creating: {error.message}")
                self.queue.add_later(job["metadata"]["namespace"], job["metadata"]["name"], _RETRY)
                return started
        return max(0, most)

    def _start(self, job: Json) -> None:
        template = copy.deepcopy(job["spec"]["template"])
        metadata = {**template["metadata"], "generateName": job["metadata"]["name"] + "-"}
        metadata["ownerReferences"] = [reference_to(job)]
        body = {"metadata": metadata, "spec": template["spec"]}
        pod = self._api.create(POD, job["metadata"]["namespace"], body, _WRITER)
        self._events.normal(_COMPONENT, job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _record(self, job: Json, counts: dict[str, int], ended: Json | None) -> None:
        before = job.get("status") or {}
        status: Json = {"startTime": before.get("startTime") or self._api.clock.stamp()}
        status.update({name: count for name, count in counts.items() if count})
        if ended:
            status["conditions"] = [ended]
            if ended["type"] == "Complete":
                status["completionTime"] = self._api.clock.stamp()
        if status != before:
            metadata = job["metadata"]
            body = {**job, "status": status}
            self._api.update(JOB, metadata["namespace"], metadata["name"], body, _STATUS)
