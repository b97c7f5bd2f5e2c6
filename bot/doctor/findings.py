"""Findings, and the runner for checks: side by side, each with its own deadline, reported in order."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from runbooks.kit.errors import RunbookError


class Severity(StrEnum):
    """The severity of a finding."""

    FINE = "fine"
    WARNING = "warning"
    FAILED = "failed"

    @property
    def sign(self) -> str:
        """Before the sentence."""
        return {Severity.FINE: "✓", Severity.WARNING: "!", Severity.FAILED: "✗"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """The result of a check."""

    level: Severity
    sentence: str
    to_do: str = ""
    """Empty if nothing has to be done."""


def fine(sentence: str) -> DoctorFinding:
    """All is well."""
    return DoctorFinding(level=Severity.FINE, sentence=sentence)


def warning(sentence: str, to_do: str) -> DoctorFinding:
    """It works, but with a warning."""
    return DoctorFinding(level=Severity.WARNING, sentence=sentence, to_do=to_do)


def failed(sentence: str, to_do: str) -> DoctorFinding:
    """It does not work."""
    return DoctorFinding(level=Severity.FAILED, sentence=sentence, to_do=to_do)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """A check. `subject` names it in messages if it breaks or is late."""

    subject: str
    look: Callable[[], AsyncGenerator[DoctorFinding]]
    seconds: float = 15.0


async def findings(checks: Sequence[DoctorCheck]) -> AsyncIterator[DoctorFinding]:
    """Yield every finding, as soon as all earlier ones are known."""
    queues: list[asyncio.Queue[DoctorFinding | None]] = [asyncio.Queue() for _ in checks]
    async with asyncio.TaskGroup() as group:
        for check, queue in zip(checks, queues, strict=True):
            group.create_task(_fill(check, queue))
        for queue in queues:
            while (finding := await queue.get()) is not None:
                yield finding


async def _fill(check: DoctorCheck, queue: asyncio.Queue[DoctorFinding | None]) -> None:
    try:
        async with asyncio.timeout(check.seconds), aclosing(check.look()) as looked:
            async for finding in looked:
                queue.put_nowait(finding)
    except TimeoutError:
        queue.put_nowait(
            failed(f"{check.subject}: no answer within {check.seconds:g} s.", "Check the network, and try again.")
        )
    except RunbookError as error:
        queue.put_nowait(failed(f"{check.subject}: {error.message}", " ".join(error.advice) or "See the message."))
    except Exception as error:  # noqa: BLE001 - one check that breaks takes no other with it
        queue.put_nowait(
            failed(
                f"{check.subject}: the check itself failed ({type(error).__name__}).", "Report it as a bug in the bot."
            )
        )
    finally:
        queue.put_nowait(None)
