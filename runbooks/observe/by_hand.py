"""The `kubectl` lines with which a person sees in a terminal what a command showed. They read; none reads a Secret's values."""

import asyncio
from collections.abc import Sequence

from runbooks.deployments.places import Place
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment
from runbooks.observe.pods import named
from runbooks.redaction.shell import quoted

_PATIENCE = 2.0
"""Seconds for looking up a selector or a pod's whole name: without a cluster the lines are wanted most."""
KINDS = "deployments,replicasets,pods,services,endpoints,jobs,horizontalpodautoscalers"
"""What `resources` shows."""


def kubectl(where: Environment, *words: str, everywhere: bool = False) -> str:
    """Return one line, quoted for a shell; with the region's context, and the namespace unless it is about all of the cluster."""
    namespace = () if everywhere else ("-n", where.namespace)
    return f"{where.kubectl} {quoted((*words, *namespace))}"


def searched(line: str, pattern: str, tail: int | None = None) -> str:
    """Return the line with only the lines of its output that have the pattern; the newest `tail` of them."""
    found = f"{line} | {quoted(('grep', '-E', '-e', pattern))}"
    return found if tail is None else f"{found} | tail -n {tail}"


async def selected(place: Place, service: str | None) -> tuple[str, ...]:
    """Return the words that select a service's pods; none for all services, or where the cluster does not say how."""
    found = place.environment.service(service) if service is not None else None
    if found is None:
        return ()
    try:
        async with asyncio.timeout(_PATIENCE):
            deployment = await place.cluster.deployment(place.environment.namespace, found.deployment)
    except (RunbookError, TimeoutError):
        return ()
    return ("-l", deployment.selector) if deployment.selector else ()


async def pods(place: Place, service: str | None) -> tuple[str, ...]:
    """Return the line for `pods`."""
    return (kubectl(place.environment, "get", "pods", "-o", "wide", *await selected(place, service)),)


async def events(place: Place, service: str | None) -> tuple[str, ...]:
    """Return the lines for `events`."""
    where = place.environment
    if (found := where.service(service) if service is not None else None) is None:
        return (kubectl(where, "get", "events", "--sort-by=.lastTimestamp"),)
    # the pods' own come by their names, which begin with the Deployment's
    return (
        kubectl(where, "events", "--for", f"deployment/{found.deployment}"),
        searched(kubectl(where, "events"), f"/{found.deployment}-"),
    )


async def described(place: Place, target: str) -> tuple[str, ...]:
    """Return the lines for `describe`, of a service or a pod."""
    where = place.environment
    if (service := where.service(target)) is not None:
        return (
            kubectl(where, "describe", "deployment", service.deployment),
            kubectl(where, "rollout", "history", f"deployment/{service.deployment}"),
            *await pods(place, target),
            *await events(place, target),
        )
    pod = await whole_name(place, target)
    return (
        kubectl(where, "describe", "pod", pod),
        kubectl(where, "get", "events", f"--field-selector=involvedObject.name={pod}", "--sort-by=.lastTimestamp"),
    )


async def logs(place: Place, target: str, options: Sequence[str], pattern: str | None, tail: int) -> tuple[str, ...]:
    """Return the line for `logs`; the pattern is looked for in all lines, the newest `tail` of which are kept."""
    where = place.environment
    if (service := where.service(target)) is not None:
        chosen = await selected(place, target)
        one = ("--prefix", "--max-log-requests=50", *chosen) if chosen else (f"deployment/{service.deployment}",)
    else:
        one = (await whole_name(place, target),)
    line = kubectl(where, "logs", *one, *options, *([] if pattern else [f"--tail={tail}"] if tail else []))
    return (searched(line, pattern, tail) if pattern else line,)


async def used(place: Place, service: str | None) -> tuple[str, ...]:
    """Return the lines for `top pods`."""
    chosen = await selected(place, service)
    columns = (
        "POD:.metadata.name,REQUESTS:.spec.containers[*].resources.requests,LIMITS:.spec.containers[*].resources.limits"
    )
    return (
        kubectl(place.environment, "top", "pods", "--containers", *chosen),
        kubectl(place.environment, "get", "pods", "-o", f"custom-columns={columns}", *chosen),
    )


def nodes(where: Environment, name: str | None = None) -> tuple[str, ...]:
    """Return the lines for `nodes` and `top nodes`."""
    one = (name,) if name else ()
    shown = kubectl(where, "get", "nodes", *one, "-o", "wide", everywhere=True)
    used = kubectl(where, "top", "nodes", *one, everywhere=True)
    return shown, used, kubectl(where, "describe", "nodes", *one, everywhere=True)


def around(where: Environment) -> tuple[str, ...]:
    """Return the lines for what stands around the services, as `diagnose` looks at it."""
    kinds = "jobs,cronjobs,services,endpoints,ingresses,networkpolicies,pvc,resourcequotas,poddisruptionbudgets"
    hooks = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
    return (kubectl(where, "get", kinds), kubectl(where, "get", hooks, everywhere=True))


def certificates(where: Environment, secrets: Sequence[str]) -> tuple[str, ...]:
    """Return the lines for the certificates of a cluster: Secrets by their names only, and cert-manager's."""
    named = [kubectl(where, "get", "secrets", *secrets, "-o", "name")] if secrets else []
    return (*named, kubectl(where, "get", "certificates.cert-manager.io", "-o", "wide"))


def resources(where: Environment) -> tuple[str, ...]:
    """Return the line for `resources`."""
    return (kubectl(where, "get", KINDS, "-o", "wide"),)


def status(place: Place) -> tuple[str, ...]:
    """Return the lines for `status`: what runs, and the bot's record of it. Health URLs are not shown."""
    where = place.environment
    record = where.model_copy(update={"namespace": where.record_namespace})
    return (
        kubectl(where, "get", "deployments", *(each.deployment for each in where.services), "-o", "wide"),
        kubectl(where, "get", "pods", "-o", "wide"),
        kubectl(where, "get", "endpoints", *(each.through for each in where.services)),
        *([kubectl(record, "get", "configmaps", "-o", "yaml")] if where.region in ("", where.home) else []),
    )


async def whole_name(place: Place, target: str) -> str:
    """Return a pod's whole name by the end of it; what was typed where the cluster has none, or does not answer."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return named(await place.cluster.pods(place.environment.namespace), target, place.environment).name
    except (RunbookError, TimeoutError):
        return target
