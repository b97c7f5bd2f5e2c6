"""Environments made by a seed: healthy ones in which much has happened, and each broken in one way.

They are Kubernetes' own JSON, served by a small HTTP server to the real client, and metrics as numbers.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from runbooks.metrics.settings import METRICS
from runbooks.metrics.standing import MetricHistory, NamedSeries
from runbooks.troubleshooting.case import RecentRun
from tests.support.cases import PRODUCTION

Json = dict[str, Any]
NAMESPACE = PRODUCTION.namespace
POINTS = 121
_LEVELS = {
    "error-rate": 0.02, "api-p95": 90.0, "endpoints": 200.0, "requests": 120.0, "sessions": 300.0, "cpu": 40.0, "memory": 55.0,
    "restarts": 0.0, "network": 8.0, "disk": 50.0, "pool": 35.0, "db-p95": 30.0, "replication-lag": 0.5, "locks": 0.0,
    "audit-events": 200.0, "failed-logins": 1.0, "record-access": 60.0, "encryption": 100.0,
}  # fmt: skip
"""Usual values, well within the limits."""
_STEADY = ("restarts", "locks", "encryption")


KINDS = (
    "deployments", "replicasets", "pods", "events", "services", "endpoints", "configmaps", "resourcequotas", "horizontalpodautoscalers",
    "jobs", "cronjobs", "poddisruptionbudgets", "ingresses", "networkpolicies", "persistentvolumeclaims",
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
)  # fmt: skip


@dataclass
class World:
    """One environment at one moment."""

    rng: random.Random
    now: datetime
    kinds: dict[str, list[Json]] = field(default_factory=dict)
    """Plural → items."""
    logs: dict[str, str] = field(default_factory=dict)
    """Pod → what its container wrote before its restart."""
    metrics: dict[str, list[float | None]] = field(default_factory=dict)
    runs: list[RecentRun] = field(default_factory=list)

    def stamp(self, minutes: float) -> str:
        return (self.now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def add(self, kind: str, item: Json) -> Json:
        self.kinds.setdefault(kind, []).append(item)
        return item

    def pods_of(self, service: str) -> list[Json]:
        """Return its present pods."""
        return [
            pod
            for pod in self.kinds["pods"]
            if pod["metadata"]["labels"].get("app") == service
            and pod["status"]["phase"] == "Running"
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def histories(self) -> tuple[MetricHistory, ...]:
        """Return the metrics, a point a minute."""
        start = self.now - timedelta(minutes=POINTS - 1)
        return tuple(
            MetricHistory(
                query=query, start=start, step=timedelta(minutes=1), count=POINTS,
                series=(NamedSeries(values=tuple(self.metrics[query.name])),),
            )
            for query in METRICS
        )  # fmt: skip


def healthy(seed: int) -> World:
    """Return a world in which nothing is wrong."""
    rng = random.Random(seed)
    world = World(rng, datetime.now(UTC).replace(microsecond=0))
    for kind in KINDS:
        world.kinds[kind] = []
    for number in range(rng.randint(2, 5)):
        world.add("nodes", _node(world, f"node-{number}"))
    for service in ("backend", "frontend", "worker"):
        _service(world, service)
    _jobs(world)
    if rng.random() < 0.5:
        _quota(world)
    for query in METRICS:
        world.metrics[query.name] = _course(rng, query.name)
    if rng.random() < 0.5:
        _ran(world, rng.uniform(5, 110))
    _config_map(world, rng.uniform(1, 100_000))
    return world


def meta(world: World, name: str, minutes: float, owner: str = "", kind: str = "ReplicaSet", **more: Any) -> Json:
    owners = [{"uid": owner, "controller": True, "kind": kind, "name": owner}] if owner else []
    return {
        "name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": "1", "labels": {},
        "creationTimestamp": world.stamp(minutes), "ownerReferences": owners, **more,
    }  # fmt: skip


def _node(world: World, name: str) -> Json:
    conditions = [
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": world.stamp(90_000)}
    ]
    conditions += [
        {"type": kind, "status": "False", "lastTransitionTime": world.stamp(90_000)}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "creationTimestamp": world.stamp(100_000)},
        "spec": {},
        "status": {"conditions": conditions, "allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}},
    }  # fmt: skip


def _service(world: World, name: str) -> None:
    rng = world.rng
    replicas, age = rng.randint(1, 12), rng.uniform(3, 60_000)
    template = _template(name, "v1.2.0")
    rolling = rng.random() < 0.15 and name != "worker"
    world.add("replicasets", _set(world, name, "new", template, age, replicas, replicas))
    for old in range(rng.randint(0, 4)):
        before = _template(name, f"v1.1.{old}")
        world.add("replicasets", _set(world, name, f"old{old}", before, age + 2000 * (old + 1), 0, 0))
    for number in range(replicas):
        _pod(world, name, f"{name}-new-{number}", f"uid-{name}-new", rng.uniform(2, age))
    if rng.random() < 0.3:  # of a finished rollout, or of one replica less
        leaving = _pod(world, name, f"{name}-new-gone", f"uid-{name}-{rng.choice(('new', 'old0'))}", age)
        leaving["metadata"]["deletionTimestamp"] = world.stamp(-0.4)
        leaving["status"]["containerStatuses"][0]["ready"] = False
        leaving["status"]["conditions"][0]["status"] = "False"
    if rng.random() < 0.3:
        _evicted(world, name, rng.uniform(200, 9000))
    ready = replicas
    if rolling:  # a replica more, a few seconds old
        replicas += 1
        world.kinds["replicasets"] = [
            each for each in world.kinds["replicasets"] if each["metadata"]["name"] != f"{name}-new"
        ]
        world.add("replicasets", _set(world, name, "new", template, age, replicas, ready))
        _starting(_pod(world, name, f"{name}-new-{replicas}", f"uid-{name}-new", rng.uniform(0.02, 0.35)))
    world.add("deployments", _deployment(world, name, template, age, replicas, ready))
    addresses = [
        {"ip": f"10.0.0.{n}", "targetRef": {"name": pod["metadata"]["name"]}}
        for n, pod in enumerate(world.pods_of(name))
    ]
    world.add("endpoints", {"metadata": meta(world, name, age), "subsets": [{"addresses": addresses[:ready]}]})
    world.add("horizontalpodautoscalers", _autoscaler(world, name, replicas))
    _old_events(world, name)


def _template(name: str, version: str) -> Json:
    probe = {"httpGet": {"path": "/health", "port": 3001}}
    container = {
        "name": name, "image": f"ghcr.io/omnicare/{name}:{version}", "readinessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }  # fmt: skip
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def _set(world: World, name: str, suffix: str, template: Json, age: float, desired: int, ready: int) -> Json:
    return {
        "metadata": meta(world, f"{name}-{suffix}", age, f"uid-{name}", "Deployment"),
        "spec": {"replicas": desired, "template": template},
        "status": {"replicas": desired, "readyReplicas": ready, "availableReplicas": ready},
    }


def _deployment(world: World, name: str, template: Json, age: float, desired: int, ready: int) -> Json:
    done = {
        "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": world.stamp(age),
        "message": "has successfully progressed",
    }  # fmt: skip
    return {
        "metadata": meta(world, name, 100_000, generation=3),
        "spec": {"replicas": desired, "template": template, "selector": {"matchLabels": {"app": name}}},
        "status": {
            "observedGeneration": 3, "replicas": desired, "updatedReplicas": desired, "readyReplicas": ready,
            "availableReplicas": ready, "conditions": [done],
        },
    }  # fmt: skip


def _pod(world: World, app: str, name: str, owner: str, age: float) -> Json:
    rng = world.rng
    status: Json = {
        "name": app, "image": "x", "imageID": "", "ready": True, "started": True, "restartCount": 0,
        "state": {"running": {"startedAt": world.stamp(age)}},
    }  # fmt: skip
    if rng.random() < 0.3 and age > 3000:  # it restarted days ago
        reason, code = rng.choice((("OOMKilled", 137), ("Error", 1), ("Completed", 0), ("Error", 143)))
        status["restartCount"] = rng.randint(1, 30)
        status["lastState"] = {
            "terminated": {"reason": reason, "exitCode": code, "finishedAt": world.stamp(rng.uniform(200, age))}
        }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": world.stamp(age)}
    spec = _template(app, "v1.2.0")["spec"]
    return world.add(
        "pods",
        {
            "metadata": meta(world, name, age, owner) | {"labels": {"app": app}},
            "spec": {**spec, "nodeName": rng.choice(world.kinds["nodes"])["metadata"]["name"]},
            "status": {"phase": "Running", "conditions": [ready], "containerStatuses": [status]},
        },
    )


def _starting(pod: Json) -> None:
    """It has been made just now."""
    pod["status"]["phase"] = "Pending"
    pod["status"]["conditions"][0]["status"] = "False"
    status = pod["status"]["containerStatuses"][0]
    status |= {"ready": False, "started": False, "state": {"waiting": {"reason": "ContainerCreating"}}}


def _evicted(world: World, app: str, minutes: float) -> Json:
    pod = _pod(world, app, f"{app}-new-evicted-{world.rng.randint(0, 9)}", f"uid-{app}-new", minutes + 100)
    disrupted = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": world.stamp(minutes)}
    pod["status"] = {
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.", "conditions": [disrupted],
    }  # fmt: skip
    return pod


def _jobs(world: World) -> None:
    """Pods of Jobs that ended well, of one that failed yesterday, and of one that runs."""
    for number, (phase, age) in enumerate((("Succeeded", 30), ("Failed", 2000), ("Running", 2))):
        if world.rng.random() < 0.6:
            pod = _pod(world, "migrate", f"migrate-{number}", "uid-job", age)
            pod["status"]["phase"] = phase


def _autoscaler(world: World, name: str, replicas: int) -> Json:
    return {
        "metadata": meta(world, name, 50_000),
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": 1,
            "maxReplicas": replicas + world.rng.randint(3, 10),
        },
        "status": {
            "currentReplicas": replicas, "desiredReplicas": replicas,
            "conditions": [{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}],
        },
    }  # fmt: skip


def _quota(world: World) -> None:
    world.add(
        "resourcequotas",
        {
            "metadata": meta(world, "compute", 90_000),
            "status": {"hard": {"pods": "100", "requests.cpu": "50"}, "used": {"pods": "30", "requests.cpu": "9"}},
        },
    )


def event(
    world: World, reason: str, message: str, about: Json, minutes: float, kind: str = "Pod", first: float = 0
) -> None:
    """Add a warning."""
    world.add(
        "events",
        {
            "metadata": meta(world, f"e{len(world.kinds['events'])}", minutes),
            "type": "Normal" if reason in ("Pulled", "ScalingReplicaSet") else "Warning",
            "reason": reason, "message": message, "count": 3,
            "firstTimestamp": world.stamp(first or minutes), "lastTimestamp": world.stamp(minutes),
            "involvedObject": {"uid": about["metadata"]["uid"], "kind": kind, "name": about["metadata"]["name"]},
        },
    )  # fmt: skip


def _old_events(world: World, service: str) -> None:
    """What the pods that run now went through, and pods that are gone."""
    rng, pods = world.rng, world.pods_of(service)
    told = (
        ("Pulled", "Successfully pulled image"), ("Unhealthy", "Readiness probe failed: connection refused"),
        ("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu."), ("BackOff", "Back-off restarting failed container"),
        ("FailedMount", "MountVolume.SetUp failed: configmap not found"), ("Failed", "Error: ImagePullBackOff"),
    )  # fmt: skip
    gone = {"metadata": {"uid": "uid-gone", "name": f"{service}-new-gone1"}}
    for _ in range(rng.randint(0, 6)):
        event(world, *rng.choice(told), rng.choice([*pods, gone]), rng.uniform(1, 60))


def _course(rng: random.Random, name: str) -> list[float | None]:
    level = _LEVELS[name]
    if name in _STEADY:
        return [level] * POINTS
    noise, slope = rng.uniform(0.0, 0.08), rng.uniform(-0.15, 0.15)
    wave = rng.uniform(0, 0.15)
    found: list[float | None] = [
        max(0.0, level * (1 + rng.gauss(0, noise) + slope * n / POINTS + wave * math.sin(n / 20)))
        for n in range(POINTS)
    ]
    for _ in range(rng.randint(0, 2)):  # an outlier within the limit, or a scrape that failed
        found[rng.randrange(POINTS - 5)] = rng.choice((None, level * 1.4))
    return found


def _ran(world: World, minutes: float) -> RecentRun:
    ended = world.now - timedelta(minutes=minutes)
    run = RecentRun(
        id="7KQ2", title="Deploy v1.2.0 to production", command="deploy", state="succeeded",
        at=ended - timedelta(minutes=2), ended=ended, by="Maya",
    )  # fmt: skip
    world.runs.append(run)
    return run


def _config_map(world: World, minutes: float) -> None:
    written = {"manager": "kubectl-edit", "operation": "Update", "time": world.stamp(minutes)}
    world.add("configmaps", {"metadata": meta(world, "backend-config", 90_000, managedFields=[written])})


# what breaks


Breakage = Callable[[World], str]
"""Breaks the backend, and returns words that stand in the first finding's cause."""


