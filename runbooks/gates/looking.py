"""Looking at all gates side by side, each within its own time: one that fails or hangs is unknown and holds up no other."""

import asyncio
import logging
from collections.abc import Sequence

from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.kit.errors import RunbookError
from runbooks.kit.retry import retried

_log = logging.getLogger(__name__)

_TRIED = 3.0
"""Seconds within which a server's temporary failure is tried again."""


async def look_at(gates: Sequence[Gate], subject: GateSubject, seconds: float) -> tuple[GateResult, ...]:
    """Return what each gate has found, in their order; each has `seconds`, or what it needs at least."""
    return tuple(await asyncio.gather(*(_looked(gate, subject, seconds) for gate in gates)))


async def _looked(gate: Gate, subject: GateSubject, seconds: float) -> GateResult:
    failed: list[RunbookError] = []
    seconds = max(seconds, gate.least_seconds)
    try:
        async with asyncio.timeout(seconds):
            return await retried(lambda: gate.look(subject), seconds=min(_TRIED, seconds / 2), noticed=failed.append)
    except TimeoutError:
        last = f" ({failed[-1].message.rstrip('.')})" if failed else ""
        return gate.not_passed("unknown", f"no answer within {seconds:g} s{last}", "Try again.")
    except RunbookError as error:
        return gate.not_passed("unknown", error.message.rstrip("."), " ".join(error.advice))
    except Exception:  # noqa: BLE001 - whatever it is, this gate has not passed
        _log.exception("a gate could not be looked at", extra={"gate": gate.key})
        return gate.not_passed("unknown", "an error in the bot; its log has more")
