"""Refusals go to the audit log, but nobody can fill it with them: past a bound per account and minute they are only counted."""

import hashlib
from collections.abc import Callable
from datetime import datetime

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.boundary.inbound import Inbound
from commands.kit.context import Actor, Denied
from commands.kit.parsing import UsageError
from commands.kit.registry import Registry
from runbooks.kit.reasons import ReasonCode

PER_MINUTE = 10
"""Refusals of one account that are written one by one within a minute; a person's own mistakes stay far below."""
_ACCOUNTS = 10_000
"""Accounts that are remembered at once; the oldest go first."""


def act_id(inbound: Inbound) -> str:
    """Return the act's key, hashed for the audit log and the process log: a click's key contains the card's nonce."""
    return f"{inbound.surface}:{hashlib.sha256(inbound.key.encode(errors='surrogatepass')).hexdigest()[:32]}"


def check_button(inbound: Inbound, registry: Registry) -> None:
    """Check that a run's button names a decision on a run; no card has a button of that shape for anything else. Raises `Denied`."""
    filled = inbound.filled
    if filled is None or filled.word is None:
        return
    spec = registry.find(filled.command)
    if spec is None or not spec.on_card:
        raise Denied(
            "That button does not belong to a run's card. Type the command instead.", code=ReasonCode.FOREIGN_BUTTON
        )


def check_expiry(inbound: Inbound, now: datetime) -> None:
    """Check that a choice is used in time: what it completes was meant for then. Raises `UsageError`."""
    if inbound.expires is not None and now.timestamp() > inbound.expires:
        raise UsageError("This choice has expired. Type the command:", example=inbound.text)


class Refusals:
    """Writes `permission:denied`, within the bound."""

    def __init__(self, audit_log: AuditLog, clock: Callable[[], datetime]) -> None:
        self._audit_log = audit_log
        self._clock = clock
        self._seen: dict[str, tuple[int, int]] = {}

    async def note(self, actor: Actor, inbound: Inbound, denied: Denied) -> None:
        """Write a refusal to the audit log. The refusal stands also where the log can't be written."""
        now = self._clock()
        minute = int(now.timestamp() // 60)
        account = inbound.account
        last, count = self._seen.pop(account, (minute, 0))
        count = count + 1 if last == minute else 1
        self._seen[account] = (minute, count)
        if len(self._seen) > _ACCOUNTS:
            del self._seen[next(iter(self._seen))]
        if count > PER_MINUTE + 1:
            return
        flooded = count == PER_MINUTE + 1
        typed = inbound.filled.command if inbound.filled else " ".join(inbound.tokens or ()) or inbound.text or ""
        run = inbound.filled.values.get("run", "") if inbound.filled else ""
        event = Event(
            id=f"{account}/{minute}/refusals-suppressed" if flooded else f"{act_id(inbound)}/permission:denied",
            name=EventName.REFUSALS_SUPPRESSED if flooded else EventName.PERMISSION_DENIED,
            at=now,
            actor=actor.key,
            surface=actor.surface,
            reason_code=denied.code,
            reason=denied.message,
            details={"account": account, "typed": typed[:200]} | ({"run": run[:100]} if run else {}),
        )
        try:
            await self._audit_log.append(event)
        except AuditLogUnavailable:
            return
