"""The connection to a Kubernetes API: one connection pool, a deadline on every call, translated errors.

The SDK provides the configuration, the authentication (`credentials`) and the pool; requests and answers are plain JSON.
`ClusterClient` and its watches are the only users.

A cluster's refusal may be temporary: while its API server starts, or a certificate or token is replaced, it accepts no credentials, and
while it loads its roles, it grants no permissions. So a refusal of the credentials, of the certificate, or of something it allowed before is
temporary for `Timing.refusals`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.clients.kubernetes.credentials import ClusterCredentials, Mark
from runbooks.clients.kubernetes.errors import (
    RETRY,
    Forbidden,
    Passing,
    Unaccepted,
    Untrusted,
    refusal,
    unreachable,
    unreadable,
)
from runbooks.kit.answers import read_bounded, read_object
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import aiohttp

FIELD_MANAGER = "omnicare-bot"

_LARGEST_ANSWER = 256 * 1024 * 1024
"""Bytes: a list of all pods of a large cluster is tens of megabytes."""
_LARGEST_FRAME = 1 << 20
_CREDENTIALS, _CERTIFICATE = "credentials", "certificate"
_UNAUTHORIZED = 401
_SILENT = "has not answered"
_REFUSED = {
    _CREDENTIALS: "has rejected the bot's credentials",
    _CERTIFICATE: "has a certificate that the bot does not trust",
}
_RIGHTS = "has refused something the bot was allowed to do before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time limits in seconds. Tests use short ones."""

    connect: float = 5.0
    call: float = 10.0
    """A whole call, from the request to the last byte of the answer."""
    silence: float = 30.0
    """A log stream without data for this time is considered dead."""
    watch: float = 25.0
    """The server ends a watch after this time, and the client resumes it where it ended."""
    watch_grace: float = 5.0
    """A watch that is silent for longer than `watch` plus this has lost its server."""
    retry: float = RETRY
    """Pause before a failed call is retried, unless the server says how long."""
    outage: float = 60.0
    """A watch that can't be resumed for this time gives up."""
    refusals: float = 120.0
    """A refusal is treated as temporary for this time."""


@dataclass(frozen=True, slots=True)
class ClusterOutage:
    """How long the cluster has not answered, and what it does instead."""

    seconds: float = 0.0
    what: str = _SILENT
    """Completes "the cluster …"."""
    lately: float = 0.0
    """Seconds since it started to do that."""
    tried: float = 0.0
    """Seconds since the last request that was not answered."""


