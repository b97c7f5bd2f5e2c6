"""Who is served by what is measured, or said to be unknown; a health URL shows its status and its time, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from runbooks.clients.health import Health, HealthClient, valid
from runbooks.observe import serving
from runbooks.observe.serving import Served
from tests.support.real import Place

SECRET = "Bearer hunter2 of Maria Lopez"


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A service's health URL."""
    app = web.Application()
    app.router.add_get("/health", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/health?token=hunter2"
    finally:
        await runner.cleanup()


async def asked(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], deadline: float = 60.0) -> Health:
    async with answering(handler) as url, HealthClient(deadline=deadline) as client:
        return await client.ask(url)


@pytest.mark.parametrize(("status", "well"), [(200, True), (204, True), (404, False), (500, False), (503, False)])
async def test_the_status_and_the_time_are_measured(status: int, well: bool):
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=SECRET)

    found = await asked(answer)
    assert (found.status, found.well, found.why) == (status, well, "")
    assert found.seconds > 0


async def test_a_redirect_is_not_followed():
    async def answer(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    found = await asked(answer)
    assert found.status == 302
    assert not found.well
    served = Served(service="backend", through="backend", ready=3, asked=True, status=302, seconds=0.004)
    assert served.health == "health URL 302 (4 ms, not followed)"


async def test_an_answer_that_does_not_come_is_an_answer_too():
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    found = await asked(hang, deadline=0.2)
    assert (found.status, found.why) == (None, "no answer within 0.2 s")


async def test_a_body_without_an_end_is_not_waited_for():
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(SECRET.encode())
        await asyncio.Event().wait()
        return response

    found = await asked(endless)
    assert found.status == 200


async def test_nobody_there_is_said_without_the_address():
    async with HealthClient() as client:
        refused = await client.ask("http://127.0.0.1:9/health?token=hunter2")
        strange = await client.ask("file:///etc/passwd")
    assert (refused.status, refused.why) == (None, "connection refused")
    assert (strange.status, strange.why) == (None, "its URL is not http or https")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.example/health", True),
        ("http://backend.omnicare-prod.svc:3001/health", True),
        ("https://somebody:secret@api.example/health", False),
        ("ftp://api.example/health", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("api.example/health", False),
        ("http://[::1", False),
    ],
)
def test_which_addresses_may_be_asked(url: str, good: bool):
    assert valid(url) is good


def served(**measured: object) -> Served:
    return Served.model_validate({"service": "backend", "through": "backend"} | measured)


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        (
            {"ready": 3, "versions": {"v1.2.0": 3}, "asked": True, "status": 200, "seconds": 0.012},
            "v1.2.0 still serves backend: 3 ready endpoints, health URL 200 (12 ms).",
        ),
        ({"ready": 1, "versions": {"v2.0.0": 1}}, "v2.0.0 serves backend: 1 ready endpoint."),
        (
            {"ready": 3, "versions": {"v1.2.0": 2, "v2.0.0": 1}},
            "v1.2.0 (2) and v2.0.0 (1) serve backend: 3 ready endpoints.",
        ),
        (
            {"ready": 0, "asked": True, "no_answer": "connection refused"},
            "Nothing serves backend: Service backend has no ready endpoints, health URL: connection refused.",
        ),
        (
            {"why": "there is no Kubernetes Service backend", "asked": True, "status": 503, "seconds": 0.1},
            "Could not measure who serves backend: there is no Kubernetes Service backend, health URL 503 (100 ms).",
        ),
        ({"ready": 2}, "backend is served: 2 ready endpoints of Service backend."),
    ],
)
def test_it_is_told_in_one_sentence(measured: dict[str, object], sentence: str):
    assert served(**measured).sentence(before="v1.2.0") == sentence


async def service_in(here: Place, name: str, **selector: str) -> None:
    body = {"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 3001}]}}
    await here.create(f"/api/v1/namespaces/{here.namespace}/services", body)


async def settled(here: Place, name: str, ready: int) -> None:
    """The endpoints controller has seen the pods."""
    async with asyncio.timeout(60):
        while len((await here.cluster.endpoints(here.namespace, name)).ready) != ready:  # noqa: ASYNC110 - a test's own
            await asyncio.sleep(0.05)


async def test_ready_endpoints_and_the_version_behind_them_are_measured(here: Place):
    await asyncio.gather(here.deploy("backend"), service_in(here, "api", app="backend"))
    await settled(here, "api", 2)
    backend = here.environment.services[0].model_copy(update={"kubernetes_service": "api"})
    here.environment = here.environment.model_copy(update={"services": (backend, here.environment.services[1])})
    async with HealthClient() as health, asyncio.timeout(60):
        while (found := await serving.measure(here.cluster, health, here.environment))[0].ready is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # a busy control plane may have answered too late
    assert [each.sentence(before="v1.2.0") for each in found] == [
        "v1.2.0 still serves backend: 2 ready endpoints.",
        "Could not measure who serves frontend: there is no Kubernetes Service frontend.",
    ]
    assert [each.well for each in found] == [True, False]


async def test_a_service_that_selects_nothing_serves_nobody(here: Place):
    await service_in(here, "backend", app="somebody-else")
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    async with HealthClient() as health, asyncio.timeout(60):
        while (found := (await serving.measure(here.cluster, health, here.environment))[0]).ready is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert found.sentence() == "Nothing serves backend: Service backend has no ready endpoints."
