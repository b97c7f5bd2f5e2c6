"""Credentials for a Kubernetes API, reread before they expire and after they were refused.

The SDK reads kubeconfigs, runs exec plug-ins and supports a pod's service account. It calls `refresh_api_key_hook` before each request, but
sets one only for the pod's account: it reads a kubeconfig only once. So this module provides the hook for a kubeconfig, and refused
credentials are reread by the SDK's own loaders.
"""

import asyncio
import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

_log = logging.getLogger(__name__)

_POOL = 256  # each watch and log stream uses a connection; a full pool would look like a server that hangs
_EARLY = 60.0
"""Seconds before a plug-in's token expires at which a new one is requested; for short-lived tokens, a quarter of their lifetime."""
_FILE_KEPT = 60.0
"""Seconds after which a token file is reread, as the SDK does for the pod's token."""
_READING = 30.0
"""Time limit for a plug-in in seconds."""
_WAITED = 8.0
"""Seconds that one request waits for the plug-in."""
_AGAIN = 0.5
"""Minimum seconds between two readings of refused credentials, because each starts a plug-in process."""

_TOKEN = "BearerToken"  # noqa: S105 - the SDK's name for it
_POD = "the pod's service account"

Mark = tuple[str | None, str]


class ClusterCredentials:
    """Credentials from one kubeconfig and context, or of the pod. `configuration` is the SDK's; it is a new object after TLS settings change."""

    def __init__(self, kubeconfig: str | None, context: str | None, retry: float) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._retry = retry
        self.configuration: Any = None
        self.source = _POD
        """Where the credentials come from, for messages."""
        self.advice = "Check that the service account exists and that its token is mounted into the pod."
        """What to do if they are refused."""
        self.trouble: RunbookError | None = None
        """Why the last reading failed."""
        self._files = ""
        self._due: float | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the credentials for the first time. Raises PermanentError if the configuration is unusable."""
        try:
            await self._read()
        except TemporaryError as error:
            self.trouble = error  # the first request tries again

    def mark(self) -> Mark:
        """Return the current credentials, to be compared with later ones. This is a secret that is never shown or kept."""
        return self.configuration.api_key.get(_TOKEN), self._files

    async def renewed(self, refused: Mark) -> bool:
        """Reread the credentials and return whether they differ from the refused ones."""
        if self.mark() == refused and asyncio.get_running_loop().time() - self._read_at >= _AGAIN:
            await self._again()
        return self.mark() != refused

    async def _when_due(self, shown: Any) -> None:
        """Refresh the credentials; this is the SDK's hook, called before each request."""
        if not shown.api_key.get(_TOKEN) or (self._due is not None and asyncio.get_running_loop().time() >= self._due):
            await self._again()
            shown.api_key = dict(self.configuration.api_key)
        if not shown.api_key.get(_TOKEN) and self.trouble is not None:
            raise self.trouble

    async def _again(self) -> None:
        """Read the credentials, one reading at a time; after a failure the earlier ones stay."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._noted())
        done, _ = await asyncio.wait((self._reading,), timeout=_WAITED)
        if not done:
            self.trouble = self._unread("did not answer in time")

    async def _noted(self) -> None:
        try:
            async with asyncio.timeout(_READING):
                await self._read()
        except TimeoutError:
            self.trouble = self._unread("did not answer in time")
        except RunbookError as error:
            self.trouble = error
            _log.warning("the credentials for the cluster could not be read again: %s", error.message)

    async def _read(self) -> None:
        from kubernetes.aio import client, config  # importing this takes a second and 60 MB, so it happens on first use

        loop = asyncio.get_running_loop()
        fresh = client.Configuration()
        fresh.connection_pool_maxsize = _POOL
        user: Any = None
        expires: datetime | None = None
        try:
            if self._kubeconfig is None:
                config.load_incluster_config(client_configuration=fresh)  # type: ignore[no-untyped-call]
            else:
                loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=self._kubeconfig,
                    context=self._context,
                    client_configuration=fresh,
                    persist_config=False,
                )
                user = loader._user  # noqa: SLF001 - as the SDK's own `refresh_token` does
                expires = getattr(loader, "exec_plugin_expiry", None)  # set only by plug-ins that return it
        except Exception as error:  # noqa: BLE001 - YAML and the SDK raise much where a file is only half written
            raise self._unusable(error) from (error if isinstance(error, OSError) else None)
        finally:
            self._read_at = loop.time()
        if user is not None:
            self._named(user)
        if token := (fresh.api_key.get(_TOKEN) or "").strip():
            fresh.api_key[_TOKEN] = token
        elif user is not None and ("exec" in user or "tokenFile" in user) and not fresh.cert_file:
            if self.configuration is None:
                fresh.api_key[_TOKEN] = ""  # so that the SDK calls the hook
                self._adopt(fresh)
            raise self._unread("returned no token")
        self._due = None
        if expires is not None:
            left = (expires - datetime.now(UTC)).total_seconds()
            self._due = loop.time() + max(left - min(_EARLY, left / 4), _AGAIN)
        elif user is not None and "tokenFile" in user and "exec" not in user:
            self._due = loop.time() + _FILE_KEPT
        self._adopt(fresh)
        self.trouble = None

    def _adopt(self, fresh: Any) -> None:
        if self._kubeconfig is not None:
            fresh.refresh_api_key_hook = self._when_due
        files = _digest_of(fresh)
        if self.configuration is None or files != self._files or fresh.host != self.configuration.host:
            self.configuration, self._files = fresh, files
            return
        self.configuration.api_key = fresh.api_key
        self.configuration.refresh_api_key_hook = fresh.refresh_api_key_hook

    def _named(self, user: Any) -> None:
        where = self._kubeconfig
        if "exec" in user:
            command = str(user["exec"].safe_get("command") or "")
            self.source = f"the exec plug-in `{command}` in {where}"
            self.advice = (
                f"Run `{command}` with the arguments in {where} as the bot's user: it must return a valid token."
            )
        elif "tokenFile" in user:
            self.source = str(user["tokenFile"])
            self.advice = f"Put a valid token into {self.source}. The bot rereads it automatically."
        elif "client-certificate" in user or "client-certificate-data" in user:
            self.source = f"the client certificate in {where}"
            self.advice = f"Check whether the certificate in {where} has expired. The bot rereads it automatically."
        else:
            self.source = str(where)
            self.advice = f"Put a valid token into {where}. The bot rereads it automatically."

    def _unread(self, why: str) -> TemporaryError:
        return TemporaryError(
            f"The bot has no credentials for the cluster: {self.source} {why}.",
            code=ReasonCode.CLUSTER_UNREACHABLE,
            retry_after=self._retry,
            advice=(self.advice,),
        )

    def _unusable(self, error: Exception) -> PermanentError:
        """Return an error without the SDK's or YAML's message, which may quote the file including tokens."""
        from kubernetes.aio import config

        where = self._kubeconfig or _POD
        said = str(error).partition("{")[0].strip() if isinstance(error, OSError | config.ConfigException) else ""
        return PermanentError(
            f"The cluster's configuration can't be used ({where}).",
            code=ReasonCode.CLUSTER_UNREACHABLE,
            evidence=(said or type(error).__name__,),
        )


def _digest_of(configuration: Any) -> str:
    """Return the contents of the TLS files: they may change while their names stay the same."""
    digest = hashlib.sha256()
    for name in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        try:
            digest.update(Path(name).read_bytes() if name else b"-")
        except OSError:
            digest.update(b"?")
        digest.update(b"\0")
    return digest.hexdigest()
