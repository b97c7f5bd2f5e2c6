"""What the rules look at: the environment, its regions, and what several rules need, each read once for all of them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar, cast

from runbooks.clients.kubernetes.autoscalers import AutoscalerView
from runbooks.clients.kubernetes.services import EndpointsView, ServiceView
from runbooks.clients.kubernetes.views import EventView, NodeView, QuotaView, UsageView
from runbooks.clients.kubernetes.written import WrittenView
from runbooks.deployments.places import Place
from runbooks.deployments.service_state import Listed, listed
from runbooks.fleet.fleet import Fleet, KnownReleases
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.kit.waiting import end
from runbooks.metrics.reading import Metrics
from runbooks.metrics.recovery import RECOVERY_SECONDS, with_recoveries
from runbooks.metrics.standing import MetricHistory

T = TypeVar("T")

LOOKED_BACK = timedelta(hours=2)
LOGS = "logs:read"
"""The permission without which no finding shows a line of a log."""
_CENTURY = 100 * 365 * 86400.0
_POINTS = 120
"""Of each metric: one a minute."""
_METRICS_SECONDS = 4.5
"""Time limit for a metric. It is less than any rule's that waits for the metrics, so a Prometheus that is silent hides no other region's."""


def before(at: datetime, seconds: float) -> datetime:
    """Return the time so many seconds earlier, at most a century: what a server counts may be older than the calendar."""
    return at - timedelta(seconds=min(seconds, _CENTURY))


class RecentRun(Frozen):
    """A run of the bot's own, as the caller knows it."""

    id: str
    """Short, as it is typed: `7KQ2`."""
    title: str
    """`Deploy v2.0.0 to production`"""
    command: str
    state: str
    at: datetime
    """When it was asked for."""
    ended: datetime | None = None
    by: str = ""
    """A name for people."""


class _Closes(Protocol):
    async def close(self) -> None: ...


class ReadOnce(Generic[T]):
    """Something that is read when the first rule asks for it, and kept for the others, as an error is: `await case.releases()`."""

    def __init__(self, read: Callable[[], Awaitable[T]], opened: list[_Closes]) -> None:
        self._read = read
        self._task: asyncio.Task[T] | None = None
        self._opened = opened

    async def __call__(self) -> T:
        """Return it. Raises `RunbookError` as the client does; a rule that gives up waiting does not take it from the others."""
        if self._task is None:
            self._task = asyncio.create_task(self._once())
            self._opened.append(self)
        return await asyncio.shield(self._task)

    async def _once(self) -> T:
        return await self._read()

    async def close(self) -> None:
        """End a read that nobody waits for any more."""
        if self._task is not None:
            await end(self._task)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts:
    """One region's cluster, and what is listed there: `await place.listed()`."""

    place: Place
    listed: ReadOnce[Listed]
    """Deployments, ReplicaSets and pods of the namespace."""
    events: ReadOnce[list[EventView]]
    nodes: ReadOnce[list[NodeView]]
    """Needs a right that the bot may not have."""
    quotas: ReadOnce[list[QuotaView]]
    autoscalers: ReadOnce[list[AutoscalerView]]
    endpoints: ReadOnce[list[EndpointsView]]
    services: ReadOnce[list[ServiceView]]
    config_maps: ReadOnce[list[WrittenView]]
    """When each was last written, without its contents. Needs a right that the bot may not have."""
    scaled: ReadOnce[list[WrittenView]]
    """Who set the number of pods of each Deployment last."""
    usage_of_pods: ReadOnce[list[UsageView]]
    usage_of_nodes: ReadOnce[list[UsageView]]

    @property
    def environment(self) -> Environment:
        """The environment as it is in that region."""
        return self.place.environment

    @property
    def region(self) -> str:
        """Its name; empty where there is one cluster."""
        return self.place.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is looked at."""

    environment: Environment
    places: tuple[PlaceFacts, ...]
    """Each region, or the one cluster."""
    service: Service | None
    """Only this one, where one is named."""
    clients: Mapping[type, object]
    now: datetime
    """In the reader's zone."""
    since: datetime
    """How far back changes and metrics are looked at."""
    may: frozenset[str]
    """The permissions of who asks, of those that rules need."""
    patience: float
    """How many times its usual time limit each rule has."""
    runs: ReadOnce[Sequence[RecentRun]]
    """The bot's own, newest first."""
    releases: ReadOnce[KnownReleases]
    """What the fleet record knows."""
    histories: ReadOnce[tuple[MetricHistory, ...]]
    """Every configured metric over the time, in each region that has a Prometheus of its own; none where there is no Prometheus."""

    def find(self, kind: type[T]) -> T | None:
        """Return the environment's client or settings of that class; None where the configuration has none."""
        return cast("T | None", self.clients.get(kind))

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions that it is about; none where there is one cluster."""
        return tuple(place.region for place in self.places if place.region)

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that it is about."""
        return self.environment.services if self.service is None else (self.service,)


@asynccontextmanager
async def opened(
    places: Sequence[Place],
    *,
    environment: Environment,
    service: Service | None,
    clients: Mapping[type, object],
    now: datetime,
    may: frozenset[str],
    runs: Callable[[], Awaitable[Sequence[RecentRun]]],
    patience: float = 1.0,
) -> AsyncGenerator[Case]:
    """Yield the case; what is still being read at the end is ended."""
    reads: list[_Closes] = []
    fleet, metrics = clients.get(Fleet), clients.get(Metrics)

    async def releases() -> KnownReleases:
        return await fleet.known_releases(environment) if isinstance(fleet, Fleet) else KnownReleases()

    async def histories() -> tuple[MetricHistory, ...]:
        if not isinstance(metrics, Metrics):
            return ()
        regions = [place.name for place in places if place.name]
        read = await metrics.histories(
            metrics.settings.queries,
            now,
            LOOKED_BACK.total_seconds(),
            points=_POINTS,
            within=_METRICS_SECONDS * patience,
            regions=regions,
        )
        return await with_recoveries(metrics, read, now, within=RECOVERY_SECONDS * patience, regions=regions)

    try:
        yield Case(
            environment=environment,
            places=tuple(_facts(place, reads) for place in places),
            service=service,
            clients=clients,
            now=now,
            since=now - LOOKED_BACK,
            may=may,
            patience=patience,
            runs=ReadOnce(runs, reads),
            releases=ReadOnce(releases, reads),
            histories=ReadOnce(histories, reads),
        )
    finally:
        await asyncio.gather(*(read.close() for read in reads))


def _facts(place: Place, reads: list[_Closes]) -> PlaceFacts:
    cluster, namespace = place.cluster, place.environment.namespace
    return PlaceFacts(
        place=place,
        listed=ReadOnce(lambda: listed(cluster, place.environment), reads),
        events=ReadOnce(lambda: cluster.events(namespace), reads),
        nodes=ReadOnce(cluster.nodes, reads),
        quotas=ReadOnce(lambda: cluster.quotas(namespace), reads),
        autoscalers=ReadOnce(lambda: cluster.autoscalers(namespace), reads),
        endpoints=ReadOnce(lambda: cluster.every_endpoints(namespace), reads),
        services=ReadOnce(lambda: cluster.services(namespace), reads),
        config_maps=ReadOnce(lambda: cluster.config_maps_written(namespace), reads),
        scaled=ReadOnce(lambda: cluster.deployments_scaled(namespace), reads),
        usage_of_pods=ReadOnce(lambda: cluster.usage_of_pods(namespace), reads),
        usage_of_nodes=ReadOnce(cluster.usage_of_nodes, reads),
    )
