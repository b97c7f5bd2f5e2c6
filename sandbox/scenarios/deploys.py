"""What breaks as soon as somebody deploys."""

from sandbox.cluster.resources import Json
from sandbox.scenarios.cluster_acts import FillNodes, Forget, InitFails, LoseNode, Make, Remove, SlowStart, TaintNodes
from sandbox.scenarios.scenario import PRODUCTION, Scenario


def _namespaced(api_version: str, kind: str, name: str, spec: Json) -> Make:
    metadata = {"name": name, "namespace": PRODUCTION}
    return Make({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})


_CLAIM = "backend-uploads"
_DEADLINE = 45

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "image-unknown",
        "The image of v2.1.0-bad is in the registry's list, but the nodes are told that it does not exist.",
        "deploy v2.1.0-bad",
        "the image can't be pulled: the registry does not have it",
    ),
    Scenario(
        "image-unauthorised",
        "The nodes' pull secret has expired: the registry answers them 401 for v2.1.0-private.",
        "deploy v2.1.0-private",
        "the image can't be pulled: the registry rejects the nodes' credentials",
    ),
    Scenario(
        "image-rate-limited",
        "The registry answers the nodes 429 for v2.1.0-limited. That may pass, so the run waits, and says so after 30 s.",
        "deploy v2.1.0-limited",
        "the image can't be pulled: the registry limits pulls from the nodes",
        deadline=_DEADLINE,
    ),
    Scenario(
        "image-wrong-architecture",
        "v2.1.0-arm was built for another processor architecture than the nodes'.",
        "deploy v2.1.0-arm",
        "the image can't be pulled: it is not built for the nodes' processor architecture",
    ),
    Scenario(
        "crash",
        "v2.1.0-crash starts, finds no database and exits with 1.",
        "deploy v2.1.0-crash",
        "the container keeps starting and exiting (exit code 1)",
    ),
    Scenario(
        "out-of-memory",
        "v2.1.0-oom needs more memory than its limit of 512Mi.",
        "deploy v2.1.0-oom",
        "the container is killed for using more memory than its limit of 512Mi",
    ),
    Scenario(
        "unready-probe",
        "v2.1.0-unready runs, but answers its readiness probe 503.",
        "deploy v2.1.0-unready",
        "the readiness probe fails: HTTP 503",
        deadline=_DEADLINE,
    ),
    Scenario(
        "liveness-probe",
        "v2.1.0-unlive answers its liveness probe 500, so the kubelet ends it again and again.",
        "deploy v2.1.0-unlive",
        "the liveness probe fails: HTTP 500",
    ),
    Scenario(
        "startup-probe",
        "v2.1.0-stalls opens its port too late for its startup probe.",
        "deploy v2.1.0-stalls",
        "the startup probe fails: connection refused",
    ),
    Scenario(
        "quota",
        "The quota of omnicare-prod allows the six pods that run, and not one more.",
        "deploy v2.0.0",
        "quota pods in omnicare-prod has no room for the new pod",
        (_namespaced("v1", "ResourceQuota", "pods", {"hard": {"pods": "6"}}),),
    ),
    Scenario(
        "admission",
        "A new rule of omnicare-prod wants every container to ask for half a CPU at least; the backend asks for less.",
        "deploy v2.0.0",
        "the limit range of omnicare-prod rejects the new pods",
        (_namespaced("v1", "LimitRange", "least", {"limits": [{"type": "Container", "min": {"cpu": "500m"}}]}),),
    ),
    Scenario(
        "unschedulable",
        "A nightly export in the same namespace has filled the nodes: no room is left for one more pod.",
        "deploy v2.0.0",
        "no node has room for the new pod: insufficient cpu",
        (FillNodes("nightly-export", -0.3),),
        deadline=_DEADLINE,
    ),
    Scenario(
        "taint",
        "Somebody keeps all nodes for batch jobs: they have a taint that the backend does not tolerate.",
        "deploy v2.0.0",
        "no node accepts the new pod: an untolerated taint (dedicated=batch)",
        (TaintNodes("dedicated", "batch"),),
        deadline=_DEADLINE,
    ),
    Scenario(
        "volume-claim",
        "The volume claim backend-uploads was deleted; the pods that run still have it.",
        "deploy v2.0.0",
        "volume claim backend-uploads does not exist",
        (Remove("PersistentVolumeClaim", _CLAIM),),
        deadline=_DEADLINE,
    ),
    Scenario(
        "volume-unbound",
        "The volume claim backend-uploads was made anew with a storage class that does not exist.",
        "deploy v2.0.0",
        "volume claim backend-uploads is not bound to a volume",
        (
            Remove("PersistentVolumeClaim", _CLAIM),
            _namespaced(
                "v1",
                "PersistentVolumeClaim",
                _CLAIM,
                {
                    "accessModes": ["ReadWriteMany"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "20Gi"}},
                },
            ),
        ),
        deadline=_DEADLINE,
    ),
    Scenario(
        "config-missing",
        "The ConfigMap backend-config was deleted; the pods that run have read it already.",
        "deploy v2.0.0",
        "ConfigMap backend-config does not exist",
        (Remove("ConfigMap", "backend-config"),),
    ),
    Scenario(
        "secret-missing",
        "The key DATABASE_URL is gone from the Secret omnicare-database.",
        "deploy v2.0.0",
        "Secret omnicare-database has no key DATABASE_URL",
        (Forget("Secret", "omnicare-database", "DATABASE_URL"),),
    ),
    Scenario(
        "init-crash",
        "The database doesn't have the schema that the backend waits for before it starts.",
        "deploy v2.0.0",
        "init container wait-for-database fails (exit code 1)",
        (InitFails(),),
    ),
    Scenario(
        "node-lost",
        "A node falls silent as soon as the first new pod runs on it.",
        "deploy v2.1.0-slow",
        "node node-",
        (LoseNode("slow"), SlowStart(6.0)),
        deadline=_DEADLINE,
    ),
    Scenario(
        "slow",
        "v2.1.0-slow needs 40 s until a pod is ready: nothing is wrong, it only takes long.",
        "deploy v2.1.0-slow",
        "",
        (SlowStart(40.0),),
    ),
    Scenario(
        "hang-1-of-3",
        "The first new pod of v2.1.0-hang gets ready, and no other: the rollout hangs at 1 of 3.",
        "deploy v2.1.0-hang",
        "the readiness probe fails: HTTP 503",
        deadline=600,
    ),
)
