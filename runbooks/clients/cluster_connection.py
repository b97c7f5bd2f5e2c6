"""The connection to a Kubernetes API: one pool for its life, a deadline on every call, errors translated.

The SDK gives the configuration (kubeconfig, exec plug-ins, in-cluster tokens), the authentication and the pool; what is
sent and read is plain JSON. `ClusterClient` and its watches are the only users.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.clients.cluster_errors import RETRY, refusal, unreachable, unreadable
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import aiohttp

FIELD_MANAGER = "omnicare-bot"

_LARGEST_FRAME = 1 << 20
_POOL = 256  # watches and log streams hold a connection each; a pool that is full would look like a server that hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the client waits, in seconds. Tests make them short."""

    connect: float = 5.0
    call: float = 10.0
    """A whole call, from the request to the last byte of the answer."""
    silence: float = 30.0
    """A log stream that says nothing for so long has died."""
    watch: float = 25.0
    """The server ends a watch after so long, and it is taken up again where it ended."""
    watch_grace: float = 5.0
    """A watch that is silent for longer than `watch` and this has lost its server."""
    retry: float = RETRY
    """Before a call that failed is made again, where the server does not say when."""
    outage: float = 60.0
    """A watch that can't be taken up again for so long gives up."""


class Connection:
    """Entered once, used for the life of the process."""

    def __init__(self, kubeconfig: str | None, context: str | None, timing: Timing) -> None:
        self._kubeconfig = str(Path(kubeconfig).expanduser()) if kubeconfig else None
        self._context = context
        self.timing = timing
        self._api: Any = None
        self._sockets: Any = None
        self.server = "the cluster"
        self._answered = 0.0
        self._in_vain_since: float | None = None

    async def open(self) -> None:
        from kubernetes.aio import client, config  # a second and 60 MB: only for who talks to a cluster

        settings = client.Configuration()
        settings.connection_pool_maxsize = _POOL
        try:
            if self._kubeconfig is None:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=self._kubeconfig,
                    context=self._context,
                    client_configuration=settings,
                    persist_config=False,
                )
        except (config.ConfigException, OSError) as error:
            where = self._kubeconfig or "the pod's service account"
            raise PermanentError(
                f"The cluster's configuration can't be used ({where}).",
                code=ReasonCode.CLUSTER_UNREACHABLE,
                evidence=(str(error),),
            ) from error
        self.server = settings.host
        self._api = client.ApiClient(settings)

    async def close(self) -> None:
        if self._sockets is not None:
            await self._sockets.close()
            self._sockets = None
        if self._api is not None:
            await self._api.close()
            self._api = None

    def unanswered(self) -> float:
        """Seconds since the cluster, asked again and again, has last answered; 0 while it answers."""
        if self._in_vain_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._in_vain_since

    def answered(self) -> None:
        """Something came that only a cluster that works says."""
        self._answered = asyncio.get_running_loop().time()
        self._in_vain_since = None

    def asked_in_vain(self, since: float) -> None:
        """What was asked at `since` (the loop's time) was not answered."""
        if self._in_vain_since is None:
            self._in_vain_since = max(since, self._answered)

    async def call(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str | None = None,
    ) -> Any:
        """One request and its JSON answer. `doing` completes "can't …" in the sentence where it fails."""
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=self.timing.call, sock_connect=self.timing.connect)
        async with self._response(method, path, query, body, content_type, limits) as answer:
            data = await answer.read()
            if answer.status >= 300:  # noqa: PLR2004 - HTTP's own number
                raise refusal(answer.status, data, doing, answer.headers.get("Retry-After"), retry=self.timing.retry)
            try:
                found = json.loads(data) if data else {}
            except ValueError as error:
                raise unreadable(self.server, doing, retry=self.timing.retry) from error
            if not isinstance(found, dict):
                raise unreadable(self.server, doing, retry=self.timing.retry)
            self.answered()
            return found

    @asynccontextmanager
    async def stream(
        self, path: str, *, doing: str, query: Mapping[str, str], silence: float
    ) -> AsyncIterator["aiohttp.StreamReader"]:
        """An answer that is read as it comes; ends with an error when it is silent for longer than `silence`."""
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=None, sock_connect=self.timing.connect, sock_read=silence)
        async with self._response("GET", path, query, None, None, limits) as answer:
            if answer.status >= 300:  # noqa: PLR2004
                raise refusal(
                    answer.status,
                    await answer.read(),
                    doing,
                    answer.headers.get("Retry-After"),
                    retry=self.timing.retry,
                )
            self.answered()
            yield answer.content

    async def websocket(
        self, path: str, query: Sequence[tuple[str, str]], *, protocols: Sequence[str]
    ) -> "aiohttp.ClientWebSocketResponse":
        """An open WebSocket, which the caller closes; raises aiohttp's own errors."""
        if self._api is None:
            raise RuntimeError("the cluster client is used outside its `async with`")
        async with asyncio.timeout(self.timing.call):
            _, url, headers, _, _ = await self._api.param_serialize(
                "GET", path, query_params=list(query), header_params={}, auth_settings=["BearerToken"]
            )
            rest = self._api.rest_client
            if self._sockets is None:
                self._sockets = rest._create_pool_manager()  # noqa: SLF001 - the SDK has no other way to its TLS settings
                # else aiohttp opens a lost one again, and a program would run twice
                self._sockets._retry_connection = False  # noqa: SLF001 - as aiohttp's own test client does
            socket: aiohttp.ClientWebSocketResponse = await self._sockets.ws_connect(
                url.replace("http", "ws", 1),
                headers=headers,
                protocols=tuple(protocols),
                max_msg_size=_LARGEST_FRAME,
                proxy=rest.proxy,
            )
            return socket

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str | None,
        limits: "aiohttp.ClientTimeout",
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        if self._api is None:
            raise RuntimeError("the cluster client is used outside its `async with`")
        headers = {"Content-Type": content_type} if content_type else {}
        answer: aiohttp.ClientResponse | None = None
        began = asyncio.get_running_loop().time()
        from aiohttp import ClientError

        try:
            async with asyncio.timeout(self.timing.call):  # exec plug-ins that mint a token count too
                # Not `param_serialize(body=…)`: it drops an empty list or dict.
                method, url, headers, _, _ = await self._api.param_serialize(
                    method, path, query_params=list((query or {}).items()), header_params=headers,
                    auth_settings=["BearerToken"],
                )  # fmt: skip
                response = await self._api.call_api(method, url, headers, body, _request_timeout=limits)
            answer = response.response
            yield response.response
        except (ClientError, OSError, TimeoutError) as error:
            self.asked_in_vain(began)
            raise unreachable(self.server, error, retry=self.timing.retry) from error
        except RunbookError as error:
            if isinstance(error, TemporaryError) and error.code is ReasonCode.CLUSTER_UNREACHABLE:
                self.asked_in_vain(began)
            else:
                self.answered()  # a clear no is an answer
            raise
        finally:
            if answer is not None:
                answer.release() if answer.content.at_eof() else answer.close()
