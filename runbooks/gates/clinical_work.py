"""The gate on clinical work in flight: offline sync items that are pending."""

import asyncio
from dataclasses import dataclass

from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.gates.settings import BacklogSettings
from runbooks.sync.queue import SyncQueue
from runbooks.wording import counted


@dataclass(frozen=True, kw_only=True)
class SyncBacklog(Gate):
    """Pending items are few, or at least not becoming more."""

    key: str = "sync"
    name: str = "Clinical work in flight"
    settings: BacklogSettings

    async def look(self, subject: GateSubject) -> GateResult:
        queue = subject.use(SyncQueue)
        first = (await queue.status()).pending
        if first is None:
            return self._uncounted()
        if first <= self.settings.large:
            return self.passed(f"{counted(first, 'pending sync item')}", number=first)
        await asyncio.sleep(self.settings.seconds)
        second = (await queue.status()).pending
        if second is None:
            return self._uncounted()
        if second - first >= self.settings.growth:
            return self.not_passed(
                "failed",
                f"{second} sync items are pending, {second - first} more than {self.settings.seconds:g} s ago",
                "Wait until the queue shrinks; `sync status` shows it.",
                number=second,
                button=("Sync status", f"sync status --env {subject.environment.name}"),
            )
        evidence = f"{second} sync items are pending, and their number is not growing"
        return self.passed(evidence, number=second, warning=f"{second} offline sync items are pending.")

    def _uncounted(self) -> GateResult:
        return self.not_passed(
            "unknown", "the sync script does not say how many items are pending", "`sync status` shows its output."
        )
