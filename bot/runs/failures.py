"""An error of a runbook as a value that a step may return: redacted, since it is kept with the request."""

from collections.abc import Callable

from bot.runs.engine import DurableResult
from bot.runs.model import Request
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.release.plans import NoSuchVersion


class Failure(DurableResult):
    """Why something could not be done."""

    code: ReasonCode
    message: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """What would have worked, and how it is typed."""


class Failures:
    """Makes them; one per process."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def of(self, request: Request, error: RunbookError) -> Failure:
        """Return what `error` says to people."""
        newest = error.newest if isinstance(error, NoSuchVersion) else ()
        return Failure(
            code=error.code,
            message=self._redact(error.message),
            evidence=tuple(map(self._redact, error.evidence)),
            advice=tuple(map(self._redact, error.advice)),
            choices=tuple((each, f"{request.command} {each} --env {request.environment}") for each in newest),
        )
