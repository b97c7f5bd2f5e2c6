"""What a cluster asks of the bot over HTTP: is it alive, may it be sent work, its figures.

`bot.app` starts it with a callable for each thing that must hold; the door, the runs and the book report to `Metrics`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot.surfaces.connection_bounds import ARRIVE_SECONDS, Connections, by_address

Check = Callable[[], Awaitable[str | None]]
"""None where all is well, else a sentence that says what is not."""

_ACKNOWLEDGED = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Buckets up to the three seconds that Slack waits."""

CHECK_SECONDS = 2.0
"""A check that takes longer counts as failed: a readiness probe gives up soon after."""
_FRESH = 1.0
"""Seconds for which what was found counts."""
_CONNECTIONS = 64
_EACH = 32
"""Connections by one peer: a probe and a scraper need two."""


class Metrics:
    """The bot's figures, in a registry of their own. Labels are closed sets: command names, exits, reason codes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._deliveries = self._counter("deliveries", "Requests that reached the door.", "surface", "command", "exit")
        self._acknowledged = Histogram(
            "omnicare_acknowledgement_seconds",
            "From a delivery to its acknowledgement.",
            ["surface", "kind"],
            buckets=_ACKNOWLEDGED,
            registry=self.registry,
        )
        self._runs = self._counter("runs", "Requests that ended, by how.", "environment", "command", "reason_code")
        self._refusals = self._counter("refusals", "What was refused, by reason code.", "reason_code")
        self._appends = self._counter("audit_appends", "Events written to the audit trail.", "result")
        self._failures = self._counter(
            "background_failures", "Background work that failed and was started again.", "task"
        )
        self._slack = Gauge(
            "omnicare_socket_mode_connections",
            "Socket Mode connections that are open and answered a ping lately.",
            registry=self.registry,
        )

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"omnicare_{name}", about, labels, registry=self.registry)

    def delivery(self, surface: str, command: str | None, exit_name: str) -> None:
        """A delivery was answered; `command` None where it was not understood."""
        self._deliveries.labels(surface, command or "unknown", exit_name).inc()

    def acknowledged(self, surface: str, kind: str, seconds: float) -> None:
        """A delivery was acknowledged (Slack) or answered (terminal) after `seconds`."""
        self._acknowledged.labels(surface, kind).observe(seconds)

    def ended(self, environment: str, command: str, reason_code: str) -> None:
        """A request and its run ended."""
        self._runs.labels(environment, command, reason_code).inc()

    def refused(self, reason_code: str) -> None:
        """Somebody was refused."""
        self._refusals.labels(reason_code).inc()

    def appended(self, *, count: int = 1, failed: bool = False) -> None:
        """Events were written to the book, or could not be."""
        self._appends.labels("failed" if failed else "written").inc(count)

    def failed(self, task: str) -> None:
        """Background work failed; `task` is one of the supervisor's names."""
        self._failures.labels(task).inc()

    def connections(self, fresh: Callable[[], int]) -> None:
        """Who says how many Socket Mode connections are fresh: it is asked whenever the figures are."""
        self._slack.set_function(fresh)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class Web:
    """The HTTP server: /healthz, /readyz, /metrics. No secrets, no names, so no login; bound to loopback by default."""

    def __init__(
        self,
        metrics: Metrics,
        checks: Mapping[str, Check],
        *,
        dead: Callable[[], list[str]] = list,
        check_seconds: float = CHECK_SECONDS,
        arrive_seconds: float = ARRIVE_SECONDS,
    ) -> None:
        """`checks` are what `/readyz` asks; `dead` names what can only be mended by another process, which fails `/healthz`."""
        self._connections = Connections(most=_CONNECTIONS, each=_EACH, peer=by_address, seconds=arrive_seconds)
        self._dead = dead
        self._metrics = metrics
        self._checks = dict(checks)
        self._check_seconds = check_seconds
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._answer: asyncio.Task[dict[str, str | None]] | None = None
        self._answered = 0.0
        self.port = 0

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(middlewares=[self._connections.whole])
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._figures),
            ]
        )
        return application

    async def start(self, host: str, port: int) -> int:
        """Listens; the port that was taken (0 asks for any free one)."""
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        accepted = self._connections.serve(self._runner.server)
        self._server = await asyncio.get_running_loop().create_server(accepted, host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _request: web.Request) -> web.Response:
        dead = self._dead()
        return web.json_response({"alive": not dead, "failed": dead}, status=503 if dead else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        found = await self._found()
        ready = all(why is None for why in found.values())
        shown: dict[str, Any] = {name: why or "ok" for name, why in found.items()}
        return web.json_response({"ready": ready, "checks": shown}, status=200 if ready else 503)

    async def _found(self) -> dict[str, str | None]:
        """Who asks at the same time, or soon after, gets the same answer: anybody may ask, and each look costs the cluster some."""
        now = asyncio.get_running_loop().time()
        if self._answer is None or (self._answer.done() and now - self._answered > _FRESH):
            self._answered = now
            self._answer = asyncio.ensure_future(readiness(self._checks, self._check_seconds))
        return await asyncio.shield(self._answer)

    async def _figures(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def readiness(checks: Mapping[str, Check], seconds: float = CHECK_SECONDS) -> dict[str, str | None]:
    """Each check's answer, all asked at once; one that fails or is late says so instead of taking the others down."""

    async def ask(check: Check) -> str | None:
        try:
            async with asyncio.timeout(seconds):
                return await check()
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except Exception as error:  # noqa: BLE001 - a check that breaks is a check that failed
            return f"the check failed ({type(error).__name__})"

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(ask(check)) for name, check in checks.items()}
    return {name: task.result() for name, task in tasks.items()}
