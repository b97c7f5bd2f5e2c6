"""A region of an environment with the client of its cluster: what plans and answers about several regions go through."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.targets import Environment


@dataclass(frozen=True, slots=True)
class Place:
    """One region; or the whole environment, where it has one cluster."""

    environment: Environment
    cluster: ClusterClient

    @property
    def name(self) -> str:
        """The region's name; empty where there is one cluster."""
        return self.environment.region
