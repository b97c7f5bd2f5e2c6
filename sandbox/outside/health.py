"""The services' health URLs: one for each service and environment, answered by whether a ready pod is there to answer.

200 where the Service has a ready endpoint, 503 where it has none, 404 where there is no such Service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from sandbox.cluster import Cluster
from sandbox.cluster.resources import ENDPOINTS
from sandbox.outside.serving import serving


class HealthServer:
    def __init__(self, cluster: Cluster, namespaces: Mapping[str, str]) -> None:
        """`namespaces`: environment → namespace."""
        self._cluster = cluster
        self._namespaces = dict(namespaces)
        self.url = ""

    def url_of(self, environment: str, service: str) -> str:
        """The address that the configuration names."""
        return f"{self.url}/{environment}/{service}/health"

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        app = web.Application()
        app.router.add_get("/{environment}/{service}/health", self._answer)
        async with serving(app, host, port) as self.url:
            yield self.url

    async def _answer(self, request: web.Request) -> web.Response:
        namespace = self._namespaces.get(request.match_info["environment"], "")
        endpoints = self._cluster.store.get(ENDPOINTS, namespace, request.match_info["service"])
        if endpoints is None:
            return web.json_response({"status": "unknown"}, status=404)
        ready = sum(len(subset.get("addresses") or []) for subset in endpoints.get("subsets") or [])
        return web.json_response({"status": "ok" if ready else "down", "ready": ready}, status=200 if ready else 503)
