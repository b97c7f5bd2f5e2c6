"""Prometheus and Alertmanager to hold our clients to: the sandbox's small servers, and Debian's real ones with a small exporter.

`PROMETHEUS_BINARIES` names the folder with the real ones' programs (`prometheus`, `prometheus-alertmanager`), else they are looked for in `PATH`.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from sandbox.cluster import Cluster
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.prometheus import PrometheusServer
from sandbox.ports import free_ports

NAMESPACE = "omnicare-prod"
SCRAPES = "200ms"
_HISTOGRAMS = {
    "http_request_duration_seconds": 0.1,
    "db_query_duration_seconds": 0.025,
    "page_load_duration_seconds": 1.0,
}
"""Metric → the bucket that everything falls into."""


@dataclass(frozen=True)
class Monitoring:
    """Both servers, and how an alert begins to fire there."""

    prometheus: str
    alertmanager: str
    fire: Callable[[dict[str, str]], Awaitable[None]]


def program(name: str) -> str | None:
    """The path of a real server's program; None where it is not installed."""
    folder = os.environ.get("PROMETHEUS_BINARIES")
    return shutil.which(name, path=folder) if folder else shutil.which(name)


@asynccontextmanager
async def small() -> AsyncIterator[Monitoring]:
    cluster = Cluster()
    prometheus, alertmanager = PrometheusServer(cluster), AlertmanagerServer(cluster)
    prometheus.values |= {"http_requests_total": "0", "idle_total": "NaN"}

    async def fire(labels: dict[str, str]) -> None:
        alertmanager.firing.append(labels)

    async with prometheus.serve() as metrics, alertmanager.serve() as alerts:
        yield Monitoring(metrics, alerts, fire)


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Monitoring]:
    async with AsyncExitStack() as stack:
        exporter = await stack.enter_async_context(_exporter())
        scrape = {"job_name": "emr", "scrape_interval": SCRAPES, "static_configs": [{"targets": [exporter]}]}
        config = folder / "prometheus.yml"
        rules = folder / "rules.yml"
        severities = {"HighErrorRate": "critical", "ServiceDown": "critical", "CertificateExpiry": "low"}
        alerts_of = [
            {"alert": name, "expr": "up == 0", "labels": {"severity": each}} for name, each in severities.items()
        ]
        rules.write_text(json.dumps({"groups": [{"name": "emr", "rules": alerts_of}]}), encoding="utf-8")
        config.write_text(json.dumps({"scrape_configs": [scrape], "rule_files": [str(rules)]}), encoding="utf-8")
        metrics = await stack.enter_async_context(
            _running(
                "prometheus",
                lambda port: (
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ),
            )
        )
        receivers = [{"name": "pagerduty"}, {"name": "slack"}]
        config_alerts = folder / "alertmanager.yml"
        config_alerts.write_text(
            json.dumps({"route": {"receiver": "pagerduty"}, "receivers": receivers}), encoding="utf-8"
        )
        alerts = await stack.enter_async_context(
            _running(
                "prometheus-alertmanager",
                lambda port: (
                    f"--config.file={config_alerts}",
                    f"--storage.path={folder / 'alerts'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                ),
            )
        )

        async def fire(labels: dict[str, str]) -> None:
            body = [{"labels": labels, "startsAt": datetime.now(UTC).isoformat()}]
            async with aiohttp.ClientSession() as session, session.post(f"{alerts}/api/v2/alerts", json=body) as answer:
                assert answer.status == 200, await answer.text()

        yield Monitoring(metrics, alerts, fire)


@asynccontextmanager
async def _exporter() -> AsyncIterator[str]:
    """Counts on with each scrape: requests without errors, and one counter that stands still."""
    scrapes = 0

    async def metrics(_: web.Request) -> web.Response:
        nonlocal scrapes
        scrapes += 10
        where = f'namespace="{NAMESPACE}"'
        lines = [f'http_requests_total{{{where},status="200"}} {scrapes}', f"idle_total{{{where}}} 7"]
        for name, bucket in _HISTOGRAMS.items():
            lines += [f'{name}_bucket{{{where},le="{le}"}} {scrapes}' for le in (bucket, "+Inf")]
        return web.Response(text="\n".join(lines) + "\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _running(name: str, arguments: Callable[[int], tuple[str, ...]]) -> AsyncIterator[str]:
    found = program(name)
    assert found is not None, f"{name} is not installed"
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        found, *arguments(port), "--log.level=warn", stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
