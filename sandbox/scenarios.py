"""Bad nights to choose from: what each breaks, in a sentence, and the command to type. Data only; `sandbox.staging` plays them.

`omnicare sandbox --scenario NAME` starts with one, the page's *World* offers them all, and a reset takes everything back.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
PRODUCTION = "omnicare-prod"


@dataclass(frozen=True)
class Make:
    """An object is created, in production's namespace unless it says another."""

    manifest: Json


@dataclass(frozen=True)
class Remove:
    """An object is gone."""

    kind: str
    name: str


@dataclass(frozen=True)
class Forget:
    """A key of a ConfigMap or Secret is gone."""

    kind: str
    name: str
    key: str


@dataclass(frozen=True)
class TaintNodes:
    """Every node gets a taint."""

    key: str
    value: str
    effect: str = "NoSchedule"


@dataclass(frozen=True)
class FillNodes:
    """Something else runs on every node and leaves so much CPU; less than nothing where it takes more than it may."""

    name: str
    leave: float


@dataclass(frozen=True)
class Fault:
    """What is wrong beyond the objects (`sandbox.cluster.faults`)."""

    name: str
    value: Any


@dataclass(frozen=True)
class BreakDatabase:
    """The database is in a bad way: a lock that is held, a transaction left open, answers that take their time, no answer at all."""

    how: Literal["lock", "blocked", "lag", "full", "slow", "gone"]


@dataclass(frozen=True)
class BreakLogs:
    """Pods of the backend write in a bad way (`sandbox.cluster.log_moods`)."""

    mood: Literal["flood", "patients", "hang", "drops"]


@dataclass(frozen=True)
class BreakMetrics:
    """A metric of Prometheus has been as bad as with a version `…-errors`, for some minutes."""

    metric: str
    minutes: int
    alert: str = ""
    """The alert that has fired for most of that time."""


@dataclass(frozen=True)
class BreakGate:
    """Something that a gate of v2.0.0 looks at is not as it should be (`sandbox.gates`)."""

    how: Literal["check", "coverage", "branch", "alert", "notes", "tag", "revision", "github", "promotion", "signature"]


@dataclass(frozen=True)
class BreakSync:
    """The queue of offline sync, or the scripts that look after it, are in a bad way."""

    how: Literal["stuck", "missing", "silent"]


Act = Make | Remove | Forget | TaintNodes | FillNodes | Fault


@dataclass(frozen=True)
class Scenario:
    """One bad night."""

    name: str
    sentence: str
    """What is broken, or will be."""
    command: str
    """What to type, as Maya."""
    cause: str
    """The first words of the card that names it."""
    acts: tuple[Act | BreakDatabase | BreakGate | BreakLogs | BreakMetrics | BreakSync, ...] = field(default=())
    deadline: int | None = None
    """Seconds after which Kubernetes gives up, where that is how it ends; nobody waits ten minutes in a sandbox."""

    @property
    def tag(self) -> str:
        """The version that is deployed."""
        return self.command.split()[-1]


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
        (Fault("init_fails", value=True),),
    ),
    Scenario(
        "node-lost",
        "A node falls silent as soon as the first new pod runs on it.",
        "deploy v2.1.0-slow",
        "node node-",
        (Fault("lose_node_of", value="slow"), Fault("slow_seconds", value=6.0)),
        deadline=_DEADLINE,
    ),
    Scenario(
        "slow",
        "v2.1.0-slow needs 40 s until a pod is ready: nothing is wrong, it only takes long.",
        "deploy v2.1.0-slow",
        "",
        (Fault("slow_seconds", value=40.0),),
    ),
    Scenario(
        "hang-1-of-3",
        "The first new pod of v2.1.0-hang gets ready, and no other: the rollout hangs at 1 of 3.",
        "deploy v2.1.0-hang",
        "the readiness probe fails: HTTP 503",
        deadline=600,
    ),
)

DATABASE: tuple[Scenario, ...] = (
    Scenario(
        "database-lock",
        "A migration that nobody ended holds a lock on the table of encounters, and the application waits behind it.",
        "slow-queries",
        "4 sessions wait for a lock now",
        (BreakDatabase("lock"),),
    ),
    Scenario(
        "blocked-db",
        "The backend left a transaction open, a migration waits for it, and the rest of the backend waits behind the migration.",
        "db activity",
        "4 sessions wait for pid",
        (BreakDatabase("blocked"),),
    ),
    Scenario(
        "pool-exhausted",
        "The backend has used all connections that its role may have; most of them do nothing, in an open transaction.",
        "db pool",
        "omnicare uses 12 of 12 connections that it may have: none is left",
        (BreakDatabase("full"),),
    ),
    Scenario(
        "replica-lag",
        "Somebody paused the replica and forgot it, and the application goes on writing.",
        "db replication",
        "The replica does not replay what it receives",
        (BreakDatabase("lag"),),
    ),
    Scenario(
        "database-slow",
        "Every answer of the database takes 0.4 s, also to what does nothing.",
        "db connect",
        "It answers slowly",
        (BreakDatabase("slow"),),
    ),
    Scenario(
        "database-gone",
        "Neither the primary nor the replica answers: a security group lost its rule.",
        "db connect",
        "did not answer within",
        (BreakDatabase("gone"),),
    ),
)
"""Bad nights of the database; the page offers them where the sandbox has one."""

