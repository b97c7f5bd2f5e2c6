"""The registry speaks the OCI distribution API: tags by pages, manifests by tag and digest, and its own errors."""

import hashlib
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from sandbox.outside.registry import VERSIONS, Registry, digest_of

NAME = "omnicare/backend"


@pytest.fixture
async def registry():
    registry = Registry()
    async with registry.serve() as url, aiohttp.ClientSession(url) as session:
        registry.session = session
        yield registry


async def test_tags_come_in_pages_that_lead_to_each_other(registry):
    seen, path, pages = [], f"/v2/{NAME}/tags/list?n=4", 0
    while path:
        async with registry.session.get(path) as answer:
            page = await answer.json()
            path = str(answer.links["next"]["url"].relative()) if "next" in answer.links else ""
        seen += page["tags"]
        pages += 1
    assert pages == -(-len(seen) // 4) > 2
    assert seen == sorted(VERSIONS)


async def test_a_manifest_is_the_bytes_of_its_digest_by_tag_and_by_digest(registry):
    async with registry.session.get(f"/v2/{NAME}/manifests/v2.0.0") as answer:
        body, digest = await answer.read(), answer.headers["Docker-Content-Digest"]
    assert digest == digest_of("backend", "v2.0.0") == "sha256:" + hashlib.sha256(body).hexdigest()
    async with registry.session.get(f"/v2/{NAME}/manifests/{digest}") as answer:
        assert await answer.read() == body
    async with registry.session.head(f"/v2/{NAME}/manifests/v2.0.0") as answer:
        assert (answer.status, answer.headers["Docker-Content-Digest"], await answer.read()) == (200, digest, b"")
    assert digest_of("backend", "v2.0.0") != digest_of("frontend", "v2.0.0")


async def test_what_is_not_there_is_named(registry):
    async with registry.session.get(f"/v2/{NAME}/manifests/v9.9.9") as answer:
        assert (answer.status, (await answer.json())["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
    async with registry.session.get("/v2/omnicare/nothing/tags/list") as answer:
        assert (answer.status, (await answer.json())["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    registry.forget("backend", "v2.0.0")
    async with registry.session.get(f"/v2/{NAME}/manifests/v2.0.0") as answer:
        assert answer.status == 404


async def test_a_configuration_says_when_the_image_was_made(registry):
    async with registry.session.get(f"/v2/{NAME}/manifests/v2.0.0") as answer:
        config = (await answer.json(content_type=None))["config"]["digest"]
    async with registry.session.get(f"/v2/{NAME}/blobs/{config}") as answer:
        made = datetime.fromisoformat((await answer.json(content_type=None))["created"])
    assert timedelta(hours=1, minutes=59) < datetime.now(UTC) - made < timedelta(hours=2, minutes=5)


async def test_with_a_handshake_a_token_is_wanted_and_given():
    registry = Registry(handshake=True)
    async with registry.serve() as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/v2/{NAME}/manifests/v2.0.0") as answer:
            assert answer.status == 401
            challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer realm="{url}/token"')
        assert f'scope="repository:{NAME}:pull"' in challenge
        async with session.get(f"{url}/token") as answer:
            token = (await answer.json())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{url}/v2/{NAME}/manifests/v2.0.0", headers=headers) as answer:
            assert answer.status == 200
