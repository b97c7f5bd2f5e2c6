"""Who is served by what, as it is measured just now: the ready endpoints of a service's Kubernetes Service, which version the pods
behind them run, and its health URL with the time that it took. What could not be measured is said to be so, never inferred.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from runbooks.clients.health import Health, HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.services import EndpointsView
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.wording import counted, listed

_DEADLINE = 3.0
"""For everything: a card waits for it."""


class Served(Frozen):
    """One service, measured."""

    service: str
    through: str
    """The Kubernetes Service that was asked."""
    ready: int | None = None
    """Its ready endpoints; None where that could not be measured."""
    versions: dict[str, int] = {}
    """The version that the pods behind them run → how many."""
    why: str = ""
    """Why the endpoints could not be measured."""
    asked: bool = False
    """It has a health URL."""
    status: int | None = None
    seconds: float = 0.0
    no_answer: str = ""

    @property
    def well(self) -> bool:
        """Somebody serves, and says that all is well, as far as that was asked."""
        return bool(self.ready) and (not self.asked or (self.status is not None and 200 <= self.status < 300))  # noqa: PLR2004

    def sentence(self, *, before: str | None = None) -> str:
        """`v1.2.0 still serves backend: 3 ready endpoints, health URL 200 (12 ms).` `before` is what ran before the change."""
        return f"{self._who(before)}{f', {self.health}' if self.asked else ''}."

    @property
    def health(self) -> str:
        """`health URL 200 (12 ms)`."""
        if self.status is None:
            return f"health URL: {self.no_answer}"
        followed = ", not followed" if 300 <= self.status < 400 else ""  # noqa: PLR2004 - a redirect
        return f"health URL {self.status} ({self.seconds * 1000:.0f} ms{followed})"

    def _who(self, before: str | None) -> str:
        if self.ready is None:
            return f"Could not measure who serves {self.service}: {self.why}"
        if self.ready == 0:
            return f"Nothing serves {self.service}: Service {self.through} has no ready endpoints"
        count = f"{counted(self.ready, 'ready endpoint')}"
        if len(self.versions) > 1:
            shares = listed(f"{version} ({each})" for version, each in sorted(self.versions.items()))
            return f"{shares} serve {self.service}: {count}"
        version = next(iter(self.versions), "")
        if not version:
            return f"{self.service} is served: {count} of Service {self.through}"
        return f"{version} {'still ' if version == before else ''}serves {self.service}: {count}"


async def measure(
    cluster: ClusterClient, health: HealthClient, environment: Environment, services: Sequence[str] | None = None
) -> list[Served]:
    """Each service of the environment (or those named), side by side, within a few seconds whatever hangs."""
    wanted = [service for service in environment.services if services is None or service.name in services]
    found = await asyncio.gather(*(_one(cluster, health, environment.namespace, service) for service in wanted))
    return list(found)


async def _one(cluster: ClusterClient, health: HealthClient, namespace: str, service: Service) -> Served:
    endpoints, answer = await asyncio.gather(_endpoints(cluster, namespace, service), _answer(health, service))
    measured = endpoints if isinstance(endpoints, dict) else {"why": endpoints}
    asked: dict[str, object] = {}
    if answer is not None:
        asked = {"asked": True, "status": answer.status, "seconds": answer.seconds, "no_answer": answer.why}
    return Served.model_validate({"service": service.name, "through": service.through} | measured | asked)


async def _answer(health: HealthClient, service: Service) -> Health | None:
    return await health.ask(service.health_url) if service.health_url else None


async def _endpoints(cluster: ClusterClient, namespace: str, service: Service) -> dict[str, object] | str:
    """The measured fields, or why they could not be measured."""
    try:
        async with asyncio.timeout(_DEADLINE):
            endpoints, pods = await asyncio.gather(
                cluster.endpoints(namespace, service.through), cluster.pods(namespace)
            )
    except TimeoutError:
        return f"the cluster did not answer within {_DEADLINE:g} s"
    except RunbookError as error:
        if error.code is ReasonCode.NOT_FOUND:
            return f"there is no Kubernetes Service {service.through}"
        refused = error.code is ReasonCode.CLUSTER_REFUSED
        return "the bot lacks permission to read endpoints" if refused else "the cluster does not answer"
    return {"ready": len(endpoints.ready), "versions": _versions(endpoints, pods, service)}


def _versions(endpoints: EndpointsView, pods: Sequence[PodView], service: Service) -> dict[str, int]:
    """What the pods behind the endpoints were made to run."""
    images = {pod.name: spec.image for pod in pods if (spec := pod.spec(service.container)) is not None}
    behind = (Image.parse(images[name]) for name in endpoints.ready if name in images)
    return dict(
        Counter((image.tag or image.short) if image.is_of(service.repository) else image.named for image in behind)
    )
