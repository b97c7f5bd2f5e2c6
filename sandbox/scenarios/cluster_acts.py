"""What a scenario breaks in the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

from sandbox.cluster import Cluster
from sandbox.cluster.clock import stamp
from sandbox.cluster.fields import Writer
from sandbox.cluster.quantities import quantity, requested
from sandbox.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    Json,
    Kind,
    by_kind,
)
from sandbox.scenarios.changes import Change, Setting
from sandbox.scenarios.scenario import PRODUCTION, Act, Stage

_KINDS: dict[str, Kind] = {kind.name: kind for kind in (CONFIG_MAP, SECRET, PERSISTENT_VOLUME_CLAIM)}
_DISK = "DiskPressure"
_BY_HAND = Writer("kubectl-edit")


@dataclass(frozen=True)
class Make(Act):
    """An object is created, in production's namespace unless it says another."""

    manifest: Json
    minutes: float = 0.0
    """Since when it is there."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        kind = by_kind(self.manifest["apiVersion"], self.manifest["kind"])
        assert kind is not None, "the sandbox's cluster serves it"
        ago = timedelta(minutes=self.minutes)
        yield _object(stage.cluster, kind, self.manifest["metadata"]["name"], lambda: self.manifest, ago)


@dataclass(frozen=True)
class Remove(Act):
    """An object is gone, by force, as when somebody takes its finalizer off: what runs keeps what it has."""

    kind: str
    name: str

    def changes(self, stage: Stage) -> Iterator[Change]:
        yield _object(stage.cluster, _KINDS[self.kind], self.name, lambda: None)


@dataclass(frozen=True)
class Forget(Act):
    """A key of a ConfigMap or Secret is gone."""

    kind: str
    name: str
    key: str

    def changes(self, stage: Stage) -> Iterator[Change]:
        yield entry(stage.cluster, _KINDS[self.kind], PRODUCTION, self.name, self.key, None)


@dataclass(frozen=True)
class TaintNodes(Act):
    """Every node gets a taint."""

    key: str
    value: str
    effect: str = "NoSchedule"

    def changes(self, stage: Stage) -> Iterator[Change]:
        for node in list(stage.cluster.store.all(NODE)):
            yield _taint(
                stage.cluster,
                node["metadata"]["name"],
                {"key": self.key, "value": self.value, "effect": self.effect},
            )


@dataclass(frozen=True)
class FillNodes(Act):
    """Something else runs on every node and leaves so much CPU; less than nothing where it takes more than it may."""

    name: str
    leave: float
    minutes: float = 0.0
    """Since when it runs."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster
        for node in list(cluster.store.all(NODE)):
            where = node["metadata"]["name"]

            def pod(node: Json = node, where: str = where) -> Json:
                here = [pod for pod in cluster.store.all(POD) if pod["spec"].get("nodeName") == where]
                rest = quantity(node["status"]["allocatable"]["cpu"]) - sum(requested(pod, "cpu") for pod in here)
                resources = {"requests": {"cpu": f"{(rest - self.leave) * 1000:.0f}m"}}
                container = {"name": "export", "image": "ghcr.io/omnicare/export:v7", "resources": resources}
                metadata = {"name": f"{self.name}-{where}", "namespace": PRODUCTION, "labels": {"app": self.name}}
                spec = {"nodeName": where, "containers": [container]}
                return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

            ago = timedelta(minutes=self.minutes)
            yield _object(cluster, POD, f"{self.name}-{where}", pod, ago)


