"""TLS, and a single server without cluster mode: against a real Redis where one is installed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbooks.cache.caches import Cache
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from sandbox.cache import CacheCluster
from sandbox.cluster.certificates import self_signed
from sandbox.ports import free_ports
from tests.support.caches import cache, installed


@dataclass(frozen=True)
class Served:
    address: str
    authorities: Path


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    if not installed():
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    made, (port,) = self_signed(), free_ports(1)
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_text(made.certificate)
    key.write_text(made.key)
    process = await asyncio.create_subprocess_exec(
        "redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path),
        "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate),
        "--tls-auth-clients", "no",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await retried(lambda: _listening(port), seconds=60)
        yield Served(f"127.0.0.1:{port}", certificate)
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise TemporaryError("not yet", code=ReasonCode.CACHE_UNREACHABLE, retry_after=0.05) from error
    writer.close()


async def _why(asked: Cache) -> str:
    (node,) = (await asked.look(twice=False))[""].nodes
    return node.error.message.partition(" ")[2] if node.error is not None else ""


async def test_a_certificate_is_checked_and_each_way_of_not_matching_is_a_sentence(served: Served) -> None:
    trusting = cache(served.address, tls="verify-full", root_certificate=served.authorities)
    reading = (await trusting.look())[""]
    (node,) = reading.nodes
    assert node.error is None
    assert (node.primary, reading.shards, node.name) == (True, 0, f"primary {served.address}")
    assert node.facts is not None
    assert node.facts.most_memory == 0, "no limit"
    assert "its certificate can't be verified (self-signed certificate)." in await _why(
        cache(served.address, tls="verify-full")
    )
    assert "can't be read" in await _why(cache(served.address, tls="verify-full", root_certificate="/nowhere/ca.pem"))
    assert await _why(cache(served.address)) in ("ended the connection.", "does not speak the Redis protocol.")


async def test_a_server_without_tls_is_named_as_that() -> None:
    async with CacheCluster().serve() as cluster:
        said = await _why(cache(cluster.addresses[0], tls="verify-full"))
    assert said in ("does not speak TLS, or not the bot's version of it.", "ended the connection.")
