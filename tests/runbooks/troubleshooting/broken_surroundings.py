"""Ways to break what stands around the services of a generated environment."""

from tests.runbooks.troubleshooting.generated_world import NAMESPACE, Breakage, Json, World, event
from tests.runbooks.troubleshooting.surroundings import budget, claim, job, policy, schedule, webhook


def _one(world: World, kind: str, name: str) -> Json:
    return next(each for each in world.kinds[kind] if each["metadata"]["name"] == name)


def migration_failed(world: World) -> str:
    job(world, "migrate-e5f6", "Failed", 3, what="migrate")
    return "Job migrate-e5f6: the migrations failed (BackoffLimitExceeded)"


def job_failed(world: World) -> str:
    job(world, "import-3", "Failed", 3)
    return "Job import-3: it failed"


def schedule_failed(world: World) -> str:
    schedule(world, "rotate", "0 * * * *", world.now.minute)
    job(world, "rotate-8", "Complete", 500, "uid-rotate")
    job(world, "rotate-9", "Failed", 400, "uid-rotate")
    return "CronJob rotate: its last Job failed"


def schedule_overdue(world: World) -> str:
    schedule(world, "rotate", "0 * * * *", 60 * 26)
    return "CronJob rotate has been overdue for"


def schedule_blocked(world: World) -> str:
    found = schedule(world, "rotate", "*/10 * * * *", 400, concurrencyPolicy="Forbid")
    found["status"]["active"] = [{"name": "rotate-9"}]
    return "its last Job still runs, and it allows one at a time"


def schedule_suspended(world: World) -> str:
    schedule(world, "rotate", "0 * * * *", 60 * 26, suspend=True)
    return "CronJob rotate is suspended"


def no_eviction(world: World) -> str:
    world.kinds["poddisruptionbudgets"].clear()
    pods = len(world.pods_of("backend"))
    budget(world, "backend", pods, pods, 0, maxUnavailable=0)
    return "backend: its PodDisruptionBudget backend-budget (maxUnavailable 0) allows no eviction, though"


def quota_nearly_used(world: World) -> str:
    _one(world, "resourcequotas", "room")["status"]["used"]["pods"] = "96"
    return "ResourceQuota room is nearly used up: pods 96 of 100"


def claim_lost(world: World) -> str:
    _one(world, "persistentvolumeclaims", "redis-data")["status"]["phase"] = "Lost"
    return "volume claim redis-data is lost: its volume pvc-redis-data no longer exists"


def claim_unbound(world: World) -> str:
    world.kinds["persistentvolumeclaims"].clear()
    event(world, "ProvisioningFailed", "storageclass gp3 not found", claim(world, "redis-data", "Pending", 20), 1, "PersistentVolumeClaim")  # fmt: skip
    return "Volume claim redis-data has no volume, and 1 pod waits for it"


def service_without_pods(world: World) -> str:
    _one(world, "endpoints", "redis")["subsets"] = []
    _one(world, "services", "redis")["spec"]["selector"] = {"app": "valkey"}
    return "Service redis leads nowhere: it selects no pod"


def service_to_another_port(world: World) -> str:
    _one(world, "services", "backend")["spec"]["ports"][0]["targetPort"] = 3002
    return "backend: its Service backend leads to port 3002, which no container or probe"


def ingress_to_nothing(world: World) -> str:
    paths = _one(world, "ingresses", "emr")["spec"]["rules"][0]["http"]["paths"]
    paths[0]["backend"]["service"]["name"] = "api"
    return "Ingress emr sends requests for emr.example.com to Service api, which does not exist"


def ingress_to_no_port(world: World) -> str:
    paths = _one(world, "ingresses", "emr")["spec"]["rules"][0]["http"]["paths"]
    paths[0]["backend"]["service"]["port"] = {"number": 8080}
    return "to port 8080 of Service backend, which has no such port"


def webhook_unanswered(world: World) -> str:
    _one(world, "endpoints", "kyverno")["subsets"] = []
    return "The cluster refuses changes to pods: Service kyverno in policies has no ready pod"


def webhook_without_service(world: World) -> str:
    here = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    webhook(world, "removed", resources="*", namespaceSelector=here)
    return "The cluster refuses changes to everything: Service removed in policies does not exist"


def closed_in(world: World) -> str:
    world.kinds["networkpolicies"].clear()
    policy(world, "default-deny", {}, ["Ingress"])
    for each in ("frontend", "worker"):
        policy(world, each, {"matchLabels": {"app": each}}, ["Ingress"], ingress=[{}])
    return "backend: nothing may connect to its pods, by NetworkPolicy default-deny"


def closed_out(world: World) -> str:
    world.kinds["networkpolicies"].clear()
    wanted = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["backend"]}]}
    policy(world, "no-egress", wanted, ["Egress"])
    return "backend: its pods may connect to nothing, DNS and database included"


def closed_to_dns(world: World) -> str:
    world.kinds["networkpolicies"].clear()
    rules = [{"ports": [{"port": 5432}]}, {"ports": [{"port": 54, "endPort": 9000}]}]
    policy(world, "database-only", {"matchLabels": {"app": "backend"}}, ["Egress"], egress=rules)
    return "backend: its pods may not reach DNS (port 53)"


def dns_down(world: World) -> str:
    one = [{"ip": "10.0.2.1", "targetRef": {"name": "coredns-1"}}]
    _one(world, "endpoints", "kube-dns")["subsets"] = [{"notReadyAddresses": one}]
    return "The cluster's DNS does not answer: Service kube-dns has no ready pod"


SURROUNDINGS: tuple[Breakage, ...] = (
    migration_failed, job_failed, schedule_failed, schedule_overdue, schedule_blocked, schedule_suspended, no_eviction,
    quota_nearly_used, claim_lost, claim_unbound, service_without_pods, service_to_another_port, ingress_to_nothing,
    ingress_to_no_port, webhook_unanswered, webhook_without_service, closed_in, closed_out, closed_to_dns, dns_down,
)  # fmt: skip
