"""What stands around the services of a generated environment, all of it healthy: Jobs, schedules, budgets, routes, webhooks, volumes."""

from datetime import timedelta
from typing import Any

from tests.runbooks.troubleshooting.generated_world import NAMESPACE, Json, World, _pod, healthy, meta

FIVE = timedelta(minutes=5)


def surrounded(seed: int) -> World:
    """Return a healthy world with all of that."""
    world = healthy(seed)
    for part in (_services, _jobs, _schedules, _budgets, _ingresses, _webhooks, _policies, _claims, _quota):
        part(world)
    return world


def job(world: World, name: str, ended: str, minutes: float, owner: str = "", what: str = "") -> Json:
    """Add a Job that ended so long ago: `Complete`, `Failed`, or none of them."""
    found = meta(world, name, minutes + 2, owner, "CronJob")
    if what:
        found |= {"labels": {"omnicare.dev/job": what}, "annotations": {"omnicare.dev/run": "run-7kq2"}}
    end = {"type": ended, "status": "True", "lastTransitionTime": world.stamp(minutes)}
    if ended == "Failed":
        end |= {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
    status: Json = {"conditions": [end]} if ended else {"active": 1}
    return world.add("jobs", {"metadata": found, "spec": {}, "status": status})


def schedule(world: World, name: str, when: str, last: float | None, **spec: Any) -> Json:
    """Add a CronJob that last started so long ago."""
    started = {"lastScheduleTime": world.stamp(last)} if last is not None else {}
    spec = {"schedule": when, "concurrencyPolicy": "Allow", **spec}
    return world.add("cronjobs", {"metadata": meta(world, name, 50_000), "spec": spec, "status": started})


def budget(world: World, app: str, pods: int, healthy_pods: int, allowed: int, **spec: Any) -> Json:
    """Add a PodDisruptionBudget."""
    status = {
        "expectedPods": pods,
        "currentHealthy": healthy_pods,
        "disruptionsAllowed": allowed,
        "observedGeneration": 1,
    }
    spec = {"selector": {"matchLabels": {"app": app}}, **spec}
    return world.add("poddisruptionbudgets", {"metadata": meta(world, f"{app}-budget", 9000, generation=1), "spec": spec, "status": status})  # fmt: skip


def webhook(world: World, service: str, *, policy: str = "Fail", resources: str = "pods", **more: Any) -> Json:
    """Add a validating webhook that asks a Service of another namespace."""
    rule = {"resources": [resources], "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"]}
    asked = {"service": {"namespace": "policies", "name": service, "port": 443}}
    hook = {"name": f"{service}.example.com", "clientConfig": asked, "failurePolicy": policy, "rules": [rule], **more}
    return world.add("validatingwebhookconfigurations", {"metadata": meta(world, service, 9000), "webhooks": [hook]})


def policy(world: World, name: str, selector: Json, types: list[str], **rules: Any) -> Json:
    """Add a NetworkPolicy."""
    spec = {"podSelector": selector, "policyTypes": types, **rules}
    return world.add("networkpolicies", {"metadata": meta(world, name, 9000), "spec": spec})


def claim(world: World, name: str, phase: str, minutes: float) -> Json:
    """Add a PersistentVolumeClaim."""
    spec = {"storageClassName": "gp3", **({"volumeName": f"pvc-{name}"} if phase != "Pending" else {})}
    found = {"metadata": meta(world, name, minutes), "spec": spec, "status": {"phase": phase}}
    return world.add("persistentvolumeclaims", found)


def redis(world: World) -> Json:
    """Add a pod of something that the bot does not deploy, which uses a claim."""
    pod = _pod(world, "redis", "redis-0", "uid-redis", 5000)
    pod["spec"] = {**pod["spec"], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "redis-data"}}]}
    return pod


def _service(world: World, name: str, selector: Json, target: Any, port: int = 80) -> None:
    ports = [{"name": "http", "port": port, "targetPort": target}]
    world.add("services", {"metadata": meta(world, name, 90_000), "spec": {"type": "ClusterIP", "selector": selector, "ports": ports}})  # fmt: skip


def _services(world: World) -> None:
    for name in ("backend", "frontend", "worker"):
        _service(world, name, {"app": name}, 3001)
    redis(world)
    _service(world, "redis", {"app": "redis"}, "redis", 6379)
    at = [{"ip": "10.0.1.1", "targetRef": {"name": "redis-0"}}]
    world.add("endpoints", {"metadata": meta(world, "redis", 9000), "subsets": [{"addresses": at}]})
    _service(world, "elsewhere", {}, 5432)  # somebody else writes its endpoints
    world.add("services", {"metadata": meta(world, "partner", 9000), "spec": {"type": "ExternalName", "selector": {"app": "gone"}}})  # fmt: skip


