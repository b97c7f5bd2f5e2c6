"""What a deploy or a rollback consists of beside its services: the parts that each domain plans for itself.

A domain (migrations, CDN, verification, …) has one function that is given a `Train` and returns a `Part`; `runbooks.release.train` lists
them in their order. What is not configured is a sentence in `Part.not_done`, so that nobody expects it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, cast

from runbooks.kit.plan import ImageChange, Refusal, Unusual
from runbooks.kit.steps import StoredStep
from runbooks.kit.targets import Environment, Frozen

T = TypeVar("T")


class Part(Frozen):
    """What one domain adds to the plan."""

    first: tuple[StoredStep, ...] = ()
    """Steps that only look, before those that change anything; also where what runs is only checked and recorded."""
    before: tuple[StoredStep, ...] = ()
    """Steps before the services change."""
    only_with: str = ""
    """`before` is left out where no other part has a step of this kind there: a backup that is for migrations alone."""
    after: tuple[StoredStep, ...] = ()
    """Steps after all services run and were checked, before the release is recorded."""
    last: tuple[StoredStep, ...] = ()
    """Steps after the release is recorded. They tell a failure and raise none."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused_by: tuple[Refusal, ...] = ()
    """Why the plan can't be approved as it is; where it goes back, only because what it leads to can't run."""
    unusual: tuple[Unusual, ...] = ()
    """The options that make it riskier than usual."""
    not_done: tuple[str, ...] = ()
    """What this run does not do, in a few words: `migrations (not configured)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """What the parts of a deploy or a rollback are planned from."""

    environment: Environment
    version: str
    """The release that runs afterwards."""
    before: str | None = None
    """The release that runs now, where all services run the same one."""
    changes: tuple[ImageChange, ...]
    """The services that change; the others run the release already."""
    going_back: bool = False
    """A rollback: what can't be read is a warning, never a refusal."""
    standing: bool = False
    """Nothing is rolled out: what runs is checked and recorded, so nothing may be left to do before the services."""
    clients: Mapping[type, object] = field(default_factory=dict)
    """Clients and settings of the environment, each by its class."""
    regions: Mapping[str, Mapping[type, object]] = field(default_factory=dict)
    """The regions that the release reaches → the clients that are others there; empty where the environment has one cluster."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the requester asked for beyond the version: `skip-migrations`."""
    now: datetime

    @property
    def by_region(self) -> "tuple[Train, ...]":
        """The train as each region has it, for what every cluster has of its own; this one where there is one cluster."""
        return tuple(
            replace(self, environment=self.environment.within(name), clients={**self.clients, **clients}, regions={})
            for name, clients in self.regions.items()
        ) or (self,)

    def find(self, kind: type[T]) -> T | None:
        """Return the client or the settings of that class; None where the configuration has none."""
        return cast("T | None", self.clients.get(kind))


PlansPart = Callable[[Train], Awaitable[Part]]
"""Returns what a domain adds; raises a RunbookError where that can't be known."""
