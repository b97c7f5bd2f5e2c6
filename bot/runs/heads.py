"""The audit log against the heads that each environment's record keeps of it: looked for before another one is kept.

A witness is never written over by whom it witnesses. Where a kept head does not stand in the log any more, the kept ones stay as
they are and nothing that changes something starts, except going back: its events are still written before it acts, and a text in
a ConfigMap must not keep anybody from it (`docs/decisions/0008-kept-heads.md`).
"""

import asyncio
import logging
from collections.abc import Callable

from bot.audit import AuditHead, AuditLog, AuditLogUnavailable, first_not_found
from runbooks.fleet import fleet as record
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment

_log = logging.getLogger(__name__)

_TRIES = 5
"""Several runs of one process may end at once, and each keeps a head."""


class KeptHeads:
    """One per process."""

    def __init__(self, audit_log: AuditLog) -> None:
        self._audit_log = audit_log
        self.wrong = ""
        """What is wrong with the audit log, a sentence without its full stop; it stays so until the bot is started anew."""
        self.tell: Callable[[str], None] = lambda _: None
        """Tells people at once; never waits (`bot.app`)."""
        self.copy: Callable[[AuditHead], None] = lambda _: None
        """Copies a head that was kept to where else heads are kept; never waits (`bot.app`)."""
        self._last: dict[str, record.KeptHead] = {}
        """The newest head that this process saw kept, by environment: a list without it was changed."""

    async def compare(self, fleet: Fleet, where: Environment) -> tuple[record.KeptHead, ...] | None:
        """Return the kept heads, all of them found in the log; None where not. Raises `RunbookError` where the record can't be asked."""
        try:
            kept = (await fleet.heads(where)).get(self._audit_log.name, ())
        except RunbookError as error:
            if error.code is not ReasonCode.RECORD_UNREADABLE:
                raise
            self._found(f"The heads of the audit log in {where.name}'s record can't be read")
            return None
        last = self._last.get(where.name)
        if last is not None and last not in kept:
            self._found(f"The heads of the audit log in {where.name}'s record were removed or changed")
            return None
        heads = [AuditHead(head.book, head.number, head.hash) for head in kept]
        if not await self.look_for(heads, f"{where.name}'s record"):
            return None
        if kept:
            self._last[where.name] = kept[-1]
        return kept

    async def look_for(self, heads: list[AuditHead], keeper: str) -> bool:
        """Return whether all of these stand in the log."""
        try:
            gone = await asyncio.to_thread(first_not_found, self._audit_log.path, heads)
        except AuditLogUnavailable as error:
            self._found(str(error).rstrip("."))
            return False
        if gone is not None:
            self._found(f"The audit log was changed: event {gone.seq} differs from the one in {keeper}")
        return gone is None

    async def keep(self, fleet: Fleet, where: Environment) -> None:
        """Keep the newest head beside the kept ones, once each of these was found in the log. Raises `RunbookError`."""
        for _ in range(_TRIES):
            kept = await self.compare(fleet, where)
            if kept is None:
                return
            head = await self._audit_log.head()
            if head.seq == 0:
                return
            newest = record.KeptHead(book=head.book, number=head.seq, hash=head.hash, at=record.utc_now())
            if await fleet.keep_head(where, newest, kept):
                if not kept or kept[-1].number < newest.number:
                    self._last[where.name] = newest
                    self.copy(head)
                # also in the log of the process, which goes elsewhere than the file
                _log.info("audit head", extra={"book": head.book, "number": head.seq, "hash": head.hash})
                return

    def _found(self, wrong: str) -> None:
        if self.wrong:
            return
        self.wrong = wrong
        _log.error("%s: nothing that changes something starts; the kept heads stay", wrong)
        self.tell(wrong)
