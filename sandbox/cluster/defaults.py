"""What an API server fills in where a specification is silent."""

from __future__ import annotations

import base64
import ipaddress
import random
from typing import Any

from sandbox.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE,
    Json,
    Kind,
)

_SERVICES = ipaddress.ip_network("10.96.0.0/16")


def defaulted(kind: Kind, obj: Json, rng: random.Random) -> Json:
    """The object with its defaults; what it says itself stays."""
    fill = _FILL.get(kind)
    return fill(obj, rng) if fill else obj


def _deployment(obj: Json, _: random.Random) -> Json:
    spec = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, **(obj.get("spec") or {})}
    strategy = {"type": "RollingUpdate", **(spec.get("strategy") or {})}
    if strategy["type"] == "RollingUpdate":
        rolling = {"maxSurge": "25%", "maxUnavailable": "25%", **(strategy.get("rollingUpdate") or {})}
        strategy["rollingUpdate"] = rolling
    return {**obj, "spec": {**spec, "strategy": strategy, "template": _template(spec.get("template"))}}


def _replica_set(obj: Json, _: random.Random) -> Json:
    spec = {"replicas": 1, **(obj.get("spec") or {})}
    return {**obj, "spec": {**spec, "template": _template(spec.get("template"))}}


def _job(obj: Json, _: random.Random) -> Json:
    spec = {"backoffLimit": 6, "completions": 1, "parallelism": 1, **(obj.get("spec") or {})}
    uid = obj["metadata"].get("uid", "")
    labels = {"controller-uid": uid, "job-name": obj["metadata"].get("name", "")}
    spec.setdefault("selector", {"matchLabels": {"controller-uid": uid}})
    template = _template(spec.get("template"), restart=None)
    template["metadata"] = {**template["metadata"], "labels": {**(template["metadata"].get("labels") or {}), **labels}}
    return {**obj, "spec": {**spec, "template": template}}


def _template(template: Any, restart: str | None = "Always") -> Json:
    template = template if isinstance(template, dict) else {}
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if value is not None}
    return {**template, "metadata": metadata, "spec": _pod_spec(template.get("spec") or {}, restart)}


def _pod_spec(spec: Json, restart: str | None = "Always") -> Json:
    filled = {
        **({"restartPolicy": restart} if restart else {}),
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        **spec,
    }
    for name in ("containers", "initContainers"):
        if isinstance(spec.get(name), list):
            filled[name] = [_container(entry) if isinstance(entry, dict) else entry for entry in spec[name]]
    return filled


def _container(container: Json) -> Json:
    image = str(container.get("image", ""))
    bare = image.partition("@")[0].rsplit("/", 1)[-1]
    latest = "@" not in image and (":" not in bare or bare.endswith(":latest"))
    filled = {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always" if latest else "IfNotPresent",
        **container,
    }
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            filled[probe] = {
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
                **container[probe],
            }
            if "httpGet" in filled[probe]:
                filled[probe]["httpGet"] = {"scheme": "HTTP", "path": "/", **filled[probe]["httpGet"]}
    if isinstance(container.get("ports"), list):
        filled["ports"] = [{"protocol": "TCP", **port} for port in container["ports"]]
    return filled


def _pod(obj: Json, _: random.Random) -> Json:
    spec = _pod_spec(obj.get("spec") or {})
    spec = {"enableServiceLinks": True, "serviceAccountName": "default", "serviceAccount": "default", **spec}
    status = {"phase": "Pending", **(obj.get("status") or {})}
    status.setdefault("qosClass", _qos(spec))
    return {**obj, "spec": spec, "status": status}


def _qos(spec: Json) -> str:
    resources = [entry.get("resources") or {} for entry in spec.get("containers") or [] if isinstance(entry, dict)]
    if not any(entry.get("requests") or entry.get("limits") for entry in resources):
        return "BestEffort"
    same = all(entry.get("limits") and entry.get("requests", entry["limits"]) == entry["limits"] for entry in resources)
    return "Guaranteed" if same else "Burstable"


def _service(obj: Json, rng: random.Random) -> Json:
    spec = {"type": "ClusterIP", "sessionAffinity": "None", **(obj.get("spec") or {})}
    spec["ports"] = [
        {"protocol": "TCP", **({"targetPort": port["port"]} if "port" in port else {}), **port}
        for port in spec.get("ports") or []
    ]
    if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
        address = str(_SERVICES[rng.randrange(256, _SERVICES.num_addresses - 256)])
        spec["clusterIP"], spec["clusterIPs"] = address, [address]
    return {**obj, "spec": spec, "status": obj.get("status") or {"loadBalancer": {}}}


def _namespace(obj: Json, _: random.Random) -> Json:
    metadata = obj["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    return {
        **obj,
        "metadata": {**metadata, "labels": labels},
        "spec": obj.get("spec") or {"finalizers": ["kubernetes"]},
        "status": obj.get("status") or {"phase": "Active"},
    }


def _secret(obj: Json, _: random.Random) -> Json:
    plain = obj.get("stringData") or {}
    data = {**(obj.get("data") or {}), **{k: base64.b64encode(str(v).encode()).decode() for k, v in plain.items()}}
    filled = {key: value for key, value in obj.items() if key != "stringData"}
    return {"type": "Opaque", **filled, **({"data": data} if data else {})}


def _config_map(obj: Json, _: random.Random) -> Json:
    return {key: value for key, value in obj.items() if value is not None}


def _claim(obj: Json, _: random.Random) -> Json:
    return {
        **obj,
        "spec": {"volumeMode": "Filesystem", **(obj.get("spec") or {})},
        "status": obj.get("status") or {"phase": "Pending"},
    }


_FILL = {
    PERSISTENT_VOLUME_CLAIM: _claim,
    DEPLOYMENT: _deployment,
    REPLICA_SET: _replica_set,
    JOB: _job,
    POD: _pod,
    SERVICE: _service,
    NAMESPACE: _namespace,
    SECRET: _secret,
    CONFIG_MAP: _config_map,
}
