"""A service's health URL, requested once: its status and response time. The body is neither read nor kept.

The address comes from the configuration and may be internal: it is never shown. Redirects are not followed, since they would lead to an address that
nobody configured.
"""

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import aiohttp

SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a request."""

    status: int | None
    """The HTTP status; None if there was no answer."""
    seconds: float
    why: str = ""
    """Why there was no answer."""

    @property
    def well(self) -> bool:
        """Return whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


def valid(url: str) -> bool:
    """Return whether the address may be requested: http or https, with a host and without a password."""
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


class HealthClient:
    """A client for the life of the process. Its deadline is short, because somebody waits for the card."""

    def __init__(self, *, deadline: float = 2.0) -> None:
        self._deadline = deadline
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp  # importing this takes a fifth of a second, so it happens on first use

        limits = aiohttp.ClientTimeout(total=self._deadline)
        # each request uses a fresh connection, like a person's first request
        self._session = aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, url: str) -> Health:
        """Request the URL. Never raises: a missing answer is a result, too."""
        from aiohttp import ClientError

        if not valid(url):
            return Health(None, 0.0, "its URL is not http or https")
        assert self._session is not None, "inside `async with`"
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._session.get(url, allow_redirects=False)
                status = answer.status
                answer.close()
            return Health(status, time.monotonic() - began)
        except TimeoutError:
            return Health(None, time.monotonic() - began, f"no answer within {self._deadline:g} s")
        except (ClientError, OSError, ValueError) as error:
            return Health(None, time.monotonic() - began, _why(error))


def _why(error: BaseException) -> str:
    """Describe the error in our own words, because its message would show the address."""
    from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientSSLError

    if isinstance(error, ClientConnectorCertificateError | ClientSSLError):
        return "its certificate is not trusted"
    if isinstance(error, ClientConnectorDNSError):
        return "its host name is unknown"
    if isinstance(error, ConnectionRefusedError) or isinstance(
        getattr(error, "os_error", None), ConnectionRefusedError
    ):
        return "connection refused"
    return "the connection was closed"
