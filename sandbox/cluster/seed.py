"""OmniCare as it runs at the start of a sandbox: v1.2.0 since twelve days, v1.1.0 before it, in two environments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from sandbox.cluster.cluster import Cluster
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import DEPLOYMENT, Json
from sandbox.outside.registry import REGISTRY, digest_of

_LIMITS = {"backend": "512Mi", "frontend": "256Mi"}
NAMESPACES = ("omnicare-prod", "omnicare-staging")
BOT_NAMESPACE = "omnicare-bot"
THROW_AWAY = "omnicare.dev/throw-away"
CHANGE_CAUSE = "kubernetes.io/change-cause"

_FIRST, _SECOND = timedelta(days=40, hours=5), timedelta(days=12, hours=3)
_SERVICES = {
    "backend": (3001, 3001, {"cpu": "100m", "memory": "128Mi"}),
    "frontend": (80, 3000, {"cpu": "50m", "memory": "64Mi"}),
}


def image(service: str, version: str) -> str:
    """As the bot writes it: readable and pinned."""
    return f"{REGISTRY}/omnicare/{service}:{version}@{digest_of(service, version)}"


def seed_omnicare(cluster: Cluster, namespaces: tuple[str, ...] = NAMESPACES) -> None:
    """Make the two releases happen, in the past; the cluster is settled when this returns."""
    cluster.seed((_FIRST, lambda: _install(cluster, namespaces)), (_SECOND, lambda: _upgrade(cluster, namespaces)))


def _install(cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    for namespace in (*namespaces, BOT_NAMESPACE):
        metadata = {"name": namespace, "labels": {THROW_AWAY: "true"}}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for namespace in namespaces:
        for manifest in (_secret(namespace), _signing_key(namespace), _config(namespace), _claim(namespace)):
            cluster.create(manifest)
        for service, (port, target, requests) in _SERVICES.items():
            cluster.create(_deployment(namespace, service, target, requests), "kubectl-client-side-apply")
            cluster.create(_service(namespace, service, port, target), "kubectl-client-side-apply")


def _upgrade(cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    for namespace in namespaces:
        for service in _SERVICES:
            cluster.api.modify(DEPLOYMENT, namespace, service, _to(service, "v1.2.0"), Writer("kubectl-set"))


def _to(service: str, version: str) -> Callable[[Json], None]:
    def change(draft: Json) -> None:
        draft["spec"]["template"]["spec"]["containers"][0]["image"] = image(service, version)
        draft["metadata"].setdefault("annotations", {})[CHANGE_CAUSE] = f"release {version}, by hand"

    return change


def _deployment(namespace: str, service: str, port: int, requests: dict[str, str]) -> Json:
    labels = {"app": service}
    health = {"httpGet": {"path": "/health", "port": port}}
    container: Json = {
        "name": service,
        "image": image(service, "v1.1.0"),
        "resources": {"requests": requests, "limits": {"memory": _LIMITS[service]}},
        **{f"{probe}Probe": health for probe in ("readiness", "liveness", "startup")},
    }
    pod: Json = {"containers": [container]}
    if service == "backend":
        _furnish_backend(pod, container)
    annotations = {CHANGE_CAUSE: "release v1.1.0, by hand"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _furnish_backend(pod: Json, container: Json) -> None:
    """What a backend of a medical record has: settings, a database's address, a place for uploads, a wait before it starts."""
    url = {"secretKeyRef": {"name": "omnicare-database", "key": "DATABASE_URL"}}
    container["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    container["env"] = [{"name": "DATABASE_URL", "valueFrom": url}]
    container["volumeMounts"] = [{"name": "uploads", "mountPath": "/var/lib/omnicare/uploads"}]
    pod["initContainers"] = [{"name": "wait-for-database", "image": "ghcr.io/omnicare/wait-for-database:v3"}]
    pod["volumes"] = [{"name": "uploads", "persistentVolumeClaim": {"claimName": "backend-uploads"}}]


def _signing_key(namespace: str) -> Json:
    """What the guide's fifth step replaces; the backend's pods read it when they start."""
    metadata = {"name": "backend-secret", "namespace": namespace}
    invented = hashlib.sha256(f"jwt of {namespace}".encode()).hexdigest()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"JWT_SECRET": invented}}


def _config(namespace: str) -> Json:
    metadata = {"name": "backend-config", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"LOG_LEVEL": "info", "FHIR": "R4"}}


def _claim(namespace: str) -> Json:
    metadata = {"name": "backend-uploads", "namespace": namespace}
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _service(namespace: str, service: str, port: int, target: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": namespace},
        "spec": {"selector": {"app": service}, "ports": [{"port": port, "targetPort": target}]},
    }


def _secret(namespace: str) -> Json:
    invented = hashlib.sha256(namespace.encode()).hexdigest()[:12]
    url = f"postgres://omnicare:{invented}@postgres.invalid:5432/omnicare_emr"
    metadata = {"name": "omnicare-database", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"DATABASE_URL": url}}