LOGS: tuple[Scenario, ...] = (
    Scenario(
        "log-flood",
        "One pod of the backend writes 400 lines a second.",
        "logs backend --since 1m",
        "fatal ",
        (BreakLogs("flood"),),
    ),
    Scenario(
        "log-patients",
        "The backend writes patients' data into its log, all of it invented.",
        "logs backend",
        "Removed from these lines: ",
        (BreakLogs("patients"),),
    ),
    Scenario(
        "log-hang",
        "The log of one pod of the backend opens and says nothing.",
        "logs backend",
        "is missing or incomplete: no data for",
        (BreakLogs("hang"),),
    ),
)
SYNC: tuple[Scenario, ...] = (
    Scenario(
        "sync-stuck",
        "Nothing leaves the sync queue any more.",
        "sync status",
        "Sync in production is stuck",
        (BreakSync("stuck"),),
    ),
    Scenario(
        "sync-missing",
        "The backend's image has no sync scripts.",
        "sync status",
        "has no script for this",
        (BreakSync("missing"),),
    ),
    Scenario(
        "sync-silent",
        "The sync scripts never answer.",
        "sync status",
        "did not answer within",
        (BreakSync("silent"),),
    ),
)
"""These two can also be had for a while: the page's *World* has a button for each, and mends them by itself."""

WEBSOCKETS: tuple[Scenario, ...] = (
    Scenario(
        "websocket-drops",
        "For 12 minutes something in front of the backend has cut off WebSocket connections that are idle.",
        "sync websocket",
        "WebSocket connections of backend in production drop",
        (BreakLogs("drops"), BreakMetrics("websocket_disconnects_total", 12)),
    ),
)

METRICS: tuple[Scenario, ...] = (
    Scenario(
        "error-rate",
        "For 25 minutes more than 2 % of the requests have failed.",
        "metrics",
        "error rate is above its limit",
        (BreakMetrics("http_requests_total", 25, "HighErrorRate"),),
    ),
)
"""Bad nights that only Prometheus and Alertmanager know of."""


def _gate(name: str, sentence: str, cause: str, act: BreakGate | BreakSync) -> Scenario:
    return Scenario(f"gate-{name}", sentence, "deploy v2.0.0", cause, (act,))


GATES: tuple[Scenario, ...] = (
    _gate("check", "Snyk has failed for v2.0.0.", "Gate Snyk (failed)", BreakGate("check")),
    _gate("coverage", "The tests of v2.0.0 cover 71 %.", "Gate Test coverage (failed)", BreakGate("coverage")),
    _gate("branch", "v2.0.0 was never merged to main.", "Gate Protected branch (failed)", BreakGate("branch")),
    _gate("alert", "Code scanning has a critical alert.", "Gate Code scanning (failed)", BreakGate("alert")),
    _gate("notes", "v2.0.0 has no release on GitHub.", "Gate Release notes (failed)", BreakGate("notes")),
    _gate("tag", "GitHub has no tag v2.0.0.", "has no tag v2.0.0", BreakGate("tag")),
    _gate(
        "revision",
        "The images of v2.0.0 were built from another commit.",
        "Gate Image commit (failed)",
        BreakGate("revision"),
    ),
    _gate("github", "GitHub does not answer.", "GitHub answers with status 503", BreakGate("github")),
    _gate("promotion", "v2.0.0 was never in staging.", "Gate Promotion (failed)", BreakGate("promotion")),
    _gate("signature", "Nobody has signed for v2.0.0.", "updated (waiting)", BreakGate("signature")),
    _gate("sync", "The sync queue is large and grows.", "Gate Clinical work in flight (failed)", BreakSync("stuck")),
)
"""One gate of a deploy that does not pass: the plan is refused, and says what to do."""

TWO_REGIONS = ("eu", "us")
REGIONS: tuple[Scenario, ...] = (
    Scenario(
        "two-regions",
        "Production runs in two regions, eu and us. The page's World can make the second one unreachable.",
        "deploy v2.0.0",
        "runs in production",
    ),
)
"""These need a world of their own: a second cluster."""

EVERY = (*SCENARIOS, *LOGS, *SYNC, *WEBSOCKETS, *DATABASE, *METRICS, *GATES, *REGIONS)
BY_NAME = {scenario.name: scenario for scenario in EVERY}
