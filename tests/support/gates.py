"""What a gate is given: a deploy of v2.0.0 to production, and the sandbox's servers as its clients."""

from collections.abc import Callable
from datetime import UTC, datetime

from runbooks.gates.gate import GateSubject
from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.targets import Environment, Service
from sandbox.outside.registry import SERVICES, digest_of

NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
MakesSubject = Callable[..., GateSubject]


def environment(name: str = "production") -> Environment:
    """One of the sandbox's."""
    services = tuple(
        Service(name=each, deployment=each, container=each, repository=f"ghcr.io/omnicare/{each}") for each in SERVICES
    )
    return Environment(name=name, namespace="omnicare-prod", record_namespace="omnicare-bot", services=services)


def image(service: str, version: str) -> Image:
    """As the plan pins it."""
    return Image(repository=f"ghcr.io/omnicare/{service}", tag=version, digest=digest_of(service, version))


def changes(version: str = "v2.0.0") -> tuple[ImageChange, ...]:
    """Both services, from v1.2.0."""
    return tuple(
        ImageChange(
            service=each, namespace="omnicare-prod", deployment=each, container=each,
            before=image(each, "v1.2.0"), after=image(each, version),
        )
        for each in SERVICES
    )  # fmt: skip