def _unready(world: World, pod: Json, state: Json, phase: str = "Pending", **more: Any) -> None:
    """The pod has not been ready for five minutes; it is a new one, of which nothing was told before."""
    world.kinds["events"] = [
        each for each in world.kinds["events"] if each["involvedObject"]["uid"] != pod["metadata"]["uid"]
    ]
    pod["metadata"]["creationTimestamp"] = world.stamp(8)
    pod["status"]["phase"] = phase
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": world.stamp(5)}]
    status = pod["status"]["containerStatuses"][0]
    status.pop("lastState", None)
    status |= {"ready": False, "restartCount": 0, "state": state, **more}
    for kind in ("replicasets", "deployments"):
        for each in world.kinds[kind]:
            if each["metadata"]["name"] in ("backend", "backend-new"):
                each["status"]["readyReplicas"] -= 1
                each["status"]["availableReplicas"] -= 1
    (behind,) = (each for each in world.kinds["endpoints"] if each["metadata"]["name"] == "backend")
    addresses = behind["subsets"][0]["addresses"]
    behind["subsets"][0]["addresses"] = [a for a in addresses if a["targetRef"]["name"] != pod["metadata"]["name"]]


def one_pod(world: World) -> Json:
    return world.rng.choice(world.pods_of("backend"))


