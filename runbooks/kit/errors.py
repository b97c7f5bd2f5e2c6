"""How a runbook fails.

    RunbookError            a sentence for people, a reason code, and what was seen
    ├── PermanentError      trying again changes nothing until a person did something
    └── TemporaryError      the same call may work after `retry_after` seconds

Clients wrap their vendor's errors in these, chained. Anything else that is raised is a bug.
"""

from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.reasons import ReasonCode


class RunbookError(Exception):
    """What went wrong, as a sentence that may be shown (after redaction), and its code.

    `evidence` are further lines worth reading; `diagnosis` is what was found out about a rollout that fails, by who said
    it. Never a secret: what goes in here is kept with the run.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ReasonCode,
        evidence: tuple[str, ...] = (),
        advice: tuple[str, ...] = (),
        diagnosis: Diagnosis | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.evidence = evidence
        self.advice = advice
        self.diagnosis = diagnosis or Diagnosis()


class PermanentError(RunbookError):
    """Trying again changes nothing until a person did something."""


class TemporaryError(RunbookError):
    """The same call may work later; `retry_after` is in seconds."""

    def __init__(
        self,
        message: str,
        *,
        code: ReasonCode,
        retry_after: float = 1.0,
        evidence: tuple[str, ...] = (),
        advice: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, code=code, evidence=evidence, advice=advice)
        self.retry_after = retry_after
