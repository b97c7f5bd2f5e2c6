"""The registry client against real servers: the sandbox's registry, and one that misbehaves."""

import base64
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from runbooks.clients.image_registry.logins import RegistryLogins
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.versions import version_order
from runbooks.redaction.redactor import Redactor
from sandbox.outside.registry import Registry, digest_of
from tests.support.registries import answering

BACKEND = "ghcr.io/omnicare/backend"


@pytest.fixture(params=[False, True], ids=["open", "handshake"])
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[RegistryClient]:
    served = Registry(handshake=request.param)
    async with served.serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        yield client


async def test_a_tag_is_resolved_to_the_digest_of_its_manifest(registry: RegistryClient):
    assert await registry.resolve(BACKEND, "v2.0.0") == digest_of("backend", "v2.0.0")


async def test_the_newest_versions_come_first_with_their_age(registry: RegistryClient):
    newest = await registry.newest(BACKEND, 3)
    ages = [each.created for each in newest if each.created is not None]
    assert newest[0].tag == "v2.0.0"
    assert len(ages) == 3
    assert ages == sorted(ages, reverse=True)


@pytest.mark.parametrize("tag", ["v9.9.9", "../../tags/list", "", "v1?n=1"])
async def test_a_version_that_no_image_has_is_told_as_such(registry: RegistryClient, tag: str):
    with pytest.raises(PermanentError) as caught:
        await registry.resolve(BACKEND, tag)
    assert caught.value.code is ReasonCode.NO_SUCH_VERSION


