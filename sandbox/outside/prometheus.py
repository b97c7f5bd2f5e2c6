"""A small Prometheus: it answers the queries that the bot asks with values that follow what runs in the cluster.

`/api/v1/query`, `/api/v1/query_range`, `/api/v1/rules` and `/-/ready` have the form of the real one's answers, errors too. It knows the metrics of `VALUES` and evaluates no
PromQL: which of them a query is about follows from its names, and its `namespace` from the label. Anything else is an empty vector, as of a metric that nobody exports. Over a
time each metric has its daily wave and some noise, and what ran in the cluster shows: a rollout makes requests slower for a while, and a version `…-errors` makes errors.
The wave begins when the server does, so that no test sees other figures in the morning than in the evening.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import promql_parser
from aiohttp import web

from sandbox.cluster import Cluster
from sandbox.outside.serving import serving

VALUES: dict[str, tuple[float, float]] = {
    "http_request_duration_seconds": (112.0, 118.0),
    "db_query_duration_seconds": (31.0, 33.0),
    "page_load_duration_seconds": (1.4, 1.5),
    "http_requests_total": (0.021, 2.4),
    "active_user_sessions": (214, 190),
    "container_cpu_usage_seconds_total": (41, 48),
    "container_memory_working_set_bytes": (58, 61),
    "kube_pod_container_status_restarts_total": (0, 0),
    "container_network_receive_bytes_total": (6.2, 6.0),
    "kubelet_volume_stats_used_bytes": (63, 63),
    "db_pool_connections": (37, 52),
    "pg_replication_lag_seconds": (0.4, 0.4),
    "pg_locks_waiting": (0, 0),
    "audit_log_events_total": (96, 90),
    "auth_failures_total": (1.2, 1.4),
    "patient_record_access_total": (148, 140),
    "storage_encrypted": (100, 100),
    "websocket_connections": (87, 61),
    "websocket_disconnects_total": (2.1, 49),
}
"""Metric → what a query of it gives while a healthy version runs, and while all pods run a version `…-errors`."""
_REQUESTS = 38.0
"""Requests a second: what `http_requests_total` gives over a time where errors are not asked for."""
_RESTARTS = "kube_pod_container_status_restarts_total"
_ROUTES = {"/api/patients/:id": 2.1, "/api/notes": 1.3, "/api/sync/changes": 0.8}
"""What a query by `route` gives, as so many times the whole's."""
_STEADY = ("kube_pod_", "kubelet_", "pg_", "storage_")
"""Metrics without a daily wave begin so."""
_WARM_UP, _SLOWER = 240.0, 0.45
"""After a rollout requests take so much longer, for so many seconds, less and less."""
_DAY = 86_400
_MOST_POINTS = 11_000
_NAMESPACE = re.compile(r'namespace="([^"]*)"')

Answer = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Raised:
    """A metric is as while a version `…-errors` runs, or has this value, since a Unix time."""

    since: float
    value: float | None = None


