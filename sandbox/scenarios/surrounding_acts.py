"""What a scenario breaks around the services: a CronJob whose Job fails, a Service that leads to another port, a webhook without pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.cluster import Cluster
from sandbox.cluster.clock import stamp
from sandbox.cluster.controllers.owners import CONTROLLER, owned, reference_to
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CRON_JOB, EVENT, JOB, POD, SERVICE, VALIDATING_WEBHOOKS, Json
from sandbox.scenarios.changes import Change
from sandbox.scenarios.scenario import PRODUCTION, Act, Stage

_HOUR = timedelta(hours=1)
_AGE = timedelta(days=12)


@dataclass(frozen=True)
class ScheduledJobFails(Act):
    """A CronJob starts a Job each hour, and the last one failed some minutes ago; of an image `…-crash`, so that its log says why."""

    name: str
    image: str
    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster

        def put() -> None:
            self._remove(cluster)
            began = cluster.clock.now() - timedelta(minutes=self.minutes)
            with cluster.past(_AGE):
                schedule = cluster.create(self._schedule(began))
            with cluster.past(timedelta(minutes=self.minutes)):
                status = {"lastScheduleTime": stamp(began), "lastSuccessfulTime": stamp(began - _HOUR)}
                writer = Writer(CONTROLLER, subresource="status")
                cluster.api.modify(CRON_JOB, PRODUCTION, self.name, lambda draft: draft.update(status=status), writer)
                cluster.create(self._job(schedule, began), CONTROLLER)

        def stands() -> bool:
            return cluster.store.get(CRON_JOB, PRODUCTION, self.name) is not None

        yield Change(f"{CRON_JOB.name}/{PRODUCTION}/{self.name}", put, lambda: lambda: self._remove(cluster), stands)

    def _remove(self, cluster: Cluster) -> None:
        schedule = cluster.store.get(CRON_JOB, PRODUCTION, self.name)
        if schedule is None:
            return
        for job in list(owned(cluster.store, JOB, schedule)):
            for pod in list(owned(cluster.store, POD, job)):
                cluster.store.remove(POD, pod)
            cluster.store.remove(JOB, job)
        cluster.store.remove(CRON_JOB, schedule)
        for event in list(cluster.store.all(EVENT, PRODUCTION)):
            if str(event["involvedObject"]["name"]).startswith(self.name):
                cluster.store.remove(EVENT, event)

    def _pod(self) -> Json:
        container = {"name": self.name, "image": self.image}
        return {"spec": {"restartPolicy": "Never", "containers": [container]}}

    def _schedule(self, began: datetime) -> Json:
        spec = {"backoffLimit": 0, "template": self._pod()}
        return {
            "apiVersion": CRON_JOB.api_version,
            "kind": CRON_JOB.name,
            "metadata": {"name": self.name, "namespace": PRODUCTION},
            "spec": {
                "schedule": f"{began.minute} * * * *",
                "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": spec},
            },
        }

    def _job(self, schedule: Json, began: datetime) -> Json:
        name = f"{self.name}-{int(began.timestamp()) // 60}"  # as the CronJob controller names it
        metadata = {"name": name, "namespace": PRODUCTION, "ownerReferences": [reference_to(schedule)]}
        spec = schedule["spec"]["jobTemplate"]["spec"]
        return {"apiVersion": JOB.api_version, "kind": JOB.name, "metadata": metadata, "spec": spec}


@dataclass(frozen=True)
class MovePort(Act):
    """Somebody changed the port to which a service's Service leads, some minutes ago."""

    service: str
    port: int
    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster, name = stage.cluster, self.service

        def write(draft: Json) -> None:
            draft["spec"]["ports"][0]["targetPort"] = self.port

        def put() -> None:
            with cluster.past(timedelta(minutes=self.minutes)):
                cluster.api.modify(SERVICE, PRODUCTION, name, write, Writer("kubectl-edit"))

        def remember() -> Callable[[], object]:
            before = cluster.store.get(SERVICE, PRODUCTION, name)
            return lambda: cluster.replace(SERVICE, PRODUCTION, name, before)

        def stands() -> bool:
            found = cluster.store.get(SERVICE, PRODUCTION, name)
            return found is not None and found["spec"]["ports"][0]["targetPort"] == self.port

        yield Change(f"{SERVICE.name}/{PRODUCTION}/{name}/port", put, remember, stands)


def required_webhook(service: str, namespace: str) -> Json:
    """Return the configuration of a webhook without whose answer no pod is made in production."""
    asked = {"service": {"namespace": namespace, "name": service, "path": "/validate", "port": 443}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}
    webhook = {
        "name": f"pods.{service}.example",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": asked,
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": PRODUCTION}},
    }
    return {
        "apiVersion": VALIDATING_WEBHOOKS.api_version,
        "kind": VALIDATING_WEBHOOKS.name,
        "metadata": {"name": service},
        "webhooks": [webhook],
    }
