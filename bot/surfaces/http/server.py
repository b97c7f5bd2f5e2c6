"""What a cluster asks of the bot over HTTP: is it alive, may it be sent work, its figures.

`bot.app` starts it with a callable for each thing that must hold; the dispatcher, the runs and the audit log report to `ProcessMetrics`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bot.process.metrics import ProcessMetrics
from bot.surfaces.connection_bounds import ARRIVE_SECONDS, BoundedConnections, by_address

Check = Callable[[], Awaitable[str | None]]
"""None where all is well, else a sentence that says what is not."""

CHECK_SECONDS = 2.0
"""A check that takes longer counts as failed: a readiness probe gives up soon after."""
FRESH_SECONDS = 1.0
"""Seconds for which what was found counts."""
_CONNECTIONS = 64
_EACH = 32
"""Connections by one peer: a probe and a scraper need two."""


class Web:
    """The HTTP server: /healthz, /readyz, /metrics. No secrets, no names, so no login; bound to loopback by default."""

    def __init__(
        self,
        metrics: ProcessMetrics,
        checks: Mapping[str, Check],
        *,
        dead: Callable[[], list[str]] = list,
        check_seconds: float = CHECK_SECONDS,
        arrive_seconds: float = ARRIVE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """`checks` are what `/readyz` asks; `dead` names what can only be mended by another process, which fails `/healthz`."""
        self._connections = BoundedConnections(most=_CONNECTIONS, each=_EACH, peer=by_address, seconds=arrive_seconds)
        self._dead = dead
        self._metrics = metrics
        self._checks = dict(checks)
        self._check_seconds = check_seconds
        self._fresh_seconds = fresh_seconds
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
        if self._answer is None or (self._answer.done() and now - self._answered > self._fresh_seconds):
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
