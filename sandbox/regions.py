"""A region of production: a cluster of its own, seeded alike, whose API can stop answering."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit

import yaml

from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.resources import CONFIG_MAP


class RegionServer:
    """One region; it serves within `async with`."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name = name
        self.cluster = cluster
        self._served = AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> Self:
        seed_omnicare(self.cluster)
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()

    async def go_down(self) -> None:
        """Nothing is behind its address from now on."""
        await self._served.aclose()

    async def come_back(self) -> None:
        """Serve at the same address as before, where it does not."""
        if not self.cluster.url:
            url = await self._served.enter_async_context(self.cluster.serve(port=self._port))
            self._port = urlsplit(url).port or 0

    def reset(self) -> None:
        """Everything as it was at first, but the heads of the audit log, which stays: without them the bot would find it changed."""
        heads = self.cluster.store.get(CONFIG_MAP, "omnicare-bot", "book-heads")
        self.cluster.reset()
        seed_omnicare(self.cluster)
        if heads is not None:
            self.cluster.replace(CONFIG_MAP, "omnicare-bot", "book-heads", heads)


def kubeconfig(clusters: Mapping[str, Cluster], user: str) -> str:
    """Return one kubeconfig with a context for each region, named like it; the first is the current one."""
    found = {name: yaml.safe_load(cluster.kubeconfig(user)) for name, cluster in clusters.items()}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [each["clusters"][0] | {"name": name} for name, each in found.items()],
            "users": [each["users"][0] | {"name": name} for name, each in found.items()],
            "contexts": [
                {"name": name, "context": each["contexts"][0]["context"] | {"cluster": name, "user": name}}
                for name, each in found.items()
            ],
            "current-context": next(iter(found)),
        },
        sort_keys=False,
    )
