"""The audit log while it is open: one writer thread that commits together all that waits, and reading beside it.

Each append waits for its own sync to disk; whoever comes while one is under way goes into the next transaction, so
fifty writers at once cost hardly more syncs than one. Events are redacted and put into bytes in that thread too, all
that waits with one search, so that the loop only hands over.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from bot.audit.events import Appended, AuditHead, AuditLogUnavailable, Draft, Entry, Event, drafts
from bot.audit.file import AuditFile, search_audit_logs
from commands.kit.audit_filter import EVERYTHING, AuditFilter
from runbooks.redaction.redactor import Redactor

_UNFORESEEN = "The audit log failed unexpectedly."
_STOPPING = "The audit log is closed: the bot is stopping."


class _Waiting(NamedTuple):
    event: Event
    done: "asyncio.Future[Appended]"


class _Batch(NamedTuple):
    """What one turn of an event loop wants written: handed over as one, so that it is one transaction."""

    loop: asyncio.AbstractEventLoop
    waiting: list[_Waiting]


class _Probe(NamedTuple):
    """Whether an event could be written now; none is."""

    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"


class AuditLog:
    """One per process. Made by `AuditLog.open`; closing it writes what still waits."""

    def __init__(self, file: AuditFile, redactor: Redactor) -> None:
        self._file = file
        self._redactor = redactor
        self._queue: queue.SimpleQueue[_Batch | _Probe | None] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, _Batch] = {}
        self._closing = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="book-writer", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path, *, name: str, redactor: Redactor) -> Self:
        """Open the audit log, or make it (0600). Raises `AuditLogHeld` where another process has it, `AuditLogUnavailable`."""
        return cls(AuditFile(path, name), redactor)

    @property
    def name(self) -> str:
        """The log's name, which stands in every event."""
        return self._file.name

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    async def append(self, event: Event) -> Appended:
        """Write the event and return once it is on the disk. An id that the log has already writes nothing and returns what stands there.

        Raises `AuditLogUnavailable`. Cancelling the caller does not take back what was handed over.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Appended] = loop.create_future()
        batch = self._gathering.get(loop)
        if batch is None:
            # Whoever appends in this same turn of the loop joins; the writer is woken once, when the turn is over.
            batch = self._gathering[loop] = _Batch(loop, [])
            loop.call_soon(self._hand_over, loop)
        batch.waiting.append(_Waiting(event, done))
        return await done

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._gathering.pop(loop)
        with self._closing:
            if not self._closed:
                self._queue.put(batch)
                return
        _settle([(each.done, AuditLogUnavailable(_STOPPING)) for each in batch.waiting])

    async def check(self) -> None:
        """Raises `AuditLogUnavailable` where an event could not be written now. It writes none."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._closing:
            if self._closed:
                raise AuditLogUnavailable(_STOPPING)
            self._queue.put(_Probe(loop, done))
        await done

    async def head(self) -> AuditHead:
        """Return the newest event, to be written to the fleet."""
        return self._file.head

    async def search(self, wanted: AuditFilter = EVERYTHING) -> Sequence[Entry]:
        """Return the events of this log that match, newest first. Raises `AuditLogUnavailable`."""
        return await asyncio.to_thread(search_audit_logs, [self.path], wanted)

    async def close(self) -> None:
        """Write what waits, then close the file; the second time does nothing."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        await asyncio.to_thread(self._writer.join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- the writer's thread ----

    def _write(self) -> None:
        going = True
        while going:
            batches = [self._queue.get()]
            while not self._queue.empty():
                batches.append(self._queue.get())
            going = None not in batches
            if work := [each for each in batches if isinstance(each, _Batch)]:
                self._commit(work)
            if probes := [each for each in batches if isinstance(each, _Probe)]:
                self._probe(probes)
        self._file.close()

    def _commit(self, batches: list[_Batch]) -> None:
        events = [each.event for batch in batches for each in batch.waiting]
        try:
            outcome = self._appended(events)
        except AuditLogUnavailable as error:
            outcome = [_again(error) for _ in events]
        except Exception as error:  # noqa: BLE001 - the thread must live on: whoever waits is told, and it is a bug
            unforeseen = AuditLogUnavailable(_UNFORESEEN)
            unforeseen.__cause__ = error
            outcome = [_again(unforeseen) for _ in events]
        results = iter(outcome)
        for batch in batches:
            settled = [(each.done, next(results)) for each in batch.waiting]
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                batch.loop.call_soon_threadsafe(_settle, settled)

    def _probe(self, probes: list[_Probe]) -> None:
        why: AuditLogUnavailable | None = None
        try:
            self._file.check()
        except AuditLogUnavailable as error:
            why = error
        except Exception as error:  # noqa: BLE001 - as in `_commit`
            why = AuditLogUnavailable(_UNFORESEEN)
            why.__cause__ = error
        for each in probes:
            with contextlib.suppress(RuntimeError):
                each.loop.call_soon_threadsafe(_answer, each.done, _again(why) if why else None)

    def _appended(self, events: Sequence[Event]) -> list[Appended | AuditLogUnavailable]:
        """Write in one transaction all events that can be written, and return the outcome of each; one that can't be does not hinder the others."""
        ready = drafts(events, self._redactor)
        fit = [each for each in ready if isinstance(each, Draft)]
        recorded = iter(self._file.append(fit) if fit else ())
        return [next(recorded) if isinstance(each, Draft) else each for each in ready]


def _again(error: AuditLogUnavailable) -> AuditLogUnavailable:
    """Return a copy for each task that waits: a raised exception belongs to the task that raises it."""
    own = AuditLogUnavailable(str(error))
    own.__cause__ = error.__cause__
    return own


def _settle(settled: list[tuple["asyncio.Future[Appended]", Appended | AuditLogUnavailable]]) -> None:
    for done, result in settled:
        if done.done():  # its caller was cancelled
            continue
        if isinstance(result, AuditLogUnavailable):
            done.set_exception(result)
        else:
            done.set_result(result)


def _answer(done: "asyncio.Future[None]", why: AuditLogUnavailable | None) -> None:
    if done.done():
        return
    if why is not None:
        done.set_exception(why)
    else:
        done.set_result(None)
