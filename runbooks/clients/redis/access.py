"""Settings for the nodes of a cache, and where the account for it comes from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from runbooks.clients.secret_source import SecretSettings
from runbooks.kit.addresses import ADDRESS, split_address

PORT = 6379
NodeAddress = Annotated[str, StringConstraints(pattern=ADDRESS)]
"""`HOST` or `HOST:PORT`."""
Nodes = Annotated[tuple[NodeAddress, ...], Field(min_length=1, max_length=20)]


class CacheSettings(SecretSettings):
    """The environment's Redis: a cluster, or single servers. ElastiCache and Valkey speak the same protocol."""

    nodes: Nodes
    """`HOST` or `HOST:PORT`. One node of a cluster is enough, such as ElastiCache's configuration endpoint: it names the others. Without cluster
    mode list every server, replicas too."""
    regions: dict[str, Nodes] = {}
    """The nodes of other regions, by the region's name; `nodes` are then those of the home region."""
    user: str | None = Field(default=None, min_length=1, max_length=100)
    """The ACL user; without one the password is the default user's. `docs/how-to/look-into-the-cache.md` has the rights that it needs."""
    tls: Literal["verify-full", "disable"] = "verify-full"
    """`disable` is only for a network that nobody else can reach; it is refused together with a password."""
    root_certificate: Path | None = None
    """Certificate authorities for checking the nodes' certificates; default: this machine's."""
    connect_timeout: float = Field(default=3.0, gt=0, le=20)
    """Time limit in seconds for connecting to a node, with TLS and login."""
    answer_timeout: float = Field(default=3.0, gt=0, le=20)
    """Time limit for one answer."""
    sample_seconds: float = Field(default=1.0, ge=0.05, le=10)
    """Time between the two looks that show what happens now: hits, evictions, failed writes."""
    key_words: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")], ...] = ()
    """Words that may be shown of a key in the slow log, such as `appointments`; everything else in a key is hidden. Some plain words
    (`session`, `cache`, `patient`) are known without this."""

    def hosts(self) -> set[str]:
        """Return the hosts of all regions' nodes."""
        everywhere = (*self.nodes, *(each for nodes in self.regions.values() for each in nodes))
        return {split_address(each)[0] for each in everywhere}
