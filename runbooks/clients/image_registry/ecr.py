"""Logins for Amazon ECR: a token from the bot's AWS account (`ecr:GetAuthorizationToken`), renewed before it expires.

boto3 is blocking, so it is called in a thread, with its own deadlines. A token is kept in memory only, and the redactor learns it.
"""

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from runbooks.clients.image_registry.logins import Login
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor

_CONNECT, _READ = 3, 5
_EARLY = timedelta(minutes=30)
"""A token that expires sooner is not used; ECR's tokens last 12 hours."""
_REGION = re.compile(r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.", re.ASCII)
_LATER = ("Throttling", "TooManyRequests", "ServerException", "ServiceUnavailable", "InternalFailure", "RequestTimeout")


class _Kept(NamedTuple):
    login: Login
    until: datetime


class EcrLogins:
    """The logins for the configured ECR registries; no other host gets a token."""

    def __init__(
        self,
        hosts: Collection[str],
        redactor: Redactor,
        *,
        endpoint: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        throw_away: bool = False,
    ) -> None:
        """`endpoint`: None for AWS's own. `throw_away`: a sandbox's, for which real credentials are never looked up."""
        self._hosts = frozenset(hosts)
        self._redactor = redactor
        self._endpoint = endpoint
        self._clock = clock
        self._throw_away = throw_away
        self._kept: dict[str, _Kept] = {}
        self._asking = asyncio.Lock()

    def __contains__(self, host: str) -> bool:
        return host in self._hosts

    async def of(self, host: str) -> Login:
        """Return the login for one of the hosts. Raises `RunbookError` if AWS issues none."""
        async with self._asking:
            kept = self._kept.get(host)
            if kept is None or kept.until - self._clock() < _EARLY:
                kept = self._kept[host] = await self._asked(host)
            return kept.login

    def forget(self, host: str) -> None:
        """Discard the token, because the registry rejected it."""
        self._kept.pop(host, None)

    async def _asked(self, host: str) -> _Kept:
        try:
            answer = await asyncio.to_thread(self._ask, host)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may quote what was sent
            raise _wrapped(error, host) from None
        kept = _kept(answer, self._clock())
        if kept is None:
            raise PermanentError(
                f"The token that AWS returned for {host} can't be read.", code=ReasonCode.REGISTRY_UNREACHABLE
            )
        self._redactor.learn([kept.login.password.encode()])
        return kept

    def _ask(self, host: str) -> Any:
        import boto3
        from botocore.config import Config

        for name in ("boto3", "botocore", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)  # their bodies are tokens
        found = _REGION.match(host)
        made_up = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"} if self._throw_away else {}
        session = boto3.session.Session(region_name=found[1] if found else None, **made_up)
        settings = Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"max_attempts": 2, "mode": "standard"})
        return session.client("ecr", endpoint_url=self._endpoint, config=settings).get_authorization_token()


def _kept(answer: Any, now: datetime) -> _Kept | None:
    """Return the first token in the answer, or None."""
    match answer:
        case {"authorizationData": [{"authorizationToken": str(token), **more}, *_]}:
            ends = more.get("expiresAt")
        case _:
            return None
    try:
        user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not user or not password:
        return None
    # without an expiry time, a new token is requested each time
    until = ends.astimezone(UTC) if isinstance(ends, datetime) and ends.tzinfo is not None else now
    return _Kept(Login(user, password), until)


def _wrapped(error: Exception, host: str) -> RunbookError:
    """Translate botocore's errors: with AWS's code, never its message."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    code = ReasonCode.REGISTRY_UNREACHABLE
    if isinstance(error, ClientError):
        said = str(error.response.get("Error", {}).get("Code", "")) or "no code"
        if said.startswith(_LATER):
            return TemporaryError(f"AWS can't issue a token for {host} right now ({said}).", code=code, retry_after=2.0)
        return PermanentError(
            f"AWS denied the bot a token for {host} ({said}).",
            code=code,
            advice=("The bot's AWS role needs `ecr:GetAuthorizationToken`.",),
        )
    if isinstance(error, NoCredentialsError):
        return PermanentError(
            f"The bot has no AWS credentials, so it can't get a token for {host}.",
            code=code,
            advice=("Give the bot's service account a role (IRSA), or set the AWS environment variables.",),
        )
    if isinstance(error, NoRegionError):
        return PermanentError(
            f"The AWS region of {host} is unknown.",
            code=code,
            advice=("Set AWS_REGION, or use the registry's own name, `ACCOUNT.dkr.ecr.REGION.amazonaws.com`.",),
        )
    if isinstance(error, BotoCoreError):
        return TemporaryError(
            f"AWS can't be reached for a token for {host} ({type(error).__name__}).", code=code, retry_after=2.0
        )
    return PermanentError(f"AWS did not issue a token for {host} ({type(error).__name__}).", code=code)