@dataclass(frozen=True)
class FillDisk(Act):
    """The disk of the node with most of production's pods has been nearly full for some minutes; no new pod goes there."""

    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster
        nodes = Counter(pod["spec"].get("nodeName") for pod in cluster.store.all(POD, PRODUCTION))
        name = str(max(sorted(filter(None, nodes)), key=lambda each: nodes[each]))
        at = stamp(cluster.clock.now() - timedelta(minutes=self.minutes))

        def read() -> Json | None:
            conditions = cluster.api.get(NODE, "", name)["status"]["conditions"]
            return next((each for each in conditions if each["type"] == _DISK), None)

        def write(wanted: Json | None) -> None:
            def change(draft: Json) -> None:
                others = [each for each in draft["status"]["conditions"] if each["type"] != _DISK]
                draft["status"]["conditions"] = [*others, *([wanted] if wanted is not None else [])]

            cluster.api.modify(NODE, "", name, change, Writer("kubelet", subresource="status"))

        full = {"type": _DISK, "status": "True", "lastHeartbeatTime": at, "lastTransitionTime": at}
        said = {"reason": "KubeletHasDiskPressure", "message": "kubelet has disk pressure"}
        yield Setting(f"Node/{name}/{_DISK}", read, write).to({**full, **said})
        yield _taint(
            cluster, name, {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": at}
        )


@dataclass(frozen=True)
class InitFails(Act):
    """Init containers exit 1 from now on."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        faults = stage.cluster.faults

        def write(value: bool) -> None:
            faults.init_fails = value

        yield Setting("init containers", lambda: faults.init_fails, write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class SlowStart(Act):
    """An image `…-slow` takes so many seconds until a pod of it is ready."""

    seconds: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        faults = stage.cluster.faults

        def read() -> float | None:
            return faults.slow_seconds

        def write(value: float | None) -> None:
            faults.slow_seconds = value

        yield Setting("slow images", read, write).to(self.seconds)


@dataclass(frozen=True)
class LoseNode(Act):
    """A node falls silent once a pod of an image with this in its tag runs on it."""

    tag: str

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster

        def put() -> None:
            cluster.faults.lose_node_of = self.tag

        def put_back() -> None:
            cluster.faults.lose_node_of = ""
            cluster.find_nodes()

        yield Change("lost node", put, lambda: put_back, lambda: True)


@dataclass(frozen=True)
class GiveUp(Act):
    """Kubernetes waits so many seconds for a rollout of production's services."""

    seconds: int

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster
        for deployment in list(cluster.store.all(DEPLOYMENT, PRODUCTION)):
            name = deployment["metadata"]["name"]

            def read(name: str = name) -> int:
                return int(cluster.api.get(DEPLOYMENT, PRODUCTION, name)["spec"]["progressDeadlineSeconds"])

            def write(seconds: int, name: str = name) -> None:
                def change(draft: Json) -> None:
                    draft["spec"]["progressDeadlineSeconds"] = seconds

                cluster.api.modify(DEPLOYMENT, PRODUCTION, name, change, _BY_HAND)

            yield Setting(f"Deployment/{PRODUCTION}/{name}/deadline", read, write).to(self.seconds)


def _object(
    cluster: Cluster, kind: Kind, name: str, wanted: Callable[[], Json | None], ago: timedelta = timedelta()
) -> Change:
    """Return the change of a whole object of production, or of the cluster; `wanted` is asked once the one that was there is gone."""
    namespace = PRODUCTION if kind.namespaced else ""

    def is_there() -> bool:
        return cluster.store.get(kind, namespace, name) is not None

    gone = False

    def put() -> None:
        nonlocal gone
        cluster.replace(kind, namespace, name, None)
        manifest = wanted()
        gone = manifest is None
        if manifest is not None:
            with cluster.past(ago) if ago else nullcontext():
                cluster.create(manifest)

    def remember() -> Callable[[], None]:
        before = cluster.store.get(kind, namespace, name)
        return lambda: cluster.replace(kind, namespace, name, before)

    return Change(f"{kind.name}/{namespace}/{name}", put, remember, lambda: is_there() != gone)


def entry(cluster: Cluster, kind: Kind, namespace: str, name: str, key: str, value: str | None) -> Change:
    """Return the change of one key of a ConfigMap or Secret; nothing where the object is not there."""

    def read() -> str | None:
        found = cluster.store.get(kind, namespace, name)
        return None if found is None else (found.get("data") or {}).get(key)

    def write(text: str | None) -> None:
        def change(draft: Json) -> None:
            data = draft.setdefault("data", {})
            data.pop(key, None)
            if text is not None:
                data[key] = text

        if cluster.store.get(kind, namespace, name) is not None:
            cluster.api.modify(kind, namespace, name, change, _BY_HAND)

    return Setting(f"{kind.name}/{namespace}/{name}/{key}", read, write).to(value)


def _taint(cluster: Cluster, node: str, taint: Json) -> Change:
    def read() -> Json | None:
        taints = cluster.api.get(NODE, "", node)["spec"].get("taints") or []
        return next((each for each in taints if each["key"] == taint["key"]), None)

    def write(wanted: Json | None) -> None:
        def change(draft: Json) -> None:
            others = [each for each in draft["spec"].pop("taints", None) or [] if each["key"] != taint["key"]]
            if taints := [*others, *([wanted] if wanted is not None else [])]:
                draft["spec"]["taints"] = taints

        cluster.api.modify(NODE, "", node, change, _BY_HAND)

    return Setting(f"Node/{node}/{taint['key']}", read, write).to(taint)
