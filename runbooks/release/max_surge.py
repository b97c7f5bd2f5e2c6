"""All new pods at once: `maxSurge` is raised to 100 % for one rollout, and put back whatever happens meanwhile.

Going back raises it by the very patch that sets the image, so it is one change; a deploy may raise it once a first new pod is ready. The Deployment's own value stands as an annotation on it
from then on: any bot that finds it there, at any time, puts it back, on the condition that it still is as it was found.
"""

from collections.abc import Callable
from typing import Any

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Conflict, Unprocessable
from runbooks.clients.kubernetes.views import DEFAULT_SURGE, DeploymentView
from runbooks.deployments.service_state import RUN, SURGE, annotation_path
from runbooks.fleet.fleet import Fleet
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment

RAISED = "100%"
_MAX_SURGE = "/spec/strategy/rollingUpdate/maxSurge"
_TRIES = 5

Patch = list[dict[str, Any]]


def own(seen: DeploymentView) -> int | str | None:
    """Return the Deployment's own `maxSurge`, also where a run has raised it; Kubernetes' default where the kept value can't be read."""
    kept = seen.annotations.get(SURGE)
    if kept is None:
        return seen.max_surge
    found = seen.read_surge(kept)
    return DEFAULT_SURGE if found is None else found


def raising(seen: DeploymentView) -> Patch:
    """Return the patch that raises it, beside the change that it is for; empty where it is raised already."""
    if seen.max_surge is None or SURGE in seen.annotations or seen.read_surge(str(seen.max_surge)) is None:
        return []  # what could not be read again later is left as it is
    return [
        {"op": "test", "path": _MAX_SURGE, "value": seen.max_surge},
        {"op": "replace", "path": _MAX_SURGE, "value": RAISED},
        {"op": "add", "path": annotation_path(SURGE), "value": str(seen.max_surge)},
    ]


def lowering(seen: DeploymentView) -> Patch:
    """Return the patch that puts it back. Any other value than the raised one was set by somebody meanwhile, and stays."""
    if SURGE not in seen.annotations:
        return []
    back: Patch = []
    if seen.max_surge == RAISED:
        back = [
            {"op": "test", "path": _MAX_SURGE, "value": RAISED},
            {"op": "replace", "path": _MAX_SURGE, "value": own(seen)},
        ]
    path = annotation_path(SURGE)
    return [
        seen.unchanged(path, seen.annotations[SURGE]),
        *back,
        {"op": "remove", "path": path},
    ]


async def raise_it(cluster: ClusterClient, seen: DeploymentView, *, run: str) -> bool:
    """Raise it in the middle of a rollout, while the Deployment carries the stamp of `run`. Return whether there was something to do."""
    return await _patched(cluster, seen.namespace, seen.name, raising, run=run, seen=seen, verb="raised")


async def put_back(
    cluster: ClusterClient, namespace: str, name: str, *, run: str | None, seen: DeploymentView | None = None
) -> bool:
    """Put it back on one Deployment while that carries the stamp of `run`. Return whether there was something to do."""
    return await _patched(cluster, namespace, name, lowering, run=run, seen=seen, verb="restored")


async def _patched(
    cluster: ClusterClient,
    namespace: str,
    name: str,
    made: Callable[[DeploymentView], Patch],
    *,
    run: str | None,
    seen: DeploymentView | None,
    verb: str,
) -> bool:
    for _ in range(_TRIES):
        seen = seen or await cluster.deployment(namespace, name)
        patch = made(seen)
        if not patch or seen.annotations.get(RUN) != run:
            return False
        fence = [{"op": "test", "path": annotation_path(RUN), "value": run}] if run is not None else []
        try:
            await cluster.patch_deployment(namespace, name, [*fence, *patch])
        except (Unprocessable, Conflict):
            seen = None
            continue
        return True
    raise Conflict(
        f"Deployment {name} keeps changing, so its maxSurge could not be {verb}.", code=ReasonCode.CHANGED_MEANWHILE
    )


async def left(cluster: ClusterClient, fleet: Fleet, environment: Environment) -> list[DeploymentView]:
    """Return the Deployments that a run left raised, if no run holds the environment now.

    A run that takes it meanwhile stamps them, and `put_back`, which asks for the stamp that was seen, changes nothing.
    """
    mine = {service.deployment for service in environment.services}
    deployments = await cluster.deployments(environment.namespace)
    found = [view for view in deployments if view.name in mine and SURGE in view.annotations]
    return found if found and (await fleet.read(environment)).run is None else []
