"""A watch of a list of objects that misses nothing, whatever happens to the connection.

A watch is resumed where it ended: after the server ends it, the connection breaks, or it goes silent without an
error (half-open). If the server no longer has that position (410 Gone), everything is listed again, and what changed or
vanished meanwhile is reported as if it had just happened.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runbooks.clients.kubernetes.connection import Connection
from runbooks.clients.kubernetes.errors import Busy, Gone, refusal, unreadable
from runbooks.clients.kubernetes.fields import count, fields, listed, text
from runbooks.clients.kubernetes.views import Seen, View
from runbooks.kit.answers import read_object
from runbooks.kit.errors import TemporaryError

if TYPE_CHECKING:
    import aiohttp

V = TypeVar("V", bound=View)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_TOO_SHORT = 0.2
_CHUNK = 64 * 1024
_LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; the API's own limit for one object is some 3 MB."""


class Watch(Generic[V]):
    """One list that is followed. Iterate over `seen()` inside `contextlib.aclosing`."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        query: Mapping[str, str],
        read: Callable[[Mapping[str, Any]], V],
        doing: str,
        *,
        listed_as: Seen[V] | None = None,
    ) -> None:
        """`listed_as`: what is yielded once after the first list, where a reader of several watches has to know whose it is."""
        self._connection = connection
        self._path = path
        self._query = dict(query)
        self._read = read
        self._doing = doing
        self._known: dict[str, V] = {}
        self._version: str | None = None
        self._listed: str | None = None
        """The version of the last list: a watch from there that is refused as too old was refused at once."""
        self._listed_as: Seen[V] = listed_as or Seen("synced")
        self._synced = False
        self._failing_since: float | None = None
        self._pause = _FIRST_PAUSE

    async def seen(self) -> AsyncGenerator[Seen[V]]:
        """Yield all objects, then `synced`, then every change, until the caller stops."""
        while True:
            try:
                if self._version is None:
                    for item in await self._list():
                        yield item
                began = asyncio.get_running_loop().time()
                async with aclosing(self._follow(self._version or "")) as changes:
                    async for item in changes:
                        yield item
                if asyncio.get_running_loop().time() - began < _TOO_SHORT:  # a server that ends each watch immediately
                    await asyncio.sleep(_TOO_SHORT)
                else:
                    self._pause = _FIRST_PAUSE
            except Gone as error:
                if self._version is not None and self._version == self._listed:  # nothing came since the last list
                    await self._wait(error)
                self._version = None
            except TemporaryError as error:
                await self._wait(error)

    async def _list(self) -> list[Seen[V]]:
        answer = await self._connection.call("GET", self._path, doing=self._doing, query=self._query)
        version = text(fields(answer, "metadata"), "resourceVersion")
        if not version:  # not a list: all known objects would seem deleted
            raise self._unreadable()
        present = {view.uid: view for view in map(self._read, listed(answer, "items"))}
        told: list[Seen[V]] = [Seen("deleted", view) for uid, view in self._known.items() if uid not in present]
        for uid, view in present.items():
            before = self._known.get(uid)
            if before is None or before.resource_version != view.resource_version:
                told.append(Seen("changed", view))
        self._known = present
        self._version = self._listed = version
        self._failing_since = None
        if not self._synced:
            self._synced = True
            told.append(self._listed_as)
        return told

    async def _follow(self, version: str) -> AsyncGenerator[Seen[V]]:
        timing = self._connection.timing
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(timing.watch))),
        }
        silence = max(1, round(timing.watch)) + timing.watch_grace
        async with self._connection.stream(self._path, doing=self._doing, query=query, silence=silence) as stream:
            self._failing_since = None
            async for line in _lines(stream):
                item = self._take(line)
                self._recovered()
                if item is not None:
                    yield item

    def _take(self, line: bytes) -> Seen[V] | None:
        # Cut in the middle of a line, or no event at all: what comes after it is not looked at, the next watch tells all of it again.
        told = read_object(line, self._unreadable)
        kind, thing = text(told, "type"), fields(told, "object")
        if kind == "ERROR":
            raise refusal(count(thing, "code") or 500, json.dumps(thing).encode(), self._doing)
        version = text(fields(thing, "metadata"), "resourceVersion")
        if not kind or not version:
            raise self._unreadable()
        self._version = version
        if kind == "BOOKMARK":
            return None
        view = self._read(thing)
        if kind == "DELETED":
            self._known.pop(view.uid, None)
            return Seen("deleted", view)
        self._known[view.uid] = view
        return Seen("changed", view)

    def _unreadable(self) -> TemporaryError:
        return unreadable(self._connection.server, self._doing)

    def _recovered(self) -> None:
        """It told something, which is more than that it could be taken up: one that is refused right after waits longer each time."""
        self._pause = _FIRST_PAUSE
        self._connection.answered()

    async def _wait(self, error: TemporaryError) -> None:
        """Pause, longer each time. Raises after failing for too long."""
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._connection.timing.outage:
            raise error
        said = error.retry_after if isinstance(error, Busy) else 0.0
        await asyncio.sleep(max(said, self._pause * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads reconnections, no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


async def _lines(stream: "aiohttp.StreamReader") -> AsyncGenerator[bytes]:
    """Whole lines, and at the end what was left of one. (The reader's own `readline` fails at 128 KB, and objects are longer.)"""
    held = bytearray()
    while chunk := await stream.read(_CHUNK):
        first, *more = chunk.split(b"\n")
        held += first
        for part in more:
            if held:
                yield bytes(held)
            held = bytearray(part)
        if len(held) > _LONGEST_LINE:
            break
    if held:
        yield bytes(held)
