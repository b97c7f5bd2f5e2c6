"""What is refused when a pod is made, in the API server's own words: by quotas, limit ranges, webhooks that do not answer; and images rewritten."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

from sandbox.cluster.errors import ApiError
from sandbox.cluster.quantities import quantity, requested
from sandbox.cluster.resources import (
    DEPLOYMENT,
    ENDPOINTS,
    LIMIT_RANGE,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    SERVICE,
    VALIDATING_WEBHOOKS,
    Json,
    Kind,
)
from sandbox.cluster.selectors import labels_of, selects
from sandbox.cluster.store import Store

_COMPUTE = ("cpu", "memory")


def admit(store: Store, pod: Json) -> None:
    """Raises Forbidden where the pod may not be made, and InternalError where a webhook that must answer does not."""
    namespace = pod["metadata"]["namespace"]
    for kind in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        for webhook in (each for found in store.all(kind) for each in found.get("webhooks") or []):
            if _must_answer(store, webhook, namespace) and (why := _no_answer(store, webhook["clientConfig"])):
                message = f'failed calling webhook "{webhook["name"]}": failed to call webhook: {why}'
                raise ApiError(500, "InternalError", f"Internal error occurred: {message}")
    rules = [rule for each in store.all(LIMIT_RANGE, namespace) for rule in _limited(each, pod)]
    if rules:
        raise _forbidden(pod, rules[0] if len(rules) == 1 else f"[{', '.join(rules)}]")
    for quota in store.all(RESOURCE_QUOTA, namespace):
        why = _exceeded(store, quota, pod)
        if why:
            raise _forbidden(pod, why)


def _must_answer(store: Store, webhook: Json, namespace: str) -> bool:
    """Return whether no pod is made in the namespace without its answer."""
    there, selector = store.get(NAMESPACE, "", namespace), webhook.get("namespaceSelector")
    asked = not selector or (there is not None and selects(selector, labels_of(there)))
    about = any(
        {"pods", "*", "*/*"} & {*rule.get("resources", ())} and {"CREATE", "*"} & {*rule.get("operations", ())}
        for rule in webhook.get("rules") or []
    )
    return asked and about and webhook.get("failurePolicy", "Fail") == "Fail"


def _no_answer(store: Store, client: Json) -> str:
    """Return why nobody answers; empty for a webhook with pods, which allows everything here."""
    service = client.get("service")
    if service is None:
        return ""
    namespace, name = service["namespace"], service["name"]
    url = f"https://{name}.{namespace}.svc:{service.get('port', 443)}{service.get('path', '/')}?timeout=10s"
    if store.get(SERVICE, namespace, name) is None:
        return f'Post "{url}": service "{name}" not found'
    behind = store.get(ENDPOINTS, namespace, name) or {}
    ready = any(subset.get("addresses") for subset in behind.get("subsets") or [])
    return "" if ready else f'Post "{url}": no endpoints available for service "{name}"'


def rewritten(kind: Kind, obj: Json, mirrors: Mapping[str, str]) -> Json:
    """Return a Deployment with its images' names as a mutating webhook for mirrors leaves them; anything else as it is."""
    if kind != DEPLOYMENT or not mirrors:
        return obj
    obj = copy.deepcopy(obj)
    spec = obj["spec"]["template"]["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for own, mirror in mirrors.items():
            if container["image"].startswith(f"{own}/"):
                container["image"] = mirror + container["image"][len(own) :]
    return obj


def used(store: Store, quota: Json) -> Json:
    """What of a quota is used now, by resource."""
    namespace = quota["metadata"]["namespace"]
    pods = [pod for pod in store.all(POD, namespace) if pod["status"].get("phase") not in ("Succeeded", "Failed")]
    return {name: _shown(name, sum(_counts(pod, name) for pod in pods)) for name in quota["spec"].get("hard") or {}}


def _exceeded(store: Store, quota: Json, pod: Json) -> str:
    name, hard, have = quota["metadata"]["name"], quota["spec"].get("hard") or {}, used(store, quota)
    unnamed = [
        f"{resource} for: {container['name']}"
        for resource in sorted(hard)
        for container in pod["spec"]["containers"]
        if resource.rpartition(".")[2] in _COMPUTE and not _names(container, resource)
    ]
    if unnamed:
        return f"failed quota: {name}: must specify {'; '.join(unnamed)}"
    over = [
        resource
        for resource in sorted(hard)
        if quantity(have[resource]) + _counts(pod, resource) > quantity(hard[resource]) + 1e-9
    ]
    if not over:
        return ""
    asked = ",".join(f"{resource}={_shown(resource, _counts(pod, resource))}" for resource in over)
    present = ",".join(f"{resource}={have[resource]}" for resource in over)
    most = ",".join(f"{resource}={hard[resource]}" for resource in over)
    return f"exceeded quota: {name}, requested: {asked}, used: {present}, limited: {most}"


def _names(container: Json, resource: str) -> bool:
    which, _, name = resource.rpartition(".")
    return name in ((container.get("resources") or {}).get(which or "requests") or {})


def _counts(pod: Json, resource: str) -> float:
    if resource == "pods":
        return 1.0
    which, _, name = resource.rpartition(".")
    return requested(pod, name, limits=which == "limits") if name in _COMPUTE else 0.0


def _shown(resource: str, value: float) -> str:
    if resource.endswith("memory"):
        return f"{value / 2**20:.0f}Mi" if value else "0"
    return f"{value:.0f}" if value == int(value) else f"{value * 1000:.0f}m"


def _limited(limits: Json, pod: Json) -> Iterator[str]:
    for rule in limits["spec"].get("limits") or []:
        if rule.get("type") != "Container":
            continue
        for container in pod["spec"]["containers"]:
            resources = container.get("resources") or {}
            requests, most = resources.get("requests") or {}, resources.get("limits") or {}
            for name, least in (rule.get("min") or {}).items():
                if name not in requests:
                    yield f"minimum {name} usage per Container is {least}.  No request is specified"
                elif quantity(requests[name]) < quantity(least):
                    yield f"minimum {name} usage per Container is {least}, but request is {requests[name]}"
            for name, bound in (rule.get("max") or {}).items():
                if name not in most:
                    yield f"maximum {name} usage per Container is {bound}.  No limit is specified"
                elif quantity(most[name]) > quantity(bound):
                    yield f"maximum {name} usage per Container is {bound}, but limit is {most[name]}"


def _forbidden(pod: Json, why: str) -> ApiError:
    name = pod["metadata"]["name"]
    return ApiError(403, "Forbidden", f'pods "{name}" is forbidden: {why}', {"name": name, "kind": "pods"})
