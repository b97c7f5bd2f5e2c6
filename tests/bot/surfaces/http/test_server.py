"""The bot's HTTP side: alive, ready, figures."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from bot.process.metrics import ProcessMetrics
from bot.surfaces.http.server import Check, Web
from tests.support.crowds import silent


async def fine() -> str | None:
    return None


async def stale() -> str | None:
    return "no ping from Slack for 40 s"


async def broken() -> str | None:
    raise RuntimeError("hunter2")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


@contextlib.asynccontextmanager
async def serving(
    checks: Mapping[str, Check], metrics: ProcessMetrics | None = None, **more: Any
) -> AsyncIterator[str]:
    web = Web(metrics or ProcessMetrics(), checks, **({"check_seconds": 60.0} | more))
    port = await web.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await web.stop()


async def asked(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_it_is_alive_even_where_it_is_not_ready() -> None:
    async with serving({"slack": stale}) as address:
        assert (await asked(f"{address}/healthz"))[0] == 200
        assert (await asked(f"{address}/readyz"))[0] == 503


async def test_it_is_ready_where_everything_holds() -> None:
    async with serving({"slack": fine, "book": fine}) as address:
        status, text = await asked(f"{address}/readyz")
    assert status == 200
    assert '"ready": true' in text


async def test_what_is_not_ready_is_named_and_a_check_that_breaks_or_hangs_takes_no_other_with_it() -> None:
    checks = {"slack": stale, "book": broken, "engine": hanging, "cluster": fine}
    async with serving(checks, check_seconds=0.2) as address:
        status, text = await asked(f"{address}/readyz")
    assert status == 503
    assert "no ping from Slack for 40 s" in text
    assert "RuntimeError" in text
    assert "hunter2" not in text
    assert "no answer within 0.2 s" in text
    assert '"cluster": "ok"' in text


async def test_who_asks_at_the_same_time_or_soon_after_gets_the_same_answer_and_the_cluster_is_asked_once() -> None:
    looked = 0

    async def look() -> str | None:
        nonlocal looked
        looked += 1
        await asyncio.sleep(0.05)
        return None

    async with serving({"cluster": look}, fresh_seconds=600.0) as address:
        answers = await asyncio.gather(*(asked(f"{address}/readyz") for _ in range(20)))
        answers += [await asked(f"{address}/readyz")]
    assert looked == 1
    async with serving({"cluster": look}, fresh_seconds=0.0) as address:
        answers += [await asked(f"{address}/readyz") for _ in range(2)]
    assert looked == 3, "it does not count for long"
    assert {status for status, _ in answers} == {200}


def to(address: str) -> Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    return lambda: asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-a: ",
        b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    ],
)
async def test_probes_are_answered_however_many_connections_stop_halfway(half: bytes) -> None:
    async with serving({}, arrive_seconds=600.0) as address, silent(300, to(address), half, kept=64):
        for _ in range(3):
            assert (await asked(f"{address}/healthz"))[0] == 200
            assert (await asked(f"{address}/readyz"))[0] == 200


async def test_probes_are_answered_however_many_addresses_wait_for_a_slow_answer() -> None:
    web = Web(ProcessMetrics(), {"slow": hanging}, check_seconds=600.0, arrive_seconds=600.0)
    port = await web.start("127.0.0.1", 0)
    opened = []

    async def ask(address: str, path: str) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        opened.append(writer)
        return reader

    for number in range(96):
        await ask(f"127.0.0.{2 + number % 3}", "/readyz")
    async with asyncio.timeout(60):
        while len(held := web._connections._open.values()) < 64 or any(each.silent for each in held):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for _ in range(3):
            assert (await (await ask("127.0.0.9", "/healthz")).read()).startswith(b"HTTP/1.1 200")
    await web.stop()
    for writer in opened:
        writer.close()


@pytest.mark.parametrize(
    "half",
    [b"", b"GET /healthz HTTP/1.1\r\nX-a: ", b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123"],
)
async def test_a_request_that_does_not_arrive_whole_is_cut_off(half: bytes) -> None:
    async with serving({}, arrive_seconds=0.2) as address:
        reader, writer = await to(address)()
        writer.write(half)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "refused",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
    ids=["no such path", "no such method"],
)
async def test_a_connection_keeps_no_place_behind_an_answer_that_refuses(refused: bytes) -> None:
    async with serving({}, arrive_seconds=600.0) as address, asyncio.timeout(60):
        reader, writer = await to(address)()
        writer.write(refused)
        assert (await reader.read()).startswith(b"HTTP/1.1 40"), "the answer, and then the end"
        writer.close()


async def test_what_keeps_failing_in_the_background_ends_being_alive() -> None:
    dead: list[str] = []
    async with serving({}, dead=lambda: dead) as address:
        assert (await asked(f"{address}/healthz"))[0] == 200
        dead.append("Socket Mode connection 1")
        status, text = await asked(f"{address}/healthz")
    assert (status, json.loads(text)) == (503, {"alive": False, "failed": ["Socket Mode connection 1"]})


async def test_figures_are_counted_by_their_labels() -> None:
    metrics = ProcessMetrics()
    metrics.inbound("slack", "deploy", "OK")
    metrics.inbound("slack", None, "USAGE")
    metrics.acknowledged("slack", "query", 0.012)
    metrics.ended("production", "deploy", "succeeded")
    metrics.refused("own-request")
    metrics.appended(count=3)
    metrics.appended(failed=True)
    metrics.failed("Socket Mode connection 1")
    metrics.connections(lambda: 2)
    async with serving({}, metrics) as address:
        _status, text = await asked(f"{address}/metrics")
    for line in (
        'omnicare_deliveries_total{command="deploy",exit="OK",surface="slack"} 1.0',
        'omnicare_deliveries_total{command="unknown",exit="USAGE",surface="slack"} 1.0',
        'omnicare_acknowledgement_seconds_bucket{kind="query",le="0.02",surface="slack"} 1.0',
        'omnicare_runs_total{command="deploy",environment="production",reason_code="succeeded"} 1.0',
        'omnicare_refusals_total{reason_code="own-request"} 1.0',
        'omnicare_audit_appends_total{result="written"} 3.0',
        'omnicare_audit_appends_total{result="failed"} 1.0',
        "omnicare_socket_mode_connections 2.0",
        'omnicare_background_failures_total{task="Socket Mode connection 1"} 1.0',
    ):
        assert line in text
