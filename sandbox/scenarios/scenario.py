"""A scenario: what is broken, in a sentence, the command to type, and the acts that break it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sandbox.cluster import Cluster
from sandbox.scenarios.changes import Change

if TYPE_CHECKING:
    from sandbox.cache import CacheCluster
    from sandbox.elasticache import ElastiCache
    from sandbox.load_balancer import TargetGroups
    from sandbox.outside.alertmanager import AlertmanagerServer
    from sandbox.outside.certificates import TlsHosts
    from sandbox.outside.github import Github
    from sandbox.outside.prometheus import PrometheusServer
    from sandbox.postgres import Database
    from sandbox.sync_queue import SyncQueue

PRODUCTION = "omnicare-prod"


class Stage(Protocol):
    """What acts break: the cluster, and what else a sandbox has."""

    @property
    def cluster(self) -> Cluster: ...

    @property
    def database(self) -> Database | None: ...

    @property
    def github(self) -> Github | None: ...

    @property
    def prometheus(self) -> PrometheusServer | None: ...

    @property
    def alertmanager(self) -> AlertmanagerServer | None: ...

    @property
    def target_groups(self) -> TargetGroups | None: ...

    @property
    def cache(self) -> CacheCluster | None: ...

    @property
    def elasticache(self) -> ElastiCache | None: ...

    @property
    def tls(self) -> TlsHosts | None: ...

    @property
    def sync(self) -> Mapping[str, SyncQueue]:
        """The queues of offline sync, by namespace."""

    @property
    def frozen(self) -> bool:
        """Whether production's gates are configured with a freeze window now."""

    def freeze(self, *, frozen: bool) -> None:
        """Configure that; the bot starts again to read it."""


@dataclass(frozen=True)
class ClusterAlone:
    """A stage with nothing but a cluster."""

    cluster: Cluster
    database: None = None
    github: None = None
    prometheus: None = None
    alertmanager: None = None
    cache: None = None
    elasticache: None = None
    tls: None = None
    target_groups: None = None
    sync: Mapping[str, SyncQueue] = field(default_factory=dict)
    frozen: bool = False

    def freeze(self, *, frozen: bool) -> None:
        """There is no bot."""


class Act(ABC):
    """One thing that a scenario breaks."""

    @abstractmethod
    def changes(self, stage: Stage) -> Iterator[Change]:
        """Yield what it changes, each where it can be put back; each is made before the next is asked for."""


@dataclass(frozen=True)
class Scenario:
    """One thing that is wrong, or will be as soon as somebody deploys."""

    name: str
    sentence: str
    """What is broken, or will be."""
    command: str
    """What to type, as Maya."""
    cause: str
    """The first words of the card that names it."""
    acts: tuple[Act, ...] = ()
    mended_by: str = ""
    """The service whose new pods end it, once no ConfigMap has what the scenario wrote into it."""
    deadline: int | None = None
    """Seconds after which Kubernetes gives up, where that is how it ends; nobody waits ten minutes in a sandbox."""

    @property
    def tag(self) -> str:
        """The version that is deployed."""
        return self.command.split()[-1]
