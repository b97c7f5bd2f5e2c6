"""The pods of an environment's services, as a person wants to read them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.waiting import side_by_side
from runbooks.wording import age_since

_LISTED = 8


class PodLine(Frozen):
    """One pod."""

    service: str
    region: str = ""
    """Where the environment has several."""
    name: str
    image: str
    version: str = "unknown"
    """For the eye; with host and repository where they are not the configured ones."""
    phase: str
    ready: bool
    restarts: int
    detail: str = ""
    """Why it is not ready, in Kubernetes' own word (`ImagePullBackOff`), where it gives one."""
    age: str = ""
    node: str = ""
    over: bool = False
    """It was evicted, or has ended: another one runs in its place."""


async def list_pods(cluster: ClusterClient, environment: Environment, service: str | None = None) -> list[PodLine]:
    """The pods of one service or of all, in the services' order."""
    wanted = [each for each in environment.services if service in (None, each.name)]
    deployments = await side_by_side(*(cluster.deployment(environment.namespace, each.deployment) for each in wanted))
    found = await side_by_side(*(cluster.pods_of(deployment) for deployment in deployments))
    region = {"region": environment.region}
    return [line(pod, each).model_copy(update=region) for each, pods in zip(wanted, found, strict=True) for pod in pods]


def log_of(pod: PodView, container: str, service: Service) -> str:
    """Return what `logs` is typed with to read how that container failed: from before its restart, where it was restarted."""
    view = pod.container(container)
    before = " --previous" if view is not None and view.restarts else ""
    return f"{pod.name}{before}{'' if container == service.container else ' --all-containers'}"


def failed_log(pods: Iterable[PodView], service: Service) -> str:
    """The same for the pod that is not ready and was restarted most often; empty where none is."""
    crashed = [
        (each.restarts, pod, each.name)
        for pod in pods
        for each in pod.containers
        if each.restarts and not each.ready and not pod.ready and not pod.deleting and not each.init
    ]
    if not crashed:
        return ""
    _, pod, container = max(crashed, key=lambda each: each[0])
    return log_of(pod, container, service)


def line(pod: PodView, service: Service) -> PodLine:
    """One pod of that service."""
    container, asked = pod.container(service.container), pod.spec(service.container)
    detail = pod.reason if pod.over else pod.unschedulable or (container.reason if container else "")
    return PodLine(
        service=service.name,
        name=pod.name,
        image=asked.image if asked else "",
        version=version(asked.image, service) if asked and asked.image else "unknown",
        phase=pod.phase,
        ready=pod.ready and not pod.deleting and not pod.over,
        restarts=pod.restarts,
        detail="Terminating" if pod.deleting else detail,
        age=age_of(pod.created),
        node=pod.node,
        over=pod.over,
    )


def named(pods: Sequence[PodView], target: str, environment: Environment) -> PodView:
    """The pod of that name, or the one whose name ends so. Raises PermanentError where there is none, or more than one."""
    found = [pod for pod in pods if pod.name == target] or [pod for pod in pods if pod.name.endswith(f"-{target}")]
    if len(found) == 1:
        return found[0]
    services = ", ".join(service.name for service in environment.services)
    if found:
        names = ", ".join(f"`{pod.name}`" for pod in found[:_LISTED])
        raise PermanentError(f"Several pod names end in `{target}`: {names}. Name one of them.", code=ReasonCode.USAGE)
    raise PermanentError(
        f"There is no service or pod `{target}` in {environment.name}. Services: {services}; `pods` lists the pods. "
        "The logs of deleted pods are gone.",
        code=ReasonCode.NOT_FOUND,
    )


async def by_version(cluster: ClusterClient, environment: Environment) -> str:
    """In a few words: `backend v1.2.0 2 ready, v2.0.0 1 of 2 ready; frontend v1.2.0 3 ready`."""
    counted: dict[str, dict[str, list[bool]]] = {}
    for pod in (each for each in await list_pods(cluster, environment) if not each.over):
        counted.setdefault(pod.service, {}).setdefault(pod.version, []).append(pod.ready)
    services = (
        f"{service} {', '.join(_ready(*each) for each in sorted(pods.items()))}" for service, pods in counted.items()
    )
    return "; ".join(services) or "no pods"


def _ready(version: str, pods: list[bool]) -> str:
    ready = sum(pods)
    return f"{version} {ready} ready" if ready == len(pods) else f"{version} {ready} of {len(pods)} ready"


def version(reference: str, service: Service) -> str:
    """For the eye: the tag, or all of it where it is not of the configured repository."""
    image = Image.parse(reference)
    return image.tag or "untagged" if image.is_of(service.repository) else image.named


def age_of(created: str | None, now: datetime | None = None) -> str:
    """In one unit: `3 min`, `2 d`; empty where the time is not known."""
    at = read_time(created)
    if at is None:
        return ""
    return age_since(at, now)
