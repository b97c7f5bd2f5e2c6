"""A small Alertmanager: `/api/v2/status`, `/api/v2/receivers` and `/api/v2/alerts` in the form of the real one's answers.

`HighErrorRate` fires in a namespace while a version `…-errors` runs there. Filters are matchers with `=` only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from sandbox.cluster import Cluster
from sandbox.outside.serving import serving

_MATCHER = re.compile(r'([a-zA-Z_]\w*)="([^"]*)"')
Labels = dict[str, str]
_ERRORS, _FOR = "HighErrorRate", 120.0


class AlertmanagerServer:
    """`fault` answers everything instead; `firing` are further alerts, as labels; `silenced`: somebody silenced all of them."""

    def __init__(self, cluster: Cluster, receivers: tuple[str, ...] = ("pagerduty", "slack")) -> None:
        self._cluster = cluster
        self._began = datetime.now(UTC)
        self.receivers = list(receivers)
        self.firing: list[Labels] = []
        self._since: dict[str, datetime] = {}
        self._ill: dict[str, datetime] = {}
        """Namespace → since when a version `…-errors` has run there."""
        self.silenced = False
        self.fault: Callable[[web.Request], web.StreamResponse] | None = None
        self.url = ""

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        app = web.Application()
        app.router.add_get("/api/v2/status", self._answering(self._status))
        app.router.add_get("/api/v2/receivers", self._answering(self._receivers))
        app.router.add_get("/api/v2/alerts", self._answering(self._alerts))
        async with serving(app, host, port) as self.url:
            yield self.url

    def fire(self, name: str, minutes: float = 0.0) -> None:
        """A critical alert of production fires, for so many minutes."""
        self.firing.append({"alertname": name, "severity": "critical", "namespace": "omnicare-prod"})
        self._since[name] = datetime.now(UTC) - timedelta(minutes=minutes)

    def resolve(self, name: str) -> None:
        """It fires no more."""
        self.firing = [labels for labels in self.firing if labels["alertname"] != name]
        self._since.pop(name, None)

    def fires(self, name: str) -> bool:
        """Whether somebody made it fire."""
        return any(labels["alertname"] == name for labels in self.firing)

    def _answering(self, answer: Callable[[web.Request], object]) -> Callable[..., Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return self.fault(request) if self.fault is not None else web.json_response(answer(request))

        return handle

    def _status(self, _: web.Request) -> object:
        original = "".join(f"- name: {each}\n" for each in self.receivers)
        return {
            "cluster": {"status": "disabled", "peers": []},
            "config": {"original": f"receivers:\n{original}"},
            "uptime": self._stamp(self._began),
            "versionInfo": {"version": "0.25.0"},
        }

    def _receivers(self, _: web.Request) -> object:
        return [{"name": each} for each in self.receivers]

    def _alerts(self, request: web.Request) -> object:
        wanted = [found.groups() for each in request.query.getall("filter", []) if (found := _MATCHER.fullmatch(each))]
        return [
            self._alert(labels)
            for labels in (*self._errors(), *self.firing)
            if not self.silenced and all(labels.get(name, "") == value for name, value in wanted)
        ]

    def _errors(self) -> list[Labels]:
        """Fires two minutes after the first pod of such a version was there, as a rule with `for: 2m` would."""
        began: dict[str, float] = {}
        for pod in self._cluster.pods():
            if pod.ready and pod.version.endswith("-errors"):
                began[pod.namespace] = min(pod.created, began.get(pod.namespace, pod.created))
        now = datetime.now(UTC)
        self._ill = {each: min(now, datetime.fromtimestamp(at + _FOR, UTC)) for each, at in began.items()}
        return [{"alertname": _ERRORS, "severity": "critical", "namespace": each} for each in sorted(began)]

    def _alert(self, labels: Labels) -> object:
        fingerprint = hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
        return {
            "labels": labels,
            "annotations": {},
            "fingerprint": fingerprint,
            "startsAt": self._stamp(
                self._since.get(labels.get("alertname", "")) or self._ill.get(labels.get("namespace", ""), self._began)
            ),
            "endsAt": self._stamp(datetime.now(UTC)),
            "updatedAt": self._stamp(datetime.now(UTC)),
            "generatorURL": "",
            "receivers": [{"name": each} for each in self.receivers[:1]],
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        }

    @staticmethod
    def _stamp(at: datetime) -> str:
        return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
