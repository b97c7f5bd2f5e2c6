"""The sandbox's Kubernetes: an API server, controllers and a node in memory, real enough for kubectl.

Used by the sandbox's world and by tests; production never imports it. Everything stands in one `Cluster`.
"""

from sandbox.cluster.cluster import Cluster
from sandbox.cluster.seed import seed_omnicare
from sandbox.cluster.settings import Rule, Settings, User

__all__ = ["Cluster", "Rule", "Settings", "User", "seed_omnicare"]