@pytest.mark.parametrize("body", ["<html>a proxy's page</html>", '{"errors": []}', "[]", ""])
async def test_what_is_no_manifest_gets_no_digest(body: str):
    """Its hash would be pinned as the release's digest."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with answering(answer) as client:
        with pytest.raises(TemporaryError) as raised:
            await client.resolve(BACKEND, "v2.0.0")
    assert raised.value.code is ReasonCode.REGISTRY_UNREACHABLE


async def test_a_manifest_that_is_not_what_its_digest_says_is_refused():
    async def lies(_: web.Request) -> web.Response:
        return web.json_response({"config": {}}, headers={"Docker-Content-Digest": "sha256:" + "0" * 64})

    async with answering(lies) as registry:
        with pytest.raises(PermanentError) as caught:
            await registry.resolve(BACKEND, "v2.0.0")
    assert caught.value.code is ReasonCode.REGISTRY_UNREACHABLE


async def test_an_index_is_resolved_as_the_index_and_dated_by_one_of_its_images():
    image = "sha256:" + "1" * 64

    async def serves(request: web.Request) -> web.Response:
        if request.path.endswith("/manifests/v2.0.0"):
            return web.json_response({"manifests": [{"digest": image}]})
        if request.path.endswith(f"/manifests/{image}"):
            return web.json_response({"config": {"digest": "sha256:" + "2" * 64}})
        return web.json_response({"created": "2026-01-02T03:04:05.123456789Z"})

    async with answering(serves) as registry:
        created = await registry.created(BACKEND, "v2.0.0")
    assert created is not None
    assert created.isoformat(timespec="seconds") == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("²", 2), ("9" * 400, 2)])
async def test_a_registry_that_says_later_is_temporary_and_says_when(said: str, seconds: float):
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": said})

    async with answering(busy) as registry:
        with pytest.raises(TemporaryError) as caught:
            await registry.tags(BACKEND)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("body", [b'{"tags": ' + b"[" * 200_000, b"[" * 200_000, b'{"tags": ["v1.0.0", 1e999]}'])
async def test_a_list_of_tags_that_can_t_be_read_is_temporary(body: bytes):
    async def nested(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with answering(nested) as registry:
        with pytest.raises(TemporaryError) as caught:
            await registry.tags(BACKEND)
    assert caught.value.code is ReasonCode.REGISTRY_UNREACHABLE


async def test_an_endless_answer_is_not_read_to_its_end():
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(200):
            await answer.write(b"x" * 65536)
        return answer

    async with answering(endless) as registry:
        with pytest.raises(PermanentError) as caught:
            await registry.tags(BACKEND)
    assert "too large" in caught.value.message


async def test_a_page_on_another_host_is_not_followed():
    async def points_away(_: web.Request) -> web.Response:
        return web.json_response({"tags": ["v1.0.0"]}, headers={"Link": '<http://127.0.0.1:9/v2/x>; rel="next"'})

    async with answering(points_away) as registry:
        assert await registry.tags(BACKEND) == ["v1.0.0"]


async def test_nobody_there_is_temporary():
    async with RegistryClient({"ghcr.io": "http://127.0.0.1:9"}, plain_http=True) as registry:
        with pytest.raises(TemporaryError) as caught:
            await registry.resolve(BACKEND, "v2.0.0")
    assert caught.value.code is ReasonCode.REGISTRY_UNREACHABLE


def test_plain_http_is_refused_unless_the_configuration_says_so():
    with pytest.raises(ValueError, match="https"):
        RegistryClient({"ghcr.io": "http://127.0.0.1:5000"})


def test_versions_sort_by_number():
    sorted_tags = [
        "latest", "v1.9.0", "v1.10.0", "v2.0.0-rc2", "v2.0.0-rc10", "v2.0.0", "v2.0.0-3-gabc1234", "v2.0.1", "10.0.0",
    ]  # fmt: skip
    assert sorted(set(sorted_tags), key=version_order) == sorted_tags


def login_file(path: Path, **auths: object) -> Path:
    path.write_text(json.dumps({"auths": auths}), encoding="utf-8")
    return path


def encoded(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@asynccontextmanager
async def private(path: Path, key: str | None = "{host}") -> AsyncIterator[tuple[RegistryClient, str]]:
    """The client, and the host that the registry is at; the file holds a login under `key`."""
    served = Registry(login=("reader", "s3cr3t-of-the-registry"))
    async with served.serve() as url:
        host = url.removeprefix("http://")
        keys = {"other": {}} if key is None else {key.format(host=host): encoded("reader", "s3cr3t-of-the-registry")}
        logins = RegistryLogins(login_file(path, **keys), Redactor())
        async with RegistryClient({"ghcr.io": url}, plain_http=True, logins=logins) as client:
            yield client, host


@pytest.mark.parametrize("key", ["{host}", "http://{host}", "http://{host}/v2/"])
async def test_a_private_registry_is_read_with_the_login_of_docker_s_file(tmp_path: Path, key: str):
    async with private(tmp_path / "config.json", key) as (client, _):
        assert await client.resolve(BACKEND, "v2.0.0") == digest_of("backend", "v2.0.0")


@pytest.mark.parametrize("key", [None, "elsewhere.example", "ghcr.io"])
async def test_without_a_login_for_the_host_that_is_asked_a_private_registry_is_told_as_such(
    tmp_path: Path, key: str | None
):
    async with private(tmp_path / "config.json", key) as (client, host):
        with pytest.raises(PermanentError, match="denies the bot access to ghcr") as caught:
            await client.resolve(BACKEND, "v2.0.0")
    assert f"Set `bot.registry_auth` to a file with a login for {host}" in caught.value.advice[0]


async def test_a_rotated_password_needs_no_restart(tmp_path: Path):
    path = tmp_path / "config.json"
    async with private(path) as (client, host):
        login_file(path, **{host: encoded("reader", "an-older-one")})
        with pytest.raises(PermanentError) as caught:
            await client.resolve(BACKEND, "v2.0.0")
        assert "was rejected" in caught.value.advice[0]
        login_file(path, **{host: encoded("reader", "s3cr3t-of-the-registry")})
        assert await client.resolve(BACKEND, "v2.0.0")


async def test_what_is_read_never_leaves(tmp_path: Path):
    redactor = Redactor()
    path = login_file(tmp_path / "config.json", **{"ghcr.io": encoded("reader", "s3cr3t-of-the-registry")})
    login = RegistryLogins(path, redactor).of("ghcr.io")
    assert "s3cr3t" not in repr(login)
    assert "s3cr3t" not in redactor.text("the registry said: s3cr3t-of-the-registry")


@pytest.mark.parametrize("said", ["", "no json hunter2", "[]", '{"auths": "hunter2"}', '{"auths": []}'])
def test_a_file_that_is_no_login_file_is_named_without_its_words(tmp_path: Path, said: str):
    path = tmp_path / "config.json"
    path.write_text(said, encoding="utf-8")
    with pytest.raises(PermanentError, match="can't be used") as caught:
        RegistryLogins(path, Redactor()).of("ghcr.io")
    told = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in told


def test_a_missing_file_and_a_half_login_are_no_login(tmp_path: Path):
    with pytest.raises(PermanentError, match="FileNotFoundError"):
        RegistryLogins(tmp_path / "nothing.json", Redactor()).of("ghcr.io")
    odd = {"a": {"auth": "%%%"}, "b": {"auth": base64.b64encode(b"only").decode()}, "c": 3, "d": {"username": "x"}}
    assert RegistryLogins(login_file(tmp_path / "config.json", **odd), Redactor()).read() == {}


async def test_what_is_no_tag_is_no_version_to_choose():
    """What a registry says becomes a button's command further on."""
    said = ["v2.0.0", "v9.9.9 --env production", "v9.9.9\n", "", "x" * 129, 7, None, {"v": 1}, "<!channel>"]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": said}) if "/tags/" in request.path else web.Response(status=404)

    async with answering(answer) as client:
        assert await client.tags(BACKEND) == ["v2.0.0"]
