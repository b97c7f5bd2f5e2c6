"""What somebody did to production a while ago: an image, a number of pods, a setting. Taken back, it was never done.

The cluster's own controllers make the past: what follows from the act happens at its time, and pods, conditions and events say so.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sandbox.cluster import Cluster
from sandbox.cluster.clock import parse
from sandbox.cluster.controllers.owners import owned
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, EVENT, POD, REPLICA_SET, Json
from sandbox.cluster.seed import CHANGE_CAUSE, image
from sandbox.scenarios.changes import Change
from sandbox.scenarios.cluster_acts import entry
from sandbox.scenarios.scenario import PRODUCTION, Act, Stage

_RESTARTED = "kubectl.kubernetes.io/restartedAt"


class _DeploymentAct(Act):
    """A field of a Deployment was changed some minutes ago."""

    service: str
    minutes: float

    field: str
    """What of it: two acts of one field are one place."""
    manager: str
    """The program that did it, as Kubernetes notes it."""

    @abstractmethod
    def read(self, deployment: Json) -> object:
        """Return the field."""

    @abstractmethod
    def write(self, deployment: Json, value: object) -> None:
        """Write the field."""

    @abstractmethod
    def wanted(self, cluster: Cluster) -> object:
        """Return what it was changed to."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster

        def change(value: object) -> None:
            cluster.api.modify(
                DEPLOYMENT, PRODUCTION, self.service, lambda draft: self.write(draft, value), Writer(self.manager)
            )

        def now() -> object:
            return self.read(cluster.api.get(DEPLOYMENT, PRODUCTION, self.service))

        def put() -> None:
            with cluster.past(timedelta(minutes=self.minutes)):
                change(wanted)

        def remember() -> Callable[[], None]:
            before, known = now(), _known(cluster, self.service)
            return lambda: _undo(cluster, self.service, known, lambda: change(before))

        wanted = self.wanted(cluster)
        where = f"Deployment/{PRODUCTION}/{self.service}/{self.field}"
        yield Change(where, put, remember, lambda: now() == wanted)


@dataclass(frozen=True)
class SetImage(_DeploymentAct):
    """Somebody gave a service another version."""

    service: str
    version: str
    minutes: float
    field = "image"
    manager = "kubectl-set"

    def wanted(self, cluster: Cluster) -> object:  # noqa: ARG002 - it is named
        return image(self.service, self.version), f"release {self.version}, by hand"

    def read(self, deployment: Json) -> object:
        cause = (deployment["metadata"].get("annotations") or {}).get(CHANGE_CAUSE)
        return deployment["spec"]["template"]["spec"]["containers"][0]["image"], cause

    def write(self, deployment: Json, value: object) -> None:
        assert isinstance(value, tuple), "as it was read"
        deployment["spec"]["template"]["spec"]["containers"][0]["image"], cause = value
        deployment["metadata"].setdefault("annotations", {})[CHANGE_CAUSE] = cause


@dataclass(frozen=True)
class Scale(_DeploymentAct):
    """Somebody wants another number of pods."""

    service: str
    replicas: int
    minutes: float
    field = "replicas"
    manager = "kubectl-scale"

    def wanted(self, cluster: Cluster) -> object:  # noqa: ARG002 - it is named
        return self.replicas

    def read(self, deployment: Json) -> object:
        return deployment["spec"]["replicas"]

    def write(self, deployment: Json, value: object) -> None:
        deployment["spec"]["replicas"] = value


@dataclass(frozen=True)
class Restart(_DeploymentAct):
    """Somebody restarted a service's pods."""

    service: str
    minutes: float
    field = "restart"
    manager = "kubectl-rollout"

    def wanted(self, cluster: Cluster) -> object:
        return (cluster.clock.now() - timedelta(minutes=self.minutes)).isoformat(timespec="seconds")

    def read(self, deployment: Json) -> object:
        return (deployment["spec"]["template"]["metadata"].get("annotations") or {}).get(_RESTARTED)

    def write(self, deployment: Json, value: object) -> None:
        metadata = deployment["spec"]["template"]["metadata"]
        annotations = {**(metadata.pop("annotations", None) or {}), _RESTARTED: value}
        if kept := {key: text for key, text in annotations.items() if text is not None}:
            metadata["annotations"] = kept


@dataclass(frozen=True)
class Configure(Act):
    """Somebody changed a key of a ConfigMap, some minutes ago."""

    name: str
    key: str
    value: str
    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster
        now = entry(cluster, CONFIG_MAP, PRODUCTION, self.name, self.key, self.value)

        def put() -> None:
            with cluster.past(timedelta(minutes=self.minutes)):
                now.put()

        def remember() -> Callable[[], None]:
            before = cluster.store.get(CONFIG_MAP, PRODUCTION, self.name)
            return lambda: cluster.replace(CONFIG_MAP, PRODUCTION, self.name, before)

        yield Change(now.where, put, remember, now.stands)


def _known(cluster: Cluster, service: str) -> frozenset[str]:
    """What there is of a service, and what was told of it, by uid."""
    sets = _sets(cluster, service)
    events = (each for each in cluster.store.all(EVENT, PRODUCTION) if _is_about(each, service))
    return frozenset(each["metadata"]["uid"] for each in (*sets, *events))


def _sets(cluster: Cluster, service: str) -> list[Json]:
    return list(owned(cluster.store, REPLICA_SET, cluster.api.get(DEPLOYMENT, PRODUCTION, service)))


def _is_about(event: Json, service: str) -> bool:
    name = str(event["involvedObject"]["name"])
    return name == service or name.startswith(f"{service}-")


def _undo(cluster: Cluster, service: str, known: frozenset[str], change: Callable[[], None]) -> None:
    """What came meanwhile is gone, and what is made anew is as old as its ReplicaSet."""
    came = [each for each in _sets(cluster, service) if each["metadata"]["uid"] not in known]
    stays = [each for each in _sets(cluster, service) if each["metadata"]["uid"] in known]
    begun = max(parse(each["metadata"]["creationTimestamp"]) for each in stays)
    with cluster.past(cluster.clock.now() - begun - timedelta(seconds=1)):
        change()
        for replica_set in came:
            for pod in list(owned(cluster.store, POD, replica_set)):
                cluster.store.remove(POD, pod)
            cluster.store.remove(REPLICA_SET, replica_set)
    for event in [each for each in cluster.store.all(EVENT, PRODUCTION) if _is_about(each, service)]:
        if event["metadata"]["uid"] not in known:
            cluster.store.remove(EVENT, event)