def _jobs(world: World) -> None:
    rng = world.rng
    for what, other in (("migrate", 100), ("smoke", 30), ("benchmark", 15)):
        if rng.random() < 0.5:
            job(world, f"{what}-a1b2", "Failed", other + 5, what=what)
        if rng.random() < 0.8 or f"{what}-a1b2" in str(world.kinds["jobs"]):
            job(world, f"{what}-c3d4", rng.choice(("Complete", "")), other - 5, what=what)
    job(world, "import-1", "Failed", 60)
    job(world, "import-2", "Complete", 40)
    if rng.random() < 0.5:
        job(world, "import-codes", "Failed", 4000)


def _schedules(world: World) -> None:
    rng, now = world.rng, world.now
    since = (now.hour * 60 + now.minute) % 1440
    daily = schedule(world, "nightly", "0 0 * * *", since)
    job(world, "nightly-1", "Failed", since + 1440, "uid-nightly")
    if since > 3:
        job(world, "nightly-2", "Complete", since - 2, "uid-nightly")
    daily["spec"]["concurrencyPolicy"] = "Forbid"
    schedule(world, "often", "*/5 * * * *", now.minute % 5, timeZone="Asia/Kolkata")
    if rng.random() < 0.5:  # it takes its time
        late = schedule(world, "export", "*/5 * * * *", now.minute % 5 + 5, concurrencyPolicy="Forbid")
        late["status"]["active"] = [{"name": "export-1"}]
    new = schedule(world, "new", "@yearly", None)
    new["metadata"]["creationTimestamp"] = world.stamp(1)
    schedule(world, "by-hand", "0 4 * * *", None, suspend=True)


def _budgets(world: World) -> None:
    for name in ("backend", "frontend", "worker"):
        deployment = next(each for each in world.kinds["deployments"] if each["metadata"]["name"] == name)
        desired, ready = deployment["spec"]["replicas"], deployment["status"]["readyReplicas"]
        if desired > 1:
            least = max(1, desired - 1)
            budget(world, name, desired, ready, max(0, ready - least), minAvailable=least)
    budget(world, "gone", 0, 0, 0, maxUnavailable=1)


def _ingresses(world: World) -> None:
    paths = [
        {"path": "/api", "backend": {"service": {"name": "backend", "port": {"number": 80}}}},
        {"path": "/", "backend": {"service": {"name": "frontend", "port": {"name": "http"}}}},
        {"path": "/static", "backend": {"resource": {"kind": "StorageBucket", "name": "static"}}},
    ]
    rules = [{"host": "emr.example.com", "http": {"paths": paths}}]
    spec = {"rules": rules, "tls": [{"hosts": ["emr.example.com"], "secretName": "emr-tls"}]}
    world.add("ingresses", {"metadata": meta(world, "emr", 9000), "spec": spec})


def _webhooks(world: World) -> None:
    at = [{"ip": "10.0.2.1"}]
    world.add("endpoints", {"metadata": meta(world, "kube-dns", 9000), "subsets": [{"addresses": at}]})
    world.add("endpoints", {"metadata": meta(world, "kyverno", 9000), "subsets": [{"addresses": at}]})
    webhook(world, "kyverno")
    webhook(world, "scanner", policy="Ignore")
    webhook(world, "node-labels", resources="nodes")
    others = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [NAMESPACE]}]}
    webhook(world, "elsewhere-only", namespaceSelector=others)


def _policies(world: World) -> None:
    if world.rng.random() < 0.7:
        policy(world, "default-deny", {}, ["Ingress", "Egress"])
        policy(world, "allow", {}, ["Ingress", "Egress"], ingress=[{}], egress=[{"ports": [{"port": 53}]}])
    policy(world, "quarantine", {"matchLabels": {"quarantine": "yes"}}, ["Ingress", "Egress"])


def _claims(world: World) -> None:
    claim(world, "redis-data", "Bound", 90_000)
    claim(world, "uploads", "Bound", 90_000)
    claim(world, "waits-for-its-first-pod", "Pending", 9000)


def _quota(world: World) -> None:
    hard = {"pods": "100", "requests.memory": "64Gi", "services.loadbalancers": "0"}
    used = {"pods": "80", "requests.memory": "32Gi", "services.loadbalancers": "0"}
    world.add("resourcequotas", {"metadata": meta(world, "room", 9000), "status": {"hard": hard, "used": used}})
