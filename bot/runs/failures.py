"""An error of a runbook as a value that a step may return: redacted, since it is kept with the request."""

from collections.abc import Callable

from bot.runs.engine import DurableResult
from bot.runs.model import Request
from commands.kit.command import Operation
from commands.kit.context import Context
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import is_unreachable
from runbooks.release.plans import NoSuchVersion

WITHOUT_RECORD = "Roll back without the record"
"""The button's label."""


class Failure(DurableResult):
    """Why something could not be done."""

    code: ReasonCode
    message: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """What would have worked, and how it is typed."""


def instead_of_record(command: Operation, context: Context) -> str:
    """Return what may be typed instead while the cluster with the record does not answer; nothing while it does."""
    return command.instead_of_record(context.where) if context.cluster.unanswered().seconds else ""


class Failures:
    """Makes them; one per process."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def of(self, request: Request, error: RunbookError, *, instead: str = "") -> Failure:
        """Return what `error` says to people. `instead`: what may be typed while the cluster with the record does not answer."""
        if instead and is_unreachable(error):
            return self._without_record(error, instead)
        newest = error.newest if isinstance(error, NoSuchVersion) else ()
        return Failure(
            code=error.code,
            message=self._redact(error.message),
            evidence=tuple(map(self._redact, error.evidence)),
            advice=tuple(map(self._redact, error.advice)),
            choices=tuple((each, f"{request.command} {each} --env {request.environment}") for each in newest),
        )

    def _without_record(self, error: RunbookError, instead: str) -> Failure:
        return Failure(
            code=error.code,
            message=self._redact(error.message),
            evidence=tuple(map(self._redact, error.evidence)),
            advice=(
                f"The other regions can go back without the record: `{instead}` shows what each would go back to, and asks.",
            ),
            choices=((WITHOUT_RECORD, instead),),
        )