class Connection:
    """Enter it once and use it for the life of the process."""

    def __init__(self, kubeconfig: str | None, context: str | None, timing: Timing) -> None:
        path = str(Path(kubeconfig).expanduser()) if kubeconfig else None
        self.timing = timing
        self._credentials = ClusterCredentials(path, context, timing.retry)
        self._api: Any = None
        self._replaced: list[Any] = []
        """Earlier clients with outdated TLS settings; open streams may still finish on them."""
        self._sockets: Any = None
        self.server = "the cluster"
        self._answered = 0.0
        self._in_vain_since: float | None = None
        self._in_vain = _SILENT, 0.0
        """What the cluster did instead of answering, and since when."""
        self._last_in_vain = 0.0
        self._allowed: set[str] = set()
        """What the cluster has allowed the bot to do since this process started."""
        self._refused_since: dict[str, float] = {}

    async def open(self) -> None:
        await self._credentials.open()
        self.server = self._credentials.configuration.host
        await self._renew()

    async def _renew(self) -> None:
        """Return the SDK's client for the current credentials; TLS settings can't be changed in place."""
        from kubernetes.aio import client

        if self._api is not None:
            self._replaced.append(self._api)
            if self._sockets is not None:
                self._replaced.append(self._sockets)
                self._sockets = None
        self._api = client.ApiClient(self._credentials.configuration)

    async def close(self) -> None:
        if self._sockets is not None:
            await self._sockets.close()
            self._sockets = None
        for old in self._replaced:
            await old.close()
        self._replaced.clear()
        if self._api is not None:
            await self._api.close()
            self._api = None

    def unanswered(self) -> ClusterOutage:
        """Return how long the cluster has not answered repeated requests; 0 s while it answers."""
        if self._in_vain_since is None:
            return ClusterOutage()
        now, (what, since) = asyncio.get_running_loop().time(), self._in_vain
        return ClusterOutage(
            seconds=now - self._in_vain_since, what=what, lately=now - since, tried=now - self._last_in_vain
        )

    def answered(self) -> None:
        """Record an answer that only a working cluster gives."""
        self._answered = asyncio.get_running_loop().time()
        self._in_vain_since = None

    def asked_in_vain(self, since: float, what: str = _SILENT) -> None:
        """Record that a request from `since` (the loop's time) was not answered; `what` happened instead."""
        since, self._last_in_vain = max(since, self._answered), asyncio.get_running_loop().time()
        if self._in_vain_since is None or what != self._in_vain[0]:
            self._in_vain = what, since
        if self._in_vain_since is None:
            self._in_vain_since = since

    async def call(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str | None = None,
        accept: str | None = None,
        of_kind: bool = True,
    ) -> Any:
        """Send one request and return its JSON answer. `doing` completes "can't …" in error messages.

        `of_kind`: the answer is an object of Kubernetes', which names its kind. Whatever else came with 200 would be read as an object
        without content: a fleet record in which nobody holds the environment.
        """
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=self.timing.call, sock_connect=self.timing.connect)
        async with self._response(method, path, query, body, content_type, limits, accept) as answer:
            data = await read_bounded(
                answer.content, lambda: unreadable(self.server, doing, retry=self.timing.retry), largest=_LARGEST_ANSWER
            )
            if answer.status >= 300:  # noqa: PLR2004 - HTTP's own number
                raise self._refusal(answer, data, doing)
            self._accepted(answer)
            found = read_object(data, lambda: unreadable(self.server, doing, retry=self.timing.retry))
            kind = found.get("kind")
            if of_kind and (not isinstance(kind, str) or (method == "GET" and kind == "Status")):
                raise unreadable(self.server, doing, retry=self.timing.retry)
            self.answered()
            return found

    @asynccontextmanager
    async def stream(
        self, path: str, *, doing: str, query: Mapping[str, str], silence: float
    ) -> AsyncIterator["aiohttp.StreamReader"]:
        """Open an answer that is read as a stream; it ends with an error if it is silent for longer than `silence`."""
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=None, sock_connect=self.timing.connect, sock_read=silence)
        async with self._response("GET", path, query, None, None, limits) as answer:
            if answer.status >= 300:  # noqa: PLR2004
                data = await read_bounded(
                    answer.content, lambda: unreadable(self.server, doing, retry=self.timing.retry)
                )
                raise self._refusal(answer, data, doing)
            self._accepted(answer)
            self.answered()
            yield answer.content

    def _refusal(self, answer: "aiohttp.ClientResponse", data: bytes, doing: str) -> RunbookError:
        error = refusal(
            answer.status, data, doing, answer.headers.get("Retry-After"), retry=self.timing.retry, server=self.server
        )
        return self._judged(error, _rule(answer))

    def handshake_refused(self, status: int, doing: str) -> RunbookError:
        """Return the error for a failed WebSocket handshake."""
        if status < 300:  # noqa: PLR2004 - HTTP's own number: answered like an ordinary request, by a proxy
            return unreadable(self.server, doing, retry=self.timing.retry)
        return self._judged(refusal(status, None, doing, retry=self.timing.retry), "")

    def _judged(self, error: RunbookError, asked: str) -> RunbookError:
        """Return the error, temporary for a while if the refusal may be temporary."""
        self._refused_since.pop(_CERTIFICATE, None)
        if isinstance(error, Unaccepted):
            trouble = self._credentials.trouble
            error.message += f" They come from {self._credentials.source}."
            error.evidence += (trouble.message,) if trouble is not None else ()
            error.advice = (self._credentials.advice,)
            return self._passing(error, _CREDENTIALS)
        self._refused_since.pop(_CREDENTIALS, None)
        return self._passing(error, asked) if isinstance(error, Forbidden) and asked in self._allowed else error

    def _passing(self, error: PermanentError, what: str) -> RunbookError:
        now = asyncio.get_running_loop().time()
        if now - self._refused_since.setdefault(what, now) >= self.timing.refusals:
            return error
        return Passing(error, _REFUSED.get(what, _RIGHTS), retry=self.timing.retry)

    def _accepted(self, answer: "aiohttp.ClientResponse") -> None:
        """Record that this is no longer refused."""
        asked = _rule(answer)
        self._allowed.add(asked)
        for what in (_CERTIFICATE, _CREDENTIALS, asked):
            self._refused_since.pop(what, None)

    async def websocket(
        self, path: str, query: Sequence[tuple[str, str]], *, protocols: Sequence[str]
    ) -> "aiohttp.ClientWebSocketResponse":
        """Return an open WebSocket, which the caller must close. Raises aiohttp's errors."""
        from aiohttp import WSServerHandshakeError

        async with asyncio.timeout(self.timing.call):
            url, headers, mark = await self._signed("GET", path, query, {})
            try:
                return await self._handshake(url, headers, protocols)
            except WSServerHandshakeError as error:
                if error.status != _UNAUTHORIZED or not await self._credentials.renewed(mark):
                    raise
            url, headers, _ = await self._signed("GET", path, query, {})
            return await self._handshake(url, headers, protocols)

    async def _handshake(
        self, url: str, headers: Mapping[str, str], protocols: Sequence[str]
    ) -> "aiohttp.ClientWebSocketResponse":
        rest = self._api.rest_client
        if self._sockets is None:
            self._sockets = rest._create_pool_manager()  # noqa: SLF001 - the SDK has no other way to its TLS settings
            # otherwise aiohttp reopens a lost connection, and a program would run twice
            self._sockets._retry_connection = False  # noqa: SLF001 - as aiohttp's own test client does
        socket: aiohttp.ClientWebSocketResponse = await self._sockets.ws_connect(
            url.replace("http", "ws", 1),
            headers=headers,
            protocols=tuple(protocols),
            max_msg_size=_LARGEST_FRAME,
            proxy=rest.proxy,
        )
        return socket

    async def _signed(
        self, method: str, path: str, query: Sequence[tuple[str, str]], headers: dict[str, str]
    ) -> tuple[str, dict[str, str], Mark]:
        """Return a request's address and headers, including the credentials, and which credentials they are."""
        if self._api is None:
            raise RuntimeError("the cluster client is used outside its `async with`")
        # Not `param_serialize(body=…)`: it drops an empty list or dict.
        _, url, signed, _, _ = await self._api.param_serialize(
            method, path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
        )
        if self._api.configuration is not self._credentials.configuration:
            await self._renew()
        return url, signed, self._credentials.mark()

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str | None,
        limits: "aiohttp.ClientTimeout",
        accept: str | None = None,
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        headers = {"Content-Type": content_type} if content_type else {}
        if accept is not None:
            headers["Accept"] = accept
        answer: aiohttp.ClientResponse | None = None
        began = asyncio.get_running_loop().time()
        mark: Mark | None = None
        from aiohttp import ClientError

        async def ask() -> "aiohttp.ClientResponse":
            nonlocal mark
            async with asyncio.timeout(self.timing.call):  # exec plug-ins that create a token count too
                url, signed, mark = await self._signed(method, path, list((query or {}).items()), dict(headers))
                response = await self._api.call_api(method, url, signed, body, _request_timeout=limits)
            got: aiohttp.ClientResponse = response.response
            return got

        try:
            answer = await ask()
            if answer.status == _UNAUTHORIZED and mark is not None and await self._credentials.renewed(mark):
                answer.close()
                answer = await ask()  # a request that was not authenticated had no effect
            _check_type(answer, self.server, self.timing.retry)
            yield answer
        except (ClientError, OSError, TimeoutError) as error:
            failed = unreachable(self.server, error, retry=self.timing.retry)
            self.asked_in_vain(began, _REFUSED[_CERTIFICATE] if isinstance(failed, Untrusted) else _SILENT)
            if isinstance(failed, Untrusted):
                if mark is not None:
                    await self._credentials.renewed(mark)
                raise self._passing(failed, _CERTIFICATE) from error
            raise failed from error
        except RunbookError as error:
            if isinstance(error, TemporaryError) and error.code is ReasonCode.CLUSTER_UNREACHABLE:
                self.asked_in_vain(began, error.what if isinstance(error, Passing) else _SILENT)
            else:
                self.answered()  # a clear refusal is an answer
            raise
        finally:
            if answer is not None:
                answer.release() if answer.content.at_eof() else answer.close()


def _check_type(answer: "aiohttp.ClientResponse", server: str, retry: float) -> None:
    """Raise TemporaryError for a proxy's page with status 200, which would be taken for a pod's log."""
    if answer.ok and answer.content_type == "text/html":
        raise unreadable(server, f"{answer.method} {answer.url.path}", retry=retry)


def _rule(answer: "aiohttp.ClientResponse") -> str:
    """Return what the cluster's rules apply to: the verb and the kind of object in its namespace, without its name."""
    parts = answer.url.raw_path.strip("/").split("/")
    first = 3 if parts[0] == "apis" else 2
    if parts[first : first + 1] == ["namespaces"] and len(parts) > first + 2:
        first += 2
    if len(parts) > first + 1:
        parts[first + 1] = "*"
    return f"{answer.method}{' watch' if 'watch' in answer.url.query else ''} /{'/'.join(parts)}"
