"""The kinds that this API server serves, as data: discovery, routing, the store and the tables all read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of object and where it is served. Each exists once, so two are compared by identity, which takes no time."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As error sentences name it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """As `is invalid` sentences name it: `Deployment.apps`, `Pod`."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def base(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


_REVIEW = ("create",)

NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False, short=("ns",), subresources=("status",))
NODE = Kind("", "v1", "Node", "nodes", namespaced=False, short=("no",), subresources=("status",))
POD = Kind("", "v1", "Pod", "pods", short=("po",), categories=("all",), subresources=("status", "log", "exec"))
SERVICE = Kind("", "v1", "Service", "services", short=("svc",), categories=("all",), subresources=("status",))
ENDPOINTS = Kind("", "v1", "Endpoints", "endpoints", short=("ep",))
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", short=("cm",))
SECRET = Kind("", "v1", "Secret", "secrets")
EVENT = Kind("", "v1", "Event", "events", short=("ev",))
PERSISTENT_VOLUME_CLAIM = Kind(
    "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",), subresources=("status",)
)
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", short=("quota",), subresources=("status",))
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges", short=("limits",))
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", short=("sa",))
DEPLOYMENT = Kind(
    "apps", "v1", "Deployment", "deployments", short=("deploy",), categories=("all",), subresources=("status", "scale")
)
REPLICA_SET = Kind(
    "apps", "v1", "ReplicaSet", "replicasets", short=("rs",), categories=("all",), subresources=("status", "scale")
)
JOB = Kind("batch", "v1", "Job", "jobs", categories=("all",), subresources=("status",))
AUTOSCALER = Kind(
    "autoscaling",
    "v2",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    short=("hpa",),
    categories=("all",),
    subresources=("status",),
)
"""Kept as it was written: no controller scales anything."""
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs", short=("cj",), categories=("all",), subresources=("status",))
DISRUPTION_BUDGET = Kind(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", short=("pdb",), subresources=("status",)
)
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses", short=("ing",), subresources=("status",))
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short=("netpol",))
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
AS_WRITTEN = (CRON_JOB, DISRUPTION_BUDGET, INGRESS, NETWORK_POLICY, VALIDATING_WEBHOOKS, MUTATING_WEBHOOKS)
"""Kept as they were written, as autoscalers are: nothing is scheduled, counted, routed or blocked. A webhook is never asked; that its pods are gone is seen."""
_MEASURED = ("get", "list")
POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", verbs=_MEASURED)
NODE_METRICS = Kind("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", namespaced=False, verbs=_MEASURED)
METRICS = (POD_METRICS, NODE_METRICS)
"""Computed when they are asked for, and never stored."""
ACCESS_REVIEW = Kind(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
    verbs=_REVIEW,
)
RULES_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False, verbs=_REVIEW
)
SELF_REVIEW = Kind(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False, verbs=_REVIEW
)
TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False, verbs=_REVIEW)

REVIEWS = (ACCESS_REVIEW, RULES_REVIEW, SELF_REVIEW, TOKEN_REVIEW)
STORED = (
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    ENDPOINTS,
    CONFIG_MAP,
    SECRET,
    EVENT,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME_CLAIM,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    DEPLOYMENT,
    REPLICA_SET,
    JOB,
    AUTOSCALER,
    *AS_WRITTEN,
)
KINDS = (*STORED, *METRICS, *REVIEWS)

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_KIND = {(kind.api_version, kind.name): kind for kind in KINDS}
GROUPS = tuple(dict.fromkeys((kind.group, kind.version) for kind in KINDS))


def by_path(group: str, version: str, plural: str) -> Kind | None:
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, name: str) -> Kind | None:
    return _BY_KIND.get((api_version, name))


def has_generation(kind: Kind) -> bool:
    """Whether a change of the specification is counted in `metadata.generation`."""
    return kind in (DEPLOYMENT, REPLICA_SET, JOB)


def counts(kind: Kind, old: Json, new: Json) -> bool:
    """Whether a change raises `metadata.generation`: of a Deployment that of an annotation does, too."""
    if kind == DEPLOYMENT and old["metadata"].get("annotations") != new["metadata"].get("annotations"):
        return True
    return has_generation(kind) and old.get("spec") != new.get("spec")
