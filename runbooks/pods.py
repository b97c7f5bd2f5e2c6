"""The pods of an environment's services, as a person wants to read them."""

from datetime import UTC, datetime

from runbooks.clients.cluster import ClusterClient
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import side_by_side


class PodLine(Frozen):
    """One pod."""

    service: str
    name: str
    image: str
    phase: str
    ready: bool
    restarts: int
    detail: str = ""
    """Why it is not ready, in Kubernetes' own word (`ImagePullBackOff`), where it gives one."""
    age: str = ""


async def list_pods(cluster: ClusterClient, environment: Environment, service: str | None = None) -> list[PodLine]:
    """The pods of one service or of all, in the services' order."""
    wanted = [each for each in environment.services if service in (None, each.name)]
    deployments = await side_by_side(*(cluster.deployment(environment.namespace, each.deployment) for each in wanted))
    found = await side_by_side(*(cluster.pods_of(deployment) for deployment in deployments))
    now = datetime.now(UTC)
    lines: list[PodLine] = []
    for each, pods in zip(wanted, found, strict=True):
        for pod in pods:
            container = pod.container(each.container)
            lines.append(
                PodLine(
                    service=each.name,
                    name=pod.name,
                    image=container.image if container else "",
                    phase=pod.phase,
                    ready=pod.ready,
                    restarts=pod.restarts,
                    detail="Terminating"
                    if pod.deleting
                    else pod.unschedulable or (container.reason if container else ""),
                    age=_age(pod.created, now),
                )
            )
    return lines


async def by_version(cluster: ClusterClient, environment: Environment) -> str:
    """In a few words: `backend v1.2.0 2 ready, v2.0.0 1 of 2 ready; frontend v1.2.0 3 ready`."""
    counted: dict[str, dict[str, list[bool]]] = {}
    for pod in await list_pods(cluster, environment):
        version = Image.parse(pod.image).tag or "untagged" if pod.image else "unknown"
        counted.setdefault(pod.service, {}).setdefault(version, []).append(pod.ready)
    services = (
        f"{service} {', '.join(_ready(*each) for each in sorted(pods.items()))}" for service, pods in counted.items()
    )
    return "; ".join(services) or "no pods"


def _ready(version: str, pods: list[bool]) -> str:
    ready = sum(pods)
    return f"{version} {ready} ready" if ready == len(pods) else f"{version} {ready} of {len(pods)} ready"


def _age(created: str | None, now: datetime) -> str:
    if created is None:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(created)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
