"""Kubernetes' refusals and the network's failures, as this project's errors.

The cluster client raises nothing else. Kubernetes' own message stands in `evidence`, so that people can read it.
"""

import ssl

from runbooks.kit.answers import read_object, read_wait
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

RETRY = 2.0
"""Seconds before a server that failed is asked again, where it does not say when."""
_ANONYMOUS = 'User "system:anonymous"'
_LONGEST_WAIT = 60.0
"""Seconds that a server may make the bot wait before it is asked again."""


class Conflict(TemporaryError):
    """The object is no longer what the writer saw: read it again, then decide."""


class AlreadyThere(Conflict):
    """An object of that name exists."""


class Gone(TemporaryError):
    """The watch's place in history is no longer kept: list again."""


class Busy(TemporaryError):
    """The server said when to come again (`Retry-After`): earlier would only make it worse."""


class Unprocessable(PermanentError):
    """The server took the request and could not apply it: a JSON Patch's `test` failed, or a value is not allowed."""


class Unaccepted(PermanentError):
    """The server does not know who asks: the credentials have expired, are another cluster's, or it can't check them just now."""


class Forbidden(PermanentError):
    """The server knows who asks, and its rules do not allow it."""


class Untrusted(PermanentError):
    """The server's certificate is not one that the bot trusts."""


class Passing(TemporaryError):
    """A refusal that may pass; `what` completes "the cluster …" in the sentence that says what is waited for."""

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
    """An answer that was cut short, or is another thing's (a proxy's page): never taken for one of Kubernetes'."""
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
    """An answer that is not a success; `body` is None where the answer's was not kept."""
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
        # A load balancer's page, while no API server is there: else the fleet's record would be taken for empty.
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
    """Reason and message of a `Status`, or the answer's beginning where it is something else."""
    try:
        status = read_object(body, lambda: unreadable("", ""))
        reason, message = status.get("reason"), status.get("message")
        return reason if isinstance(reason, str) else "", message if isinstance(message, str) else ""
    except TemporaryError:
        return "", body[:300].decode(errors="replace").strip()