def image_pull(world: World) -> str:
    pod, said = one_pod(world), 'Failed to pull image "ghcr.io/omnicare/backend:v1.2.0": manifest unknown'
    _unready(world, pod, {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
    event(world, "Failed", said, pod, 0.5, first=5)
    return "the image can't be pulled"


def crash_loop(world: World) -> str:
    pod, ended = one_pod(world), {"reason": "Error", "exitCode": 1, "finishedAt": world.stamp(0.5)}
    loop = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
    _unready(world, pod, loop, "Running", restartCount=6, lastState={"terminated": ended})
    world.logs[pod["metadata"]["name"]] = "listening\nError: connect ECONNREFUSED 10.0.0.7:5432\n"
    event(world, "BackOff", "Back-off restarting failed container", pod, 0.3, first=5)
    return "keeps starting and exiting (exit code 1)"


def out_of_memory(world: World) -> str:
    pod, ended = one_pod(world), {"reason": "OOMKilled", "exitCode": 137, "finishedAt": world.stamp(0.5)}
    loop = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
    _unready(world, pod, loop, "Running", restartCount=6, lastState={"terminated": ended})
    return "more memory than its limit of 512Mi"


def out_of_memory_once(world: World) -> str:
    status = one_pod(world)["status"]["containerStatuses"][0]
    ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": world.stamp(12)}
    status |= {"restartCount": 1, "lastState": {"terminated": ended}}
    return "1 pod restarted in the last hour: killed for using more memory than its limit of 512Mi"


def pending(world: World) -> str:
    pod = one_pod(world)
    _unready(world, pod, {"waiting": {"reason": ""}})
    pod["spec"] |= {"nodeName": ""}
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "40"
    said = f"0/{len(world.kinds['nodes'])} nodes are available: {len(world.kinds['nodes'])} Insufficient cpu."
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    pod["status"] = {"phase": "Pending", "conditions": [refused, *pod["status"]["conditions"]], "containerStatuses": []}
    event(world, "FailedScheduling", said, pod, 1, first=5)
    return "no node has room for the new pod: insufficient cpu, at least"


def unbound_volume(world: World) -> str:
    pod = one_pod(world)
    _unready(world, pod, {"waiting": {"reason": ""}})
    pod["spec"] |= {"nodeName": "", "volumes": [{"name": "u", "persistentVolumeClaim": {"claimName": "uploads"}}]}
    said = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    pod["status"] = {"phase": "Pending", "conditions": [refused, *pod["status"]["conditions"]], "containerStatuses": []}
    return "volume"


def config_missing(world: World) -> str:
    pod, said = one_pod(world), 'configmap "backend-config" not found'
    _unready(world, pod, {"waiting": {"reason": "CreateContainerConfigError", "message": said}})
    return "backend-config"


def probe_fails(world: World) -> str:
    pod = one_pod(world)
    _unready(world, pod, {"running": {"startedAt": world.stamp(7)}}, "Running")
    event(world, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", pod, 0.1, first=5)
    return "readiness probe"


def quota_used_up(world: World) -> str:
    said = 'pods "backend-x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=30, limited: pods=30'
    (newest,) = (each for each in world.kinds["replicasets"] if each["metadata"]["name"] == "backend-new")
    (owner,) = (each for each in world.kinds["deployments"] if each["metadata"]["name"] == "backend")
    newest["spec"]["replicas"] += 2
    owner["spec"]["replicas"] += 2
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said, "lastTransitionTime": world.stamp(5)}  # fmt: skip
    newest["status"]["conditions"] = [failed]
    event(world, "FailedCreate", f"Error creating: {said}", newest, 0.5, "ReplicaSet", first=5)
    return "quota"


def evicted_now(world: World) -> str:
    _evicted(world, "backend", 6)
    return "1 pod evicted"


def selector_wrong(world: World) -> str:
    (behind,) = (each for each in world.kinds["endpoints"] if each["metadata"]["name"] == "backend")
    behind["subsets"] = []
    return "its Service backend has no ready endpoint"


def scaled_to_zero(world: World) -> str:
    world.kinds["pods"] = [pod for pod in world.kinds["pods"] if pod["metadata"]["labels"]["app"] != "backend"]
    for kind in ("replicasets", "deployments"):
        for each in world.kinds[kind]:
            if each["metadata"]["name"] in ("backend", "backend-new"):
                each["spec"]["replicas"] = 0
                each["status"] = {**each["status"], "replicas": 0, "readyReplicas": 0, "availableReplicas": 0, "updatedReplicas": 0}  # fmt: skip
    return "backend is scaled to 0 replicas"


def bad_release(world: World) -> str:
    world.runs.clear()
    run = _ran(world, 20)
    world.metrics["error-rate"][-19:] = [4.0 + world.rng.gauss(0, 0.2) for _ in range(19)]
    return f"{run.title}, by Maya, run 7KQ2; since then error rate: "


BREAKAGES: tuple[Breakage, ...] = (
    image_pull, crash_loop, out_of_memory, out_of_memory_once, pending, unbound_volume, config_missing, probe_fails,
    quota_used_up, evicted_now, selector_wrong, scaled_to_zero, bad_release,
)  # fmt: skip


class Served:
    """An API server that lists whatever the present world has."""

    def __init__(self) -> None:
        self.world = healthy(0)
        self.asked: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        """Return a list, a log, or 404."""
        parts = [part for part in request.path.split("/") if part]
        self.asked[parts[-1]] += 1
        if parts[-1] == "log":
            return web.Response(text=self.world.logs.get(parts[-2], ""))
        if "metrics.k8s.io" in parts:
            return web.json_response({"kind": "List", "items": self.world.kinds.get("metrics", [])})
        if parts[-2] == "endpoints":
            found = [each for each in self.world.kinds["endpoints"] if each["metadata"]["name"] == parts[-1]]
            if found:
                return web.json_response({"kind": "Endpoints", **found[0]})
        elif parts[-1] in self.world.kinds:
            return web.json_response({"kind": "List", "items": self.world.kinds[parts[-1]]})
        refused = {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}
        return web.json_response(refused, status=404)
