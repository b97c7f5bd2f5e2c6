"""Logging in to registries: both schemes, Amazon's tokens, and that a login goes to nobody else."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth, web

from runbooks.clients.image_registry.ecr import EcrLogins
from runbooks.clients.image_registry.logins import RegistryLogins
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.redaction.redactor import Redactor
from sandbox.outside.registry import Registry, digest_of

BACKEND = "ghcr.io/omnicare/backend"
USER, PASSWORD = "reader", "s3cr3t-of-the-registry"
BASIC = encode_basic_auth(USER, PASSWORD)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def logins(path: Path, *urls: str) -> RegistryLogins:
    auth = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    path.write_text(json.dumps({"auths": dict.fromkeys(urls, auth)}), encoding="utf-8")
    return RegistryLogins(path, Redactor())


@asynccontextmanager
async def asking(url: str, path: Path, *, known: bool = True) -> AsyncIterator[RegistryClient]:
    found = logins(path, url) if known else None
    async with RegistryClient({"ghcr.io": url}, plain_http=True, logins=found, deadline=60) as client:
        yield client


def wants(*said: str, status: int = 401) -> web.Response:
    answer = web.Response(status=status)
    for each in said:
        answer.headers.add("WWW-Authenticate", each)
    return answer


class Misbehaving:
    """A registry with a token service, both of which answer as a test says; it keeps who showed what."""

    def __init__(self, challenge: str | tuple[str, ...], token: Callable[[], web.Response] | None = None) -> None:
        self.challenge = (challenge,) if isinstance(challenge, str) else challenge
        self.token = token or (lambda: web.json_response({"token": "t0ken"}))
        self.shown: list[tuple[str, str | None]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        shown = request.headers.get("Authorization")
        self.shown.append((request.path, shown))
        if request.path == "/token":
            return self.token()
        if shown in ("Bearer t0ken", BASIC):
            return web.json_response({"tags": ["v1.0.0"]})
        return wants(*(each.replace("{url}", self.url) for each in self.challenge))

    @asynccontextmanager
    async def client(self, path: Path, *, known: bool = True) -> AsyncIterator[RegistryClient]:
        async with serving(self.answer) as self.url, asking(self.url, path, known=known) as client:
            yield client


TOKEN = 'Bearer realm="{url}/token",service="registry",scope="repository:omnicare/backend:pull"'


async def test_a_registry_that_takes_the_password_itself_is_read(tmp_path: Path):
    served = Registry(login=(USER, PASSWORD), basic=True)
    async with served.serve() as url, asking(url, tmp_path / "config.json") as client:
        assert await client.resolve(BACKEND, "v2.0.0") == digest_of("backend", "v2.0.0")
        assert "v2.0.0" in await client.tags(BACKEND)


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="registry"',
        "basic realm=registry",
        "Basic",
        'Negotiate, Basic realm="a, \\"b\\" = Bearer c"',
        'Digest realm="x", nonce="y", Basic realm="z"',
        ("Negotiate YII=", 'Basic realm="z"'),
        'NTLM TlRMTVNTUAAB==, Basic realm="z"',
    ],
)
async def test_basic_is_found_among_what_is_offered(tmp_path: Path, challenge: str | tuple[str, ...]):
    registry = Misbehaving(challenge)
    async with registry.client(tmp_path / "config.json") as client:
        assert await client.tags(BACKEND) == ["v1.0.0"]


@pytest.mark.parametrize(
    "challenge",
    [
        ('Basic realm="registry"', TOKEN),
        (TOKEN, 'Basic realm="registry"'),
        f'Basic realm="registry", {TOKEN}',
        'bearer Realm="{url}/token" , SERVICE=registry',
        "Bearer realm={url}/token,service=registry",
    ],
)
async def test_a_token_is_asked_for_wherever_among_the_challenges_it_is_offered(
    tmp_path: Path, challenge: str | tuple[str, ...]
):
    registry = Misbehaving(challenge)
    async with registry.client(tmp_path / "config.json") as client:
        assert await client.tags(BACKEND) == ["v1.0.0"]
    assert ("/token", BASIC) in registry.shown


async def test_a_realm_that_is_a_url_under_basic_is_no_token_service(tmp_path: Path):
    registry = Misbehaving('Basic realm="{url}/token",service="ecr.amazonaws.com"')
    async with registry.client(tmp_path / "config.json") as client:
        assert await client.tags(BACKEND) == ["v1.0.0"]
    assert "/token" not in {path for path, _ in registry.shown}


async def test_a_password_that_the_registry_refuses_is_told_as_refused(tmp_path: Path):
    async def refuses(_: web.Request) -> web.Response:
        return wants('Basic realm="x"')

    async with serving(refuses) as url, asking(url, tmp_path / "config.json") as client:
        with pytest.raises(PermanentError, match="denies the bot access") as caught:
            await client.tags(BACKEND)
    assert "was rejected" in caught.value.advice[0]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_service_that_says_no_is_a_refusal(tmp_path: Path, status: int):
    registry = Misbehaving(TOKEN, lambda: web.Response(status=status))
    async with registry.client(tmp_path / "config.json") as client:
        with pytest.raises(PermanentError, match="denies the bot access") as caught:
            await client.tags(BACKEND)
    assert "was rejected" in caught.value.advice[0]


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (None, 2, 2),
        ("7", 7, 7),
        ("0", 0, 0),
        ("date", 30, 60),
        ("²", 2, 2),
        ("٣", 2, 2),
        ("-1", 2, 2),
        ("nan", 2, 2),
        ("9" * 400, 2, 2),
        ("999999999", 300, 300),
    ],
)
async def test_a_token_service_that_is_busy_or_broken_is_asked_again_when_it_says(
    tmp_path: Path, status: int, asked: str | None, least: float, most: float
):
    said = in_seconds(60) if asked == "date" else asked
    busy = web.Response(status=status, headers={"Retry-After": said} if said is not None else {})
    registry = Misbehaving(TOKEN, lambda: busy)
    async with registry.client(tmp_path / "config.json") as client:
        with pytest.raises(TemporaryError, match=f"token service answered {status}") as caught:
            await client.tags(BACKEND)
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize(
    "said", [b"", b"no", b"[]", b'{"token": 7}', b'{"token": "a\\nX: y"}', b'{"token": ""}', b"[" * 200_000]
)
async def test_a_token_that_can_t_be_read_is_told_as_such(tmp_path: Path, said: bytes):
    registry = Misbehaving(TOKEN, lambda: web.Response(body=said))
    async with registry.client(tmp_path / "config.json") as client:
        with pytest.raises(PermanentError, match="can't be read"):
            await client.tags(BACKEND)


async def test_a_token_that_ended_is_asked_for_anew(tmp_path: Path):
    given = iter(["old", "t0ken"])
    registry = Misbehaving(TOKEN, lambda: web.json_response({"token": next(given)}))
    async with registry.client(tmp_path / "config.json") as client:
        with pytest.raises(PermanentError, match="denies"):
            await client.tags(BACKEND)
        assert await client.tags(BACKEND) == ["v1.0.0"]


@pytest.mark.parametrize("challenge", ['Bearer realm="{url}/token"', 'Basic realm="x"'])
async def test_a_redirect_to_another_host_carries_no_login_and_is_no_reason_to_log_in(tmp_path: Path, challenge: str):
    elsewhere = Misbehaving(challenge)
    async with serving(elsewhere.answer) as elsewhere.url:

        async def moves(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{elsewhere.url}{request.path}"})

        async with serving(moves) as url, asking(url, tmp_path / "config.json") as client:
            with pytest.raises(PermanentError, match="denies the bot access"):
                await client.tags(BACKEND)
    assert elsewhere.shown
    assert {shown for _, shown in elsewhere.shown} == {None}


@pytest.mark.parametrize("scheme", [TOKEN, 'Basic realm="x"'])
async def test_a_blob_behind_a_redirect_is_read_without_the_login(tmp_path: Path, scheme: str):
    store = Misbehaving(scheme)

    async def stores(request: web.Request) -> web.Response:
        store.shown.append((request.path, request.headers.get("Authorization")))
        return web.json_response({"created": "2026-01-02T03:04:05Z"})

    async with serving(stores) as elsewhere:

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/token":
                return web.json_response({"token": "t0ken"})
            if request.headers.get("Authorization") not in ("Bearer t0ken", BASIC):
                return wants(scheme.replace("{url}", str(request.url.origin())))
            if "/blobs/" in request.path:
                return web.Response(status=307, headers={"Location": f"{elsewhere}/blob?sig=1"})
            return web.json_response({"config": {"digest": "sha256:" + "1" * 64}})

        async with serving(answer) as url, asking(url, tmp_path / "config.json") as client:
            created = await client.created(BACKEND, "v2.0.0")
    assert created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert store.shown == [("/blob", None)]


async def test_a_token_service_that_redirects_is_not_followed(tmp_path: Path):
    elsewhere = Misbehaving(TOKEN)
    async with serving(elsewhere.answer) as there:
        registry = Misbehaving(TOKEN, lambda: web.Response(status=302, headers={"Location": f"{there}/token"}))
        async with registry.client(tmp_path / "config.json") as client:
            with pytest.raises(PermanentError, match="token service answered 302"):
                await client.tags(BACKEND)
    assert not elsewhere.shown


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user:word@127.0.0.1:9/", "http://[::1", "//", "gopher://x", "/again"]
)
async def test_a_redirect_to_what_is_no_address_or_in_a_circle_ends(tmp_path: Path, location: str):
    async def moves(_: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": location})

    async with serving(moves) as url, asking(url, tmp_path / "config.json") as client:
        with pytest.raises(PermanentError, match="redirect"):
            await client.tags(BACKEND)


async def test_a_next_page_at_another_host_is_never_asked(tmp_path: Path):
    elsewhere = Misbehaving('Basic realm="x"')
    async with serving(elsewhere.answer) as there:

        async def points_away(_: web.Request) -> web.Response:
            return web.json_response({"tags": ["v1.0.0"]}, headers={"Link": f'<{there}/v2/x>; rel="next"'})

        async with serving(points_away) as url, asking(url, tmp_path / "config.json") as client:
            assert await client.tags(BACKEND) == ["v1.0.0"]
    assert not elsewhere.shown


@pytest.mark.parametrize("link", ['<http://[::1>; rel="next"', "<>;rel=next", '<//x:y/>; rel="next"', "<" * 9000])
async def test_a_next_page_that_is_no_address_ends_the_list(tmp_path: Path, link: str):
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"tags": ["v1.0.0"]}, headers={"Link": link[:8000]})

    async with serving(answer) as url, asking(url, tmp_path / "config.json") as client:
        assert await client.tags(BACKEND) == ["v1.0.0"]


async def test_a_list_over_many_pages_is_read_whole_and_in_a_circle_only_once(tmp_path: Path):
    pages = 120

    async def answer(request: web.Request) -> web.Response:
        page = int(request.query.get("page", "0"))
        after = (page + 1) % pages  # the last one leads back to the first
        link = f'<{request.path}?page={after}>; rel="next"'
        return web.json_response({"tags": [f"v{page}.0.{each}" for each in range(10)]}, headers={"Link": link})

    async with serving(answer) as url, asking(url, tmp_path / "config.json") as client:
        assert len(await client.tags(BACKEND)) == pages * 10
        assert (await client.versions(BACKEND))[0] == "v119.0.9"


@pytest.mark.parametrize("year", [1, 1970, 1980, 2999])
async def test_a_reproducible_build_s_date_is_no_age_and_versions_are_listed_by_number(year: int):
    served = Registry()
    for version in ("v3.0.0", "v2.5.0"):
        served.publish("backend", version, datetime(year, 1, 2, tzinfo=UTC))
    async with served.serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        assert await client.created(BACKEND, "v3.0.0") is None
        newest = await client.newest(BACKEND, 4)
    assert [each.tag for each in newest[:2]] == ["v3.0.0", "v2.5.0"]
    assert all(each.created is None or each.created.year > 2013 for each in newest)


async def test_what_is_no_version_is_not_offered_as_one():
    async def answer(request: web.Request) -> web.Response:
        tags = ["latest", "sha256-" + "1" * 64 + ".sig", "v1.0.0", "release-7", "release-10", "sha-1234567"]
        return web.json_response({"tags": tags}) if "/tags/" in request.path else web.Response(status=404)

    async with serving(answer) as url:
        async with RegistryClient({"ghcr.io": url}, plain_http=True) as client:
            assert await client.versions(BACKEND) == ["v1.0.0"]
        async with RegistryClient({"ghcr.io": url}, plain_http=True, versions="release-[0-9]+") as client:
            assert [each.tag for each in await client.newest(BACKEND, 9)] == ["release-10", "release-7"]


class Ecr:
    """Amazon's API for a token, as far as the bot asks it."""

    def __init__(self, *, lasts: timedelta = timedelta(hours=12)) -> None:
        self.given = 0
        self.lasts = lasts
        self.refuses: tuple[int, str] | None = None
        self.clock = datetime(2026, 11, 29, tzinfo=UTC)

    @property
    def password(self) -> str:
        return f"ecr-token-{self.given}"

    async def answer(self, _: web.Request) -> web.Response:
        if self.refuses is not None:
            status, word = self.refuses
            return web.json_response({"__type": word, "message": "hunter2"}, status=status)
        self.given += 1
        token = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        ends = (self.clock + self.lasts).timestamp()
        return web.json_response({"authorizationData": [{"authorizationToken": token, "expiresAt": ends}]})


