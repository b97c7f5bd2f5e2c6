"""One API of AWS as the clients here call it: boto3's client made once and called in threads, its errors as sentences with what to do.

boto3 is blocking, so each call runs in a thread, with boto3's own deadlines and retries. Region, credentials and AWS_PROFILE are found as
boto3 finds them. AWS's own messages are never used, because they may quote what was sent.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

T = TypeVar("T")

_CONNECT, _READ, _ATTEMPTS = 5.0, 20.0, 3
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"})
_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
        "RequestThrottled", "SlowDown", "429",
    }
)  # fmt: skip
_LATER = frozenset(
    {"ServiceUnavailable", "InternalError", "InternalFailure", "RequestTimeout", "500", "502", "503", "504"}
)
_TOO_MANY, _SERVER = 429, 500
"""HTTP's own numbers."""
_CREDENTIALS = "Check the bot's AWS credentials."
_EXPIRED = ("the bot's AWS token has expired", "Renew the bot's AWS credentials, or use a role (IRSA).")
SAID: dict[str, tuple[str, str]] = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidAccessKeyId": ("AWS does not know the bot's access key", _CREDENTIALS),
    "InvalidToken": ("AWS rejects the bot's session token", _CREDENTIALS),
    "InvalidClientTokenId": ("AWS does not know the bot's access key", _CREDENTIALS),
    "UnrecognizedClientException": ("AWS does not know the bot's access key", _CREDENTIALS),
    "OptInRequired": ("the account has not enabled this region", "Check `region` in `omnicare.toml`, or enable the region for the account."),
    "SignatureDoesNotMatch": ("the bot's secret access key is wrong", _CREDENTIALS),
    "RequestTimeTooSkewed": ("the clock of the bot's machine is wrong", "Correct the clock of the bot's machine."),
}  # fmt: skip
"""The meaning of each code that all APIs have in common, and what to do about it."""


class Absent(PermanentError):
    """What was asked for does not exist."""


class AlreadyExists(PermanentError):
    """What was to be created exists: perhaps by the same call before, whose answer was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsApi:
    """One of AWS's APIs, and what its codes mean."""

    id: str
    """boto3's name: `cloudfront`."""
    name: str
    """For people: `CloudFront`."""
    refused: ReasonCode = ReasonCode.AWS_REFUSED
    unreachable: ReasonCode = ReasonCode.AWS_UNREACHABLE
    said: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Codes of its own: what each means, and what to do about it. They come before those that all have in common."""
    absent: frozenset[str] = frozenset()
    """Codes for what does not exist."""
    exists: frozenset[str] = frozenset()
    """Codes for what was to be created and is there already."""
    later: frozenset[str] = frozenset()
    """Codes after which the same call may work later."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Of botocore's configuration."""


