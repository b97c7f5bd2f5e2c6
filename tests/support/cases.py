"""A case for a rule of `diagnose`, with only what the rule asks."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.places import places_of
from runbooks.kit.targets import Environment, Service
from runbooks.troubleshooting.case import Case, RecentRun, opened
from runbooks.troubleshooting.rules import PERMISSIONS

BACKEND = Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend")
PRODUCTION = Environment(
    name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=(BACKEND,)
)
BOTH_SERVICES = PRODUCTION.model_copy(
    update={
        "services": tuple(
            Service(name=name, deployment=name, container=name, repository=f"ghcr.io/omnicare/{name}")
            for name in ("backend", "frontend")
        )
    }
)


@asynccontextmanager
async def case(
    clients: Mapping[type, object] | None = None,
    *,
    cluster: ClusterClient | None = None,
    environment: Environment = PRODUCTION,
    service: Service | None = None,
    now: datetime | None = None,
    runs: Sequence[RecentRun] = (),
    regions: Mapping[str, Mapping[type, object]] | None = None,
    may: frozenset[str] = PERMISSIONS,
    patience: float = 20.0,
) -> AsyncGenerator[Case]:
    """Yield it; without a cluster it has no regions to look at. Its rules have the time of a busy machine."""

    async def recent() -> Sequence[RecentRun]:
        return runs

    places = places_of(environment, cluster, regions or {}) if cluster is not None else ()
    async with opened(
        places,
        environment=environment,
        service=service,
        clients=clients or {},
        now=now or datetime.now(UTC),
        may=may,
        runs=recent,
        patience=patience,
    ) as made:
        yield made
