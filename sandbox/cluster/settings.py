"""What of the sandbox's cluster can be chosen: how fast pods live, how large the node is, who may do what."""

from __future__ import annotations

from dataclasses import dataclass

ANY = ("*",)


@dataclass(frozen=True)
class Rule:
    """One permission: verbs on resources (`deployments/scale` too) of API groups, in some namespaces or in all."""

    verbs: tuple[str, ...]
    resources: tuple[str, ...] = ANY
    groups: tuple[str, ...] = ANY
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    name: str
    token: str
    rules: tuple[Rule, ...] = ()
    groups: tuple[str, ...] = ()


_READ = ("get", "list", "watch")
_WATCHED = ("pods", "services", "endpoints", "events", "deployments", "replicasets", "jobs", "horizontalpodautoscalers")
_LOOKED_AT = ("cronjobs", "poddisruptionbudgets", "ingresses", "networkpolicies", "persistentvolumeclaims")
"""What only `diagnose` looks at."""

ADMIN = User("admin", "admin-token", (Rule(ANY),), ("system:masters",))
VIEWER = User(
    "viewer",
    "viewer-token",
    (Rule(_READ, (*_WATCHED, "pods/log", "configmaps", "namespaces", "nodes", "resourcequotas", "deployments/scale")),),
)


def bot_user(namespaces: tuple[str, ...], home: str) -> User:
    """The bot's own account: it reads and rolls workloads in its environments, and owns ConfigMaps at home only."""
    return User(
        "omnicare-bot",
        "bot-token",
        (
            Rule(_READ, _WATCHED, namespaces=namespaces),
            Rule(("get",), ("pods/log", "deployments/scale"), namespaces=namespaces),
            Rule(("create", "get"), ("pods/exec",), namespaces=namespaces),
            Rule(("patch", "update"), ("deployments", "deployments/scale"), namespaces=namespaces),
            Rule(("create", "delete"), ("jobs",), namespaces=namespaces),
            Rule(("get",), ("namespaces",)),
            Rule(
                ("list",),
                ("nodes", "pods", "events", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
            ),
            Rule(("get",), ("endpoints",)),
            Rule(("list",), ("resourcequotas", "certificates", *_LOOKED_AT), namespaces=namespaces),
            Rule(("get",), ("secrets",), namespaces=namespaces, names=("omnicare-bot-database",)),
            Rule(("get", "patch"), ("secrets",), namespaces=namespaces, names=("backend-secret",)),
            Rule(("get",), ("secrets",), namespaces=namespaces, names=("omnicare-tls",)),
            Rule(("get", "list", "create", "patch"), ("configmaps",), namespaces=namespaces),
            Rule(("get", "list", "watch", "create", "update", "patch", "delete"), ("configmaps",), namespaces=(home,)),
        ),
        ("omnicare:bots",),
    )


@dataclass(frozen=True)
class Settings:
    """Durations are in seconds. The defaults let a person see a rollout happen."""

    start_seconds: tuple[float, float] = (0.8, 1.5)
    slow_seconds: float = 8.0
    pull_retry_seconds: float = 3.0
    init_seconds: float = 0.1
    crash_seconds: float = 0.6
    restart_seconds: float = 2.0
    longest_restart_seconds: float = 20.0
    stop_seconds: float = 0.5
    observe_seconds: float = 0.005
    """Until the Deployment controller sees a change of a Deployment, as the real one does a few milliseconds later."""
    job_seconds: float = 1.5
    node_grace_seconds: float = 2.0
    """A node that is silent for so long is not ready; a real cluster waits 40 s."""
    eviction_seconds: float = 300.0
    nodes: int = 1
    cpu: str = "16"
    memory: str = "64Gi"
    pods: int = 110
    log_length: int = 20_000
    events_kept: int = 1_000
    random_seed: int = 7
    exec_protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    """Kubernetes before 1.30 has v4 alone, which can't say that the input has ended."""
    users: tuple[User, ...] = (ADMIN, bot_user(("omnicare-prod", "omnicare-staging"), "omnicare-bot"), VIEWER)
