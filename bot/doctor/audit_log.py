"""The check of the audit log: its chain, and the heads in the fleet's record."""

import asyncio
from collections.abc import AsyncGenerator

from bot.audit import verify_audit_logs
from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from bot.doctor.verification import known_heads
from runbooks.wording import counted

_SHOWN = 10


async def tail(settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Check the whole chain up to its end: a million events take seconds."""
    path = settings.bot.audit_log_path
    if not path.exists():
        yield warning(f"There is no audit log at {path} yet.", "The bot creates it when it starts.")
        return
    heads, changed, missing = await known_heads(settings)
    found = [*changed, *await asyncio.to_thread(verify_audit_logs, [path], heads)]
    for finding in found[:_SHOWN]:
        yield failed(
            f"The audit log is not intact: {finding.sentence}",
            "Keep the file as it is, and find out who could write to it. `omnicare audit verify` lists everything.",
        )
    if len(found) > _SHOWN:
        yield failed(f"… and {counted(len(found) - _SHOWN, 'more finding')}.", "`omnicare audit verify` lists them.")
    for why in missing:
        yield warning(
            f"Can't check whether the end of the audit log was cut off: {why}.", "See the findings about that cluster."
        )
    if not found:
        yield fine(
            "The audit log is intact."
            if missing
            else "The audit log is intact, up to the heads kept in the fleet's record."
        )
