"""Watches: what changed after a version, then what changes from now on, until the time is up or the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sandbox.cluster.errors import ApiError
from sandbox.cluster.resources import Json, Kind
from sandbox.cluster.selectors import Match
from sandbox.cluster.store import Change, Store

Event = tuple[str, Json]
_BOOKMARK_SECONDS = 60.0
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Watch:
    """One client's view of one kind: the objects of a namespace that its selectors match.

    It listens from the moment that it is made, so nothing falls between what was and what comes.
    """

    def __init__(self, store: Store, kind: Kind, namespace: str, matches: list[Match]) -> None:
        self._store, self._kind, self._namespace, self._matches = store, kind, namespace, matches
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._stop = store.listen(self._see)

    def start(self, version: str, *, initial: bool) -> None:
        """Put what a client that stands at `version` has not seen first; 410 where that is too long ago."""
        if initial or version in ("", "0"):
            for obj in self._store.all(self._kind, self._namespace):
                if self._wants(obj):
                    self._queue.put_nowait(("ADDED", obj))
        else:
            number = int(version) if version.isdigit() else 0
            for change in self._store.since(self._kind, number):
                self._see(change)
        if initial:
            self._queue.put_nowait(("BOOKMARK", self._bookmark(_INITIAL_END)))

    async def events(self, seconds: float, *, bookmarks: bool) -> AsyncIterator[Event]:
        """Until `seconds` have passed; the subscription ends with it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            while (left := end - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, _BOOKMARK_SECONDS)):
                        event = await self._queue.get()
                except TimeoutError:
                    # What came just as the time was up goes first: a bookmark says that all before it was told.
                    while not self._queue.empty():
                        late = self._queue.get_nowait()
                        if late is None:
                            return
                        yield late
                    if bookmarks:
                        yield "BOOKMARK", self._bookmark({})
                    continue
                if event is None:
                    return
                yield event
        finally:
            self._stop()

    def close(self) -> None:
        self._stop()
        self._queue.put_nowait(None)

    def _bookmark(self, annotations: dict[str, str]) -> Json:
        metadata: Json = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return {"kind": self._kind.name, "apiVersion": self._kind.api_version, "metadata": metadata}

    def _wants(self, obj: Json) -> bool:
        return all(match(obj) for match in self._matches)

    def _see(self, change: Change) -> None:
        """A change as this client sees it: what begins to match comes, what ceases to match goes."""
        if change.kind != self._kind:
            return
        if self._namespace and change.obj["metadata"].get("namespace") != self._namespace:
            return
        before = change.old is not None and self._wants(change.old)
        now = change.type != "DELETED" and self._wants(change.obj)
        if now:
            self._queue.put_nowait(("MODIFIED" if before else "ADDED", change.obj))
        elif before:
            self._queue.put_nowait(("DELETED", change.obj))


def error_event(error: ApiError) -> Event:
    return "ERROR", error.status()
