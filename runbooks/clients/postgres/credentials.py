"""The source of the database credentials: a Secret through the cluster's API, or a file.

A Secret is reread after half a minute, so a new password needs no restart; while the cluster does not answer, the earlier credentials
are still used.
"""

import asyncio
import time
from collections.abc import Callable

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.postgres.access import DatabaseCredentials, DatabaseSettings, from_file, from_secret
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor

_KEPT = 30.0
"""Seconds."""


class CredentialsSource:
    """A source called by the database client, which remembers the last reading."""

    def __init__(
        self,
        settings: DatabaseSettings,
        cluster: ClusterClient,
        namespace: str,
        redactor: Redactor,
        *,
        kubectl: str = "kubectl",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kubectl`: as a person types it for that cluster."""
        self._kubectl = kubectl
        self._settings = settings
        self._cluster = cluster
        self._namespace = settings.secret_namespace or namespace
        self._redactor = redactor
        self._clock = clock
        self._known: DatabaseCredentials | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def __call__(self, *, fresh: bool = False) -> DatabaseCredentials:
        async with self._reading:
            if self._known is not None and not fresh and self._clock() - self._read_at < _KEPT:
                return self._known
            try:
                self._known = await self._read()
            except RunbookError as error:
                if self._known is None or fresh or error.code is not ReasonCode.CLUSTER_UNREACHABLE:
                    raise
            self._read_at = self._clock()
            return self._known

    async def _read(self) -> DatabaseCredentials:
        if self._settings.file is not None:
            return await asyncio.to_thread(from_file, self._settings.file, self._redactor)
        name = self._settings.secret
        try:
            secret = await self._cluster.secret(self._namespace, name)
        except RunbookError as error:
            if error.code not in (ReasonCode.NOT_FOUND, ReasonCode.CLUSTER_REFUSED):
                raise
            raise _not_read(error.code, self._namespace, name, self._kubectl) from None
        return from_secret(secret.data, self._settings, self._redactor)


def _not_read(code: ReasonCode, namespace: str, name: str, kubectl: str) -> PermanentError:
    if code is ReasonCode.NOT_FOUND:
        return PermanentError(
            f"Secret {name} does not exist in {namespace}, so the bot has no database credentials.",
            code=ReasonCode.CREDENTIALS_UNUSABLE,
            advice=(
                (
                    "Create it from a file, to keep the password off the command line: "
                    f"`{kubectl} create secret generic {name} -n {namespace} --from-env-file=FILE`, then delete the file."
                ),
            ),
        )
    return PermanentError(
        f"The cluster denies the bot access to Secret {name} in {namespace}.",
        code=ReasonCode.CREDENTIALS_UNUSABLE,
        advice=(
            f"Apply the shipped Role there, then check with `{kubectl} auth can-i get secret/{name} -n {namespace}` as the bot's account.",
        ),
    )
