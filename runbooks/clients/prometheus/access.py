"""One GET at a time to Prometheus or Alertmanager: bounded, with a deadline, no redirect followed, errors as `RunbookError`.

An address of the configuration may be internal, so no error shows it. The password or token comes from the environment or from a file
and is read anew for each request, because it may have been replaced.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import Field, field_validator

from runbooks.clients.health import valid
from runbooks.clients.secret_source import SecretSettings, SecretUnusableError
from runbooks.kit.answers import read_bounded, read_json, read_wait
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor, default_redactor
from runbooks.wording import cited

_QUOTED = 300


class MonitoringServer(SecretSettings):
    """A server of the Prometheus stack, and the account for it."""

    url: str = Field(repr=False)
    """Its address, such as `http://prometheus.monitoring.svc:9090`. With a password or a token it must begin with https://."""
    user: str | None = Field(default=None, min_length=1, max_length=100)
    """The user of basic authentication; without one the secret is sent as a bearer token."""
    seconds: float = Field(default=10.0, gt=0, le=60)
    """Time limit for one answer."""

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        if not valid(url):
            raise ValueError("must be an http or https address without a password")
        return url.rstrip("/")


class MonitoringAccess:
    """Requests to one server. A verification asks a few questions, so each has a connection of its own that can't have gone stale."""

    def __init__(self, name: str, settings: MonitoringServer, redactor: Redactor | None = None) -> None:
        """`name`: the server's, for messages: `Prometheus`."""
        self.name = name
        self.settings = settings
        self._redactor = redactor or default_redactor()

    async def get(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Any:
        """Return the JSON of an answer with status 200. Raises `RunbookError`."""
        import aiohttp  # importing this takes a fifth of a second, so it happens on first use

        limits = aiohttp.ClientTimeout(total=self.settings.seconds)
        jar = aiohttp.DummyCookieJar()
        headers = self._authorization()
        try:
            async with (
                aiohttp.ClientSession(timeout=limits, cookie_jar=jar) as session,
                session.get(
                    f"{self.settings.url}{path}", params=query, headers=headers, allow_redirects=False
                ) as answer,
            ):
                body = await read_bounded(answer.content, self._unreadable)
                status, retry_after = answer.status, read_wait(answer.headers.get("Retry-After"))
        except TimeoutError:
            raise self._unreachable(f"did not answer within {self.settings.seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # not chained, because a client error shows its address and its headers
            raise self._unreachable(f"can't be reached ({type(error).__name__})") from None
        if status != HTTPStatus.OK:
            raise self._refused(status, body, retry_after)
        return read_json(body, self._unreadable)

    def unreadable(self) -> RunbookError:
        """Return the error for an answer that has another form than documented."""
        return self._unreadable()

    def _unreadable(self) -> RunbookError:
        return TemporaryError(f"{self.name}'s answer can't be read.", code=ReasonCode.MONITORING_UNREACHABLE)

    def _unreachable(self, why: str) -> TemporaryError:
        return TemporaryError(f"{self.name} {why}.", code=ReasonCode.MONITORING_UNREACHABLE)

    def _refused(self, status: int, body: bytes, retry_after: float | None) -> RunbookError:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._denied(f"{self.name} rejects the bot's account (status {status}).")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return self._denied(
                f"{self.name} redirects the request (status {status}), and the bot does not follow redirects."
            )
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            verb = "does not accept" if status == HTTPStatus.BAD_REQUEST else "can't execute"
            return self._denied(f"{self.name} {verb} the query: {cited(self._said(body), _QUOTED)}.")
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TemporaryError(
                f"{self.name} answers with status {status}.",
                code=ReasonCode.MONITORING_UNREACHABLE,
                retry_after=1.0 if retry_after is None else retry_after,
            )
        return self._denied(f"{self.name} answers with status {status}: its `url` may be wrong.")

    def _denied(self, sentence: str) -> PermanentError:
        return PermanentError(sentence, code=ReasonCode.MONITORING_REFUSED)

    def _said(self, body: bytes) -> str:
        """Return the server's own words."""
        try:
            found = read_json(body, self._unreadable)
        except RunbookError:
            return ""
        said = found.get("error") if isinstance(found, dict) else found
        return self._redactor.text(said) if isinstance(said, str) else ""

    def _authorization(self) -> dict[str, str]:
        if not self.settings.secret:
            return {}
        secret = self._secret()
        self._redactor.learn([secret.encode()])
        if self.settings.user is None:
            return {"Authorization": f"Bearer {secret}"}
        login = b64encode(f"{self.settings.user}:{secret}".encode())
        self._redactor.learn([login])
        return {"Authorization": f"Basic {login.decode()}"}

    def _secret(self) -> str:
        """Return the password or the token; raises PermanentError that names where it should be."""
        try:
            return self.settings.read_secret()
        except SecretUnusableError as error:
            raise self._denied(f"{self.name}: {error}.") from None