class PrometheusServer:
    """`fault`: answers every query instead; `silent` metrics have no data."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.url = ""
        self.fault: Answer | None = None
        self.values: dict[str, str] = {}
        """Metric → a value that it has whatever runs, as the API writes it: `NaN`."""
        self.silent: set[str] = set()
        self.raised: dict[str, Raised] = {}
        """Metric → since when it is otherwise, and how."""
        self.throttled: dict[str, float] = {}
        """Pod → the percentage of its CPU periods in which it is throttled; empty: nobody counts them."""
        self.asked: list[str] = []
        self._began = cluster.clock.now().timestamp()
        self._past: dict[str, list[tuple[float, float]]] = {}
        """Namespace → since when which share of its pods had errors."""
        self._rollouts: dict[str, dict[str, float]] = {}
        """Namespace → ReplicaSet → when its first pod was ready."""
        self.critical_rules = ["HighErrorRate", "ServiceDown"]

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        app = web.Application()
        app.router.add_get("/api/v1/query", self._query)
        app.router.add_get("/api/v1/query_range", self._query_range)
        app.router.add_get("/api/v1/rules", self._rules)
        app.router.add_get("/-/ready", self._ready)
        self._remember()
        stop = self._cluster.on_change(self._remember)
        try:
            async with serving(app, host, port) as self.url:
                yield self.url
        finally:
            stop()

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(text="Prometheus Server is Ready.\n")

    async def _rules(self, request: web.Request) -> web.StreamResponse:
        if self.fault is not None:
            return await _faulty(self.fault, request)
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
            return await _faulty(self.fault, request)
        if refused := _refusal(query):
            return refused
        value = self._value(query)
        result = [] if value is None else [{"metric": {}, "value": [round(time.time(), 3), value]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async def _query_range(self, request: web.Request) -> web.StreamResponse:
        query = request.query.get("query", "")
        self.asked.append(query)
        if self.fault is not None:
            return await _faulty(self.fault, request)
        start, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        if (end - start) / step > _MOST_POINTS:
            return _bad_data("exceeded maximum resolution of 11,000 points per timeseries")
        if refused := _refusal(query):
            return refused
        times = [start + step * place for place in range(int((end - start) / step + 1e-6) + 1)]
        if "container_cpu_cfs_throttled" in query:
            waits = [
                {"metric": {"pod": pod}, "values": [[at, f"{share:g}"] for at in times]}
                for pod, share in self.throttled.items()
            ]
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": waits}})
        metric = self._metric(query)
        routes = _ROUTES if "route" in query else {"": 1.0}
        result = [
            {
                "metric": {"route": route} if route else {},
                "values": [[at, _written(self._then(metric, query, at) * factor)] for at in times],
            }
            for route, factor in routes.items()
            if metric is not None
        ]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    def _value(self, query: str) -> str | None:
        metric = self._metric(query)
        if metric is None:
            return None
        if metric in self.values:
            return self.values[metric]
        well, ill = VALUES[metric]
        if (raised := self.raised.get(metric)) is not None:
            return f"{ill if raised.value is None else raised.value:g}"
        return f"{well + (ill - well) * self._share(_namespace(query)):g}"

    def _metric(self, query: str) -> str | None:
        """The metric that a query is about; None where it has no data."""
        metric = next((name for name in (*self.values, *VALUES) if name in query), None)
        return None if metric in self.silent else metric

    def _share(self, namespace: str) -> float:
        """How many of the pods have errors, of 1."""
        pods = [pod for pod in self._cluster.pods(namespace) if pod.ready]
        return sum(pod.version.endswith("-errors") for pod in pods) / len(pods) if pods else 0.0

    def _restarted(self, namespace: str) -> float:
        return float(sum(pod.restarts for pod in self._cluster.pods(namespace)))

    def _remember(self) -> None:
        now = self._cluster.clock.now().timestamp()  # a scenario may make a past
        for namespace in {pod.namespace for pod in self._cluster.pods()}:
            past, share = self._past.setdefault(namespace, []), self._share(namespace)
            if not past or past[-1][1] != share:
                while past and past[-1][0] > now:
                    past.pop()
                past.append((now, share))
            ready = {pod.name.rpartition("-")[0] for pod in self._cluster.pods(namespace) if pod.ready}
            began = self._rollouts.setdefault(namespace, dict.fromkeys(ready, 0.0))  # what ran before is no news
            for replica_set in ready - began.keys():
                began[replica_set] = now

    def _then(self, metric: str, query: str, at: float) -> float:
        """What a metric was at a time."""
        if metric in self.values:
            return float(self.values[metric])
        well, ill = VALUES[metric]
        namespace = _namespace(query)
        requests = metric == "http_requests_total" and "5.." not in query
        if requests:
            well = ill = _REQUESTS
        share = next((share for since, share in reversed(self._past.get(namespace, [])) if since <= at), 0.0)
        value = well + (ill - well) * share
        if not requests and (raised := self.raised.get(metric)) is not None and raised.since <= at:
            value = ill if raised.value is None else raised.value
            # a pod that goes on crashing has restarted more often than when it was broken
            value = max(value, self._restarted(namespace)) if metric == _RESTARTS else value
        if metric.startswith(_STEADY):
            return value
        if "duration" in metric:
            ages = (at - since for since in self._rollouts.get(namespace, {}).values())
            value *= 1 + _SLOWER * max((1 - age / _WARM_UP for age in ages if 0 <= age < _WARM_UP), default=0.0)
        wave = 0.08 * math.sin((at - self._began) / _DAY * math.tau)
        noise = hashlib.blake2b(f"{metric} {at:.0f}".encode(), digest_size=2).digest()
        return value * (1 + wave + 0.06 * (int.from_bytes(noise) / 65_535 - 0.5))


async def _faulty(fault: Answer, request: web.Request) -> web.StreamResponse:
    answer = fault(request)
    return answer if isinstance(answer, web.StreamResponse) else await answer


def _written(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:g}"


def _namespace(query: str) -> str:
    found = _NAMESPACE.search(query)
    return found[1] if found else ""


def _refusal(query: str) -> web.Response | None:
    """What the real one says to a query that is no PromQL."""
    try:
        promql_parser.parse(query)
    except ValueError as error:
        return _bad_data(f'invalid parameter "query": 1:1: parse error: {error}')
    return None


def _bad_data(said: str) -> web.Response:
    return web.json_response({"status": "error", "errorType": "bad_data", "error": said}, status=400)