@asynccontextmanager
async def amazon(ecr: Ecr, host: str, redactor: Redactor | None = None) -> AsyncIterator[EcrLogins]:
    async with serving(ecr.answer) as endpoint:
        yield EcrLogins([host], redactor or Redactor(), endpoint=endpoint, clock=lambda: ecr.clock, throw_away=True)


HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


async def test_amazon_s_token_is_kept_and_asked_for_again_before_it_ends():
    ecr, redactor = Ecr(), Redactor()
    async with amazon(ecr, HOST, redactor) as found:
        assert (await found.of(HOST)).password == "ecr-token-1"
        ecr.clock += timedelta(hours=11)
        assert (await found.of(HOST)).password == "ecr-token-1"
        ecr.clock += timedelta(minutes=31)
        login = await found.of(HOST)
    assert (login.user, login.password) == ("AWS", "ecr-token-2")
    assert "ecr-token-2" not in redactor.text("ecr said ecr-token-2")
    assert "ecr-token" not in repr(login)


async def test_amazon_s_registry_is_read_with_a_token_of_the_bot_s_own_role(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    ecr = Ecr()
    served = Registry(login=("AWS", "ecr-token-1"), basic=True)
    async with (
        served.serve() as url,
        amazon(ecr, url.removeprefix("http://")) as found,
        RegistryClient({"ghcr.io": url}, plain_http=True, ecr=found) as client,
    ):
        assert await client.resolve(BACKEND, "v2.0.0") == digest_of("backend", "v2.0.0")
        served.login = ("AWS", "ecr-token-2")  # revoked: the one that is kept is refused
        assert await client.resolve(BACKEND, "v2.0.0") == digest_of("backend", "v2.0.0")
        served.login = ("AWS", "another")
        with pytest.raises(PermanentError, match="denies the bot access") as caught:
            await client.resolve(BACKEND, "v2.0.0")
    assert "ecr:BatchGetImage" in caught.value.advice[0]


@pytest.mark.parametrize(
    ("refuses", "kind", "words"),
    [
        ((400, "AccessDeniedException"), PermanentError, "denied the bot a token"),
        ((400, "ThrottlingException"), TemporaryError, "right now"),
        ((500, "ServerException"), TemporaryError, "right now"),
    ],
)
async def test_amazon_s_refusal_and_failure_are_told_apart(refuses: tuple[int, str], kind: type[Exception], words: str):
    ecr = Ecr()
    ecr.refuses = refuses
    async with amazon(ecr, HOST) as found:
        with pytest.raises(kind, match=words) as caught:
            await found.of(HOST)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [{}, {"authorizationData": []}, {"authorizationData": [{"authorizationToken": "%"}]}]
)
async def test_an_answer_of_amazon_s_without_a_token_is_told_as_such(answer: dict[str, object]):
    async def says(_: web.Request) -> web.Response:
        return web.json_response(answer)

    async with serving(says) as endpoint:
        found = EcrLogins([HOST], Redactor(), endpoint=endpoint, throw_away=True)
        with pytest.raises(PermanentError, match="can't be read"):
            await found.of(HOST)


async def test_a_registry_that_is_not_named_as_amazon_s_sees_no_token(tmp_path: Path):
    ecr = Ecr()
    registry = Misbehaving('Basic realm="x"')
    async with (
        amazon(ecr, HOST) as found,
        serving(registry.answer) as url,
        RegistryClient({"ghcr.io": url}, plain_http=True, ecr=found) as client,
    ):
        with pytest.raises(PermanentError, match="denies"):
            await client.tags(BACKEND)
    assert ecr.given == 0
