"""This project's errors for Kubernetes' refusals and network failures.

The cluster client raises nothing else. Kubernetes' own message is in `evidence`, so that people can read it.
"""

import ssl

from runbooks.kit.answers import read_object, read_wait
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

RETRY = 2.0
"""Seconds before a failed request is retried, unless the server says when."""
_ANONYMOUS = 'User "system:anonymous"'
_LONGEST_WAIT = 60.0
"""Maximum seconds that a server can make the bot wait before a retry."""


class Conflict(TemporaryError):
    """The object has changed since the writer read it: read it again, then decide."""


class AlreadyThere(Conflict):
    """An object of that name already exists."""


class OwnedByAnother(PermanentError):
    """A server-side apply would change a value that another field manager owns."""


class Gone(TemporaryError):
    """The server no longer has the watch's position in the history: list again."""


class Busy(TemporaryError):
    """The server said when to retry (`Retry-After`): earlier would only make it worse."""


class Unprocessable(PermanentError):
    """The server understood the request but could not apply it: a JSON Patch's `test` failed, or a value is not allowed."""


class Unaccepted(PermanentError):
    """The server did not accept the credentials: they have expired, belong to another cluster, or can't be checked right now."""


class Forbidden(PermanentError):
    """The server knows the account, and its rules do not allow the request."""


class Untrusted(PermanentError):
    """The bot does not trust the server's certificate."""


class Passing(TemporaryError):
    """A possibly temporary refusal; `what` completes "the cluster …" in progress messages."""

    def __init__(self, refused: PermanentError, what: str, *, retry: float) -> None:
        super().__init__(
            refused.message,
            code=ReasonCode.CLUSTER_UNREACHABLE,
            retry_after=retry,
            evidence=refused.evidence,
            advice=refused.advice,
        )
        self.what = what


def unreachable(server: str, error: BaseException, *, retry: float = RETRY) -> RunbookError:
    """The network failed before an answer came."""
    from aiohttp import ClientConnectorCertificateError

    if isinstance(error, ssl.SSLCertVerificationError | ClientConnectorCertificateError):
        return Untrusted(
            f"The Kubernetes API at {server} has a certificate that the kubeconfig does not trust.",
            code=ReasonCode.CLUSTER_UNREACHABLE,
            evidence=(str(error),),
            advice=("Check `certificate-authority` in the bot's kubeconfig.",),
        )
    slow = isinstance(error, TimeoutError)
    what = "did not answer in time" if slow else "can't be reached"
    return TemporaryError(
        f"The Kubernetes API at {server} {what}.",
        code=ReasonCode.CLUSTER_UNREACHABLE,
        retry_after=retry,
        evidence=() if slow else (str(error) or type(error).__name__,),
    )


def unreadable(server: str, doing: str, *, retry: float = RETRY) -> TemporaryError:
    """A truncated or foreign answer (such as a proxy's page), never treated as Kubernetes' answer."""
    return TemporaryError(
        f"The answer of the Kubernetes API at {server} can't be read (trying to {doing}).",
        code=ReasonCode.CLUSTER_UNREACHABLE,
        retry_after=retry,
    )


def refusal(
    status: int,
    body: bytes | None,
    doing: str,
    retry_after: str | None = None,
    *,
    retry: float = RETRY,
    server: str = "the cluster",
) -> RunbookError:
    """Return the error for an unsuccessful answer; `body` is None if it was not kept."""
    reason, message = _status_of(body or b"")
    evidence = (message,) if message else ()
    if "admission webhook" in message or "exceeded quota" in message:
        return PermanentError(
            f"The cluster's admission control refused to {doing}.",
            code=ReasonCode.ADMISSION_REFUSED,
            evidence=evidence,
        )
    if status == 401 or (status == 403 and _ANONYMOUS in message):  # noqa: PLR2004 - HTTP's own numbers
        return Unaccepted(
            f"The cluster rejected the bot's credentials (trying to {doing}).",
            code=ReasonCode.CLUSTER_REFUSED,
            evidence=evidence,
        )
    if status == 403:  # noqa: PLR2004
        return Forbidden(
            f"The cluster denied the bot permission to {doing}.",
            code=ReasonCode.CLUSTER_REFUSED,
            evidence=evidence,
            advice=("Run `doctor` to list the permissions that the bot lacks.",),
        )
    if status == 404:  # noqa: PLR2004
        # A load balancer's page while no API server is running: otherwise the fleet's record would seem empty.
        if body is not None and not reason:
            return unreadable(server, doing, retry=retry)
        return PermanentError(
            f"The object does not exist (trying to {doing}).", code=ReasonCode.NOT_FOUND, evidence=evidence
        )
    if status == 409:  # noqa: PLR2004 - HTTP's own number
        kind = AlreadyThere if reason == "AlreadyExists" else Conflict
        return kind(
            f"Somebody else changed the object at the same moment (trying to {doing}).",
            code=ReasonCode.CHANGED_MEANWHILE,
            retry_after=0.1,
            evidence=evidence,
        )
    if status == 410:  # noqa: PLR2004
        return Gone("The watch must be restarted.", code=ReasonCode.CLUSTER_UNREACHABLE, evidence=evidence)
    if status == 422:  # noqa: PLR2004
        return Unprocessable(
            f"The cluster can't {doing}: the request is invalid.", code=ReasonCode.CLUSTER_REFUSED, evidence=evidence
        )
    if status == 429 or status >= 500:  # noqa: PLR2004
        said = read_wait(retry_after, longest=_LONGEST_WAIT)
        error = TemporaryError if said is None else Busy
        return error(
            f"The Kubernetes API can't {doing} right now (HTTP {status}).",
            code=ReasonCode.CLUSTER_UNREACHABLE,
            retry_after=retry if said is None else said,
            evidence=evidence,
        )
    return PermanentError(
        f"The Kubernetes API refused to {doing} (HTTP {status}).", code=ReasonCode.CLUSTER_REFUSED, evidence=evidence
    )


def _status_of(body: bytes) -> tuple[str, str]:
    """Return a `Status`'s reason and message, or the beginning of any other answer."""
    try:
        status = read_object(body, lambda: unreadable("", ""))
        reason, message = status.get("reason"), status.get("message")
        return reason if isinstance(reason, str) else "", message if isinstance(message, str) else ""
    except TemporaryError:
        return "", body[:300].decode(errors="replace").strip()
