"""The pods of an environment's services, as a person wants to read them."""

from datetime import UTC, datetime

from runbooks.clients.cluster import ClusterClient
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


def _age(created: str | None, now: datetime) -> str:
    if created is None:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(created)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
