"""Handing a request to the engine: first the audit log, then the engine, and the same request of the same person only once."""

from bot.audit import AuditLogUnavailable
from bot.process import crash_points
from bot.runs.model import Request
from bot.runs.notes import AuditNotes
from bot.runs.pending import PendingRequests
from bot.runs.store import RunStore


class Submissions:
    """One per process."""

    def __init__(self, store: RunStore, pending: PendingRequests, notes: AuditNotes) -> None:
        self._store = store
        self._pending = pending
        self._notes = notes

    async def submit(self, request: Request, *, bounded: bool) -> str | None:
        """Start the request once it is in the log; or return the id of the same request of this person that is still open.

        `bounded`: raises `Denied` where the person has too many open. Raises `AuditLogUnavailable` where it can't be written: then
        nothing was started.
        """
        again = self._pending.holds(request)
        if (twin := await self._twin(request, bounded=bounded)) is not None:
            return twin
        try:
            await self._hand_over(request)
        except BaseException:
            if not again:
                self._pending.end(request)
            raise
        return None

    async def _hand_over(self, request: Request) -> None:
        if not await self._notes.requested(request):
            raise AuditLogUnavailable("the request could not be written")
        crash_points.reached("request-noted")
        await self._store.start(request)

    async def _twin(self, request: Request, *, bounded: bool) -> str | None:
        """Return the open request of this person for the same; one that the engine has ended does not count."""
        while (found := self._pending.claim(request, bounded=bounded)) is not None:
            if await self._store.standing(found) != "ended":  # one look: a hand-over may finish between two
                return found
            self._pending.forget(found)
        return None
