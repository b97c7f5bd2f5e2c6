"""The book while it is open: one writer thread that commits together all that waits, and reading beside it.

Each append waits for its own sync to disk; whoever comes while one is under way goes into the next transaction, so
fifty writers at once cost hardly more syncs than one.
"""

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

from bot.audit.events import BookUnavailable, Draft, Entry, Event, Head, Recorded, draft
from bot.audit.file import BookFile, search_books
from runbooks.kit.redaction import RedactionFailed, Redactor

_AT_ONCE = 500
"""Events in one transaction at most."""


class _Waiting(NamedTuple):
    draft: Draft
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Recorded]"


class Book:
    """One per process. Made by `Book.open`; closing it writes what still waits."""

    def __init__(self, file: BookFile, redactor: Redactor) -> None:
        self._file = file
        self._redactor = redactor
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="book-writer", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path, *, name: str, redactor: Redactor) -> Self:
        """Opens the book, or makes it (0600). Raises `BookHeld` where another process has it, `BookUnavailable`."""
        return cls(BookFile(path, name), redactor)

    @property
    def name(self) -> str:
        """Stands in every event."""
        return self._file.name

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    async def append(self, event: Event) -> Recorded:
        """Returns once the event is on the disk. An id that the book has writes nothing and returns what stands there.

        Raises `BookUnavailable`. Cancelling the caller does not take back what was handed over.
        """
        try:
            ready = draft(event, self._redactor)
        except RedactionFailed as error:
            raise BookUnavailable(
                "An event could not be checked for what must never leave; it was not written."
            ) from error
        except ValueError as error:
            raise BookUnavailable("An event could not be put into bytes; it was not written.") from error
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Recorded] = loop.create_future()
        with self._closing:
            if self._closed:
                raise BookUnavailable("The book is closed: the bot is stopping.")
            self._queue.put(_Waiting(ready, loop, done))
        return await done

    async def head(self) -> Head:
        """The newest event, to be written to the fleet."""
        return self._file.head

    async def search(
        self,
        *,
        actor: str | None = None,
        command: str | None = None,
        environment: str | None = None,
        run: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[Entry]:
        """Events of this book that match, newest first. Raises `BookUnavailable`."""
        return await asyncio.to_thread(
            search_books,
            [self.path],
            actor=actor,
            command=command,
            environment=environment,
            run=run,
            name=name,
            since=since,
            until=until,
            limit=limit,
        )

    async def close(self) -> None:
        """Writes what waits, then lets the file go. Twice is once."""
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
            batch = [self._queue.get()]
            while len(batch) < _AT_ONCE:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            going = None not in batch
            if waiting := [each for each in batch if each is not None]:
                self._commit(waiting)
        self._file.close()

    def _commit(self, waiting: list[_Waiting]) -> None:
        try:
            results: Sequence[Recorded | Exception] = self._file.append([each.draft for each in waiting])
        except BookUnavailable as error:
            results = [_again(error, str(error)) for _ in waiting]
        except Exception as error:  # noqa: BLE001 - the thread must live on: whoever waits is told, and it is a bug
            results = [_again(error, "The book failed in a way that nobody foresaw.") for _ in waiting]
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Recorded], Recorded | Exception]]]
        by_loop = defaultdict(list)
        for each, result in zip(waiting, results, strict=True):
            by_loop[each.loop].append((each.done, result))
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle, settled)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue


def _again(error: Exception, sentence: str) -> BookUnavailable:
    """One for each who waits: a raised exception belongs to the task that raises it."""
    own = BookUnavailable(sentence)
    own.__cause__ = error
    return own


def _settle(settled: list[tuple["asyncio.Future[Recorded]", Recorded | Exception]]) -> None:
    for done, result in settled:
        if done.done():  # its caller was cancelled
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
