"""What `doctor` says about the services' health URLs."""

import pytest
from aiohttp import web

from bot.doctor import outside
from bot.doctor.findings import Severity
from tests.bot.test_doctor import all_of, settings


@pytest.mark.parametrize(("status", "level"), [(200, Severity.FINE), (503, Severity.WARNING)])
async def test_a_health_url_is_asked_and_never_shown(status: int, level: Severity) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="hunter2")

    app = web.Application()
    app.router.add_get("/health", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/health?token=hunter2"
        service = {"name": "backend", "repository": "ghcr.io/omnicare/backend", "health_url": url}
        found = await all_of(outside.health(settings(environments__production__services=[service]), "production"))
    finally:
        await runner.cleanup()
    assert [finding.level for finding in found] == [level]
    assert f"answers {status} (" in found[0].sentence
    assert "hunter2" not in found[0].sentence


async def test_a_service_without_a_health_url_is_said() -> None:
    found = await all_of(outside.health(settings(), "production"))
    assert [finding.level for finding in found] == [Severity.WARNING]
    assert "health_url" in found[0].to_do
