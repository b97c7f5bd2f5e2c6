"""Requests to registries: both login schemes, redirects, and the errors for a registry's refusals and failures.

A login is sent to its own host and to the token service that this host named. A redirect drops it, wherever
it leads, and an answer after a redirect never triggers a login.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from runbooks.clients.image_registry.challenges import Challenge, address_of, challenges, origin
from runbooks.clients.image_registry.ecr import EcrLogins
from runbooks.clients.image_registry.logins import Login, RegistryLogins
from runbooks.kit.answers import read_bounded, read_object, read_wait
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import aiohttp  # imported where it is used: it takes a quarter of a second, too much for `omnicare help`

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_REDIRECTS = 5
_PAUSE = 2.0
"""Seconds before a failed request is retried, unless the registry says when."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}", re.ASCII)
_CODE = ReasonCode.REGISTRY_UNREACHABLE


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """A server's answer and its address."""

    status: int
    headers: Mapping[str, str]
    asked: tuple[str, ...]
    """All `WWW-Authenticate` headers."""
    body: bytes
    redirected: bool = False


class RegistryRequests:
    """A connection pool, and the tokens from registries."""

    def __init__(
        self, *, logins: RegistryLogins | None, ecr: EcrLogins | None, plain_http: bool, deadline: float
    ) -> None:
        self._logins = logins
        self._ecr = ecr
        self._plain_http = plain_http
        self._deadline = deadline
        self._tokens: dict[tuple[str, str], str] = {}
        self._by_password: set[tuple[str, str]] = set()
        """Repositories with the scheme Basic; their login is looked up each time, since it may have changed."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp  # importing this takes a fifth of a second, so it happens on first use

        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._deadline), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, what: str) -> RegistryResponse:
        """Return the registry's answer with status 200. `what` completes the error messages. Raises `RunbookError`."""
        answer = await self._authorized(url, what)
        if answer.status == HTTPStatus.UNAUTHORIZED and not answer.redirected and await self._log_in(url, answer, what):
            answer = await self._authorized(url, what)
        if answer.status == HTTPStatus.OK:
            return answer
        if answer.status == HTTPStatus.NOT_FOUND:
            raise PermanentError(f"There is no image {what}.", code=ReasonCode.NO_SUCH_VERSION)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._denied(url, what, known=not answer.redirected and await self._login(url) is not None)
        raise _failed(answer, "The registry", what)

    async def _authorized(self, url: str, what: str) -> RegistryResponse:
        """Send the request with the known authorization for the repository; follow redirects without it."""
        key = _repository_key(url)
        shown = None
        if (token := self._tokens.get(key)) is not None:
            shown = f"Bearer {token}"
        elif key in self._by_password and (login := await self._login(url)) is not None:
            shown = _basic(login)
        answer = await self._once(url, what, authorization=shown)
        for _ in range(_REDIRECTS):
            if not 300 <= answer.status < 400 or "Location" not in answer.headers:  # noqa: PLR2004 - HTTP's own numbers
                return answer
            url = self._next(url, answer.headers["Location"], what)
            answer = await self._once(url, what, redirected=True)
        raise PermanentError(f"The registry keeps redirecting the request for {what}.", code=_CODE)

    def _next(self, url: str, location: str, what: str) -> str:
        try:
            there = address_of(urljoin(url, location), plain_http=self._plain_http and url.startswith("http:"))
        except ValueError:
            there = None
        if there is None:
            raise PermanentError(
                f"The registry redirects the request for {what} to an address that the bot does not use.", code=_CODE
            )
        return there

    async def _once(
        self,
        url: str,
        what: str,
        *,
        authorization: str | None = None,
        query: Mapping[str, str] | None = None,
        redirected: bool = False,
    ) -> RegistryResponse:
        from aiohttp import ClientError

        assert self._session is not None, "inside `async with`"
        headers = {"Accept": _ACCEPT} | ({"Authorization": authorization} if authorization is not None else {})
        try:
            async with self._session.get(url, params=query, headers=headers, allow_redirects=False) as response:
                body = await read_bounded(
                    response.content,
                    lambda: PermanentError(f"The registry's answer for {what} is too large.", code=_CODE),
                )
                asked = tuple(response.headers.getall("WWW-Authenticate", ()))
                return RegistryResponse(response.status, response.headers.copy(), asked, body, redirected)
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            # not chained, because a client error shows its headers or its address
            raise TemporaryError(
                f"The registry did not answer the request for {what}.",
                code=_CODE,
                retry_after=_PAUSE,
                evidence=(type(error).__name__,),
            ) from None

    async def _login(self, url: str) -> Login | None:
        """Return the login for the address's host, or None."""
        host = origin(url)[1]
        if self._ecr is not None and host in self._ecr:
            return await self._ecr.of(host)
        return self._logins.of(host) if self._logins is not None else None

    async def _log_in(self, url: str, answer: RegistryResponse, what: str) -> bool:
        """Log in with a scheme that the registry offers, preferably a token. Return False if the bot supports none."""
        offered = challenges(answer.asked)
        key = _repository_key(url)
        self._tokens.pop(key, None)
        if self._ecr is not None and key in self._by_password:
            self._ecr.forget(key[0])
        login = await self._login(url)
        refused: RunbookError | None = None
        for challenge in (each for each in offered if each.scheme == "bearer"):
            try:
                if (token := await self._token(url, challenge, login, what)) is not None:
                    self._tokens[key] = token
                    return True
            except PermanentError as error:
                refused = error
        if login is not None and any(each.scheme == "basic" for each in offered):
            self._by_password.add(key)
            return True
        if refused is not None:
            raise refused
        return False

    async def _token(self, url: str, challenge: Challenge, login: Login | None, what: str) -> str | None:
        """Do the distribution specification's token handshake. Return None if no allowed token service is named."""
        service = address_of(challenge.fields.get("realm", ""), plain_http=self._plain_http and url.startswith("http:"))
        if service is None:
            return None
        query: dict[str, str] = {
            name: challenge.fields[name] for name in ("service", "scope") if name in challenge.fields
        }
        answer = await self._once(
            service, what, authorization=_basic(login) if login is not None else None, query=query
        )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._denied(url, what, known=login is not None)
        if answer.status != HTTPStatus.OK:
            raise _failed(answer, "The registry's token service", what)
        found = read_object(answer.body, lambda: _no_token(what))
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise _no_token(what)
        return token

    def _denied(self, url: str, what: str, *, known: bool) -> PermanentError:
        host = origin(url)[1]
        if self._ecr is not None and host in self._ecr:
            advice = "The bot's AWS role needs `ecr:BatchGetImage`, `ecr:GetDownloadUrlForLayer` and `ecr:ListImages` for that repository."
        elif known:
            advice = f"The login for {host} in `bot.registry_auth` was rejected: it has expired or has no read access."
        else:
            advice = f"It is private or does not exist. Set `bot.registry_auth` to a file with a login for {host}."
        return PermanentError(f"The registry denies the bot access to {what}.", code=_CODE, advice=(advice,))


def _failed(answer: RegistryResponse, who: str, what: str) -> RunbookError:
    """Return the error: permanent for a refusal, temporary for a busy or broken server."""
    sentence = f"{who} answered {answer.status} for {what}."
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        asked = read_wait(answer.headers.get("Retry-After"))
        return TemporaryError(sentence, code=_CODE, retry_after=_PAUSE if asked is None else asked)
    return PermanentError(sentence, code=_CODE)


def _no_token(what: str) -> PermanentError:
    return PermanentError(f"The token that the registry's token service returned for {what} can't be read.", code=_CODE)


def _basic(login: Login) -> str:
    from aiohttp import encode_basic_auth

    return encode_basic_auth(login.user, login.password)


def _repository_key(url: str) -> tuple[str, str]:
    """Return what a token is valid for: the repository's host and path."""
    return origin(url)[1], re.split(r"/(?:manifests|blobs|tags)/", urlsplit(url).path)[0]