class AwsClient:
    """A client of one API. Making it does no I/O; the SDK is imported with the first call."""

    def __init__(
        self,
        api: AwsApi,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        throw_away: bool = False,
        read_seconds: float = _READ,
    ) -> None:
        """`endpoint`: None for AWS's own. `throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.api = api
        self._region = region
        self._endpoint = endpoint
        self._throw_away = throw_away
        self._read_seconds = read_seconds
        self._making = threading.Lock()
        self._made: Any = None

    async def call(self, doing: str, act: Callable[[Any], T], *, needs: str) -> T:
        """Return what `act` returns, which is given boto3's client. Raises `RunbookError`.

        `doing`: for the sentence, `write s3://…`; `needs`: the IAM action, such as `cloudfront:CreateInvalidation`.
        """

        def done() -> T:
            return act(self._client())

        try:
            return await asyncio.to_thread(done)
        except RunbookError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may quote what was sent
            raise _wrapped(error, self.api, doing, needs) from None

    def load(self) -> None:
        """Import the SDK and make its client, for which the first call would wait. It takes a second, so it belongs in a thread."""
        self._client()

    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        import boto3
        import botocore.session
        from botocore.config import Config

        for name in ("boto3", "botocore", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they print bodies
        settings = Config(
            connect_timeout=_CONNECT,
            read_timeout=self._read_seconds,
            retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
            **self.api.options,
        )
        # a separate session, because boto3's default session is not thread-safe
        if self._throw_away:
            inner = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
            session = boto3.session.Session(
                aws_access_key_id="sandbox",
                aws_secret_access_key="sandbox",  # noqa: S106 - its server takes everybody
                region_name=self._region or "us-east-1",
                botocore_session=inner,
            )
        else:
            session = boto3.session.Session(region_name=self._region)
        return session.client(self.api.id, endpoint_url=self._endpoint, config=settings)


def _wrapped(error: Exception, api: AwsApi, doing: str, needs: str) -> RunbookError:
    """Translate botocore's errors: with AWS's code, never its message."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
        SSOError,
    )
    from botocore.parsers import ResponseParserError

    if isinstance(error, RecursionError):
        # if a server redirects without naming a region, botocore asks that server for the region, endlessly
        error = ClientError({"Error": {"Code": "PermanentRedirect"}}, doing)
    if isinstance(error, ClientError):
        return _of_code(error.response, api, doing, needs)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return PermanentError(
            f"The bot has no AWS credentials (to {doing}).",
            code=api.refused,
            advice=("Give the bot's service account a role (IRSA), or set the AWS environment variables.",),
        )
    if isinstance(error, ProfileNotFound):
        return PermanentError(
            f"The bot's AWS configuration has no profile of the name in AWS_PROFILE (to {doing}).",
            code=api.refused,
            advice=("Correct AWS_PROFILE, or unset it where the bot has a role (IRSA).",),
        )
    if isinstance(error, CredentialRetrievalError | SSOError):
        return PermanentError(
            f"The bot can't get AWS credentials (to {doing}; {type(error).__name__}).",
            code=api.refused,
            advice=(
                "Log in again where the profile uses single sign-on, or check the profile's `credential_process`.",
            ),
        )
    if isinstance(error, NoRegionError):
        return PermanentError(
            f"The AWS region is not configured (to {doing}).",
            code=api.refused,
            advice=("Set `region` in `omnicare.toml`, or AWS_REGION.",),
        )
    if isinstance(error, BotoCoreError):
        return TemporaryError(
            f"{api.name} can't be reached (to {doing}; {type(error).__name__}).", code=api.unreachable, retry_after=2.0
        )
    if isinstance(
        error, ResponseParserError | KeyError
    ):  # a load balancer's page, or an answer without what it must contain
        return TemporaryError(f"{api.name}'s answer can't be read (to {doing}).", code=api.unreachable, retry_after=2.0)
    return PermanentError(f"{api.name} can't {doing} ({type(error).__name__}).", code=api.refused)


def _of_code(response: Mapping[str, Any], api: AwsApi, doing: str, needs: str) -> RunbookError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    if code in api.absent:
        return Absent(f"{api.name} can't {doing}: it does not exist.", code=api.refused)
    if code in api.exists:
        meaning, advice = api.said[code]
        return AlreadyExists(f"{api.name} can't {doing}: {meaning} ({code}).", code=api.refused, advice=(advice,))
    if code in api.said:
        return _said(api, doing, code, *api.said[code])
    if code in _THROTTLED or status == _TOO_MANY:
        return TemporaryError(
            f"{api.name} can't {doing} right now: it limits the account's requests ({code}).",
            code=api.unreachable,
            retry_after=5.0,
        )
    if code in api.later or code in _LATER or status >= _SERVER:
        return TemporaryError(f"{api.name} can't {doing} right now ({code}).", code=api.unreachable, retry_after=2.0)
    if code in _DENIED:
        return _said(api, doing, code, "the bot's account lacks the permission", f"The account needs `{needs}`.")
    if code in SAID:
        return _said(api, doing, code, *SAID[code])
    return PermanentError(
        f"{api.name} refused to {doing} ({code or 'no code'}).",
        code=api.refused,
        advice=(f"The account needs `{needs}`.",),
    )


def _said(api: AwsApi, doing: str, code: str, what: str, advice: str) -> PermanentError:
    return PermanentError(f"{api.name} can't {doing}: {what} ({code}).", code=api.refused, advice=(advice,))
