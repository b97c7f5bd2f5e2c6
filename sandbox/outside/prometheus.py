"""A small Prometheus: it answers the queries that the bot asks with values that follow what runs in the cluster.

`/api/v1/query`, `/api/v1/rules` and `/-/ready` have the form of the real one's answers, errors too. It knows the metrics of `VALUES` and evaluates no PromQL: which of them a
query is about follows from its names, and its `namespace` from the label. Anything else is an empty vector, as of a metric that nobody exports.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import promql_parser
from aiohttp import web

from sandbox.cluster import Cluster

VALUES: dict[str, tuple[float, float]] = {
    "http_request_duration_seconds": (112.0, 118.0),
    "db_query_duration_seconds": (31.0, 33.0),
    "page_load_duration_seconds": (1.4, 1.5),
    "http_requests_total": (0.021, 2.4),
}
"""Metric → what a query of it gives while a healthy version runs, and while all pods run a version `…-errors`."""
_NAMESPACE = re.compile(r'namespace="([^"]*)"')

Answer = Callable[[web.Request], web.StreamResponse]


class PrometheusServer:
    """`fault`: answers every query instead; `silent` metrics have no data."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.url = ""
        self.fault: Answer | None = None
        self.values: dict[str, str] = {}
        """Metric → a value that it has whatever runs, as the API writes it: `NaN`."""
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.critical_rules = ["HighErrorRate", "ServiceDown"]

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        app = web.Application()
        app.router.add_get("/api/v1/query", self._query)
        app.router.add_get("/api/v1/rules", self._rules)
        app.router.add_get("/-/ready", self._ready)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            self.url = f"http://{host}:{runner.addresses[0][1]}"
            yield self.url
        finally:
            await runner.cleanup()

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(text="Prometheus Server is Ready.\n")

    async def _rules(self, request: web.Request) -> web.StreamResponse:
        if self.fault is not None:
            return self.fault(request)
        rules = [
            {
                "name": name,
                "type": "alerting",
                "query": "up == 0",
                "duration": 60,
                "labels": {"severity": "critical"},
                "annotations": {},
                "alerts": [],
                "health": "ok",
                "state": "inactive",
            }
            for name in self.critical_rules
        ]
        groups = [{"name": "emr", "file": "emr.yml", "interval": 60, "rules": rules}]
        return web.json_response({"status": "success", "data": {"groups": groups}})

    async def _query(self, request: web.Request) -> web.StreamResponse:
        query = request.query.get("query", "")
        self.asked.append(query)
        if self.fault is not None:
            return self.fault(request)
        try:
            promql_parser.parse(query)
        except ValueError as error:
            said = f'invalid parameter "query": 1:1: parse error: {error}'
            return web.json_response({"status": "error", "errorType": "bad_data", "error": said}, status=400)
        value = self._value(query)
        result = [] if value is None else [{"metric": {}, "value": [round(time.time(), 3), value]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _value(self, query: str) -> str | None:
        metric = next((name for name in (*self.values, *VALUES) if name in query), None)
        if metric is None or metric in self.silent:
            return None
        if metric in self.values:
            return self.values[metric]
        well, ill = VALUES[metric]
        namespace = _NAMESPACE.search(query)
        pods = [pod for pod in self._cluster.pods(namespace[1] if namespace else "") if pod.ready]
        share = sum(pod.version.endswith("-errors") for pod in pods) / len(pods) if pods else 0.0
        return f"{well + (ill - well) * share:g}"
