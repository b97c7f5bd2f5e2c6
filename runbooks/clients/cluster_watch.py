"""Watching a list of objects so that nothing is missed, whatever the connection does.

A watch is taken up where it ended: when the server ends it, when the connection breaks, when it goes silent without an
error (half-open). Where the server no longer knows that place (410 Gone) everything is listed again, and what changed or
vanished meanwhile is told as if it had just happened.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from runbooks.clients.cluster_connection import Connection
from runbooks.clients.cluster_errors import Gone, refusal
from runbooks.clients.cluster_views import Seen, View
from runbooks.kit.errors import TemporaryError

V = TypeVar("V", bound=View)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_TOO_SHORT = 0.2


class Watch(Generic[V]):
    """One list that is followed. Iterate over `seen()` inside `contextlib.aclosing`."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        query: Mapping[str, str],
        read: Callable[[Mapping[str, Any]], V],
        doing: str,
    ) -> None:
        self._connection = connection
        self._path = path
        self._query = dict(query)
        self._read = read
        self._doing = doing
        self._known: dict[str, V] = {}
        self._version: str | None = None
        self._synced = False
        self._failing_since: float | None = None
        self._pause = _FIRST_PAUSE

    async def seen(self) -> AsyncGenerator[Seen[V]]:
        """Everything there is, then `synced`, then every change, until the caller stops."""
        while True:
            try:
                if self._version is None:
                    for item in await self._list():
                        yield item
                began = asyncio.get_running_loop().time()
                async with aclosing(self._follow(self._version or "")) as changes:
                    async for item in changes:
                        yield item
                if asyncio.get_running_loop().time() - began < _TOO_SHORT:  # a server that ends each watch at once
                    await asyncio.sleep(_TOO_SHORT)
            except Gone:
                self._version = None
            except TemporaryError as error:
                await self._wait(error)

    async def _list(self) -> list[Seen[V]]:
        answer = await self._connection.call("GET", self._path, doing=self._doing, query=self._query)
        present = {view.uid: view for view in map(self._read, answer.get("items") or [])}
        told: list[Seen[V]] = [Seen("deleted", view) for uid, view in self._known.items() if uid not in present]
        for uid, view in present.items():
            before = self._known.get(uid)
            if before is None or before.resource_version != view.resource_version:
                told.append(Seen("changed", view))
        self._known = present
        self._version = answer["metadata"]["resourceVersion"]
        self._recovered()
        if not self._synced:
            self._synced = True
            told.append(Seen("synced"))
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
            while line := await stream.readline():
                self._recovered()
                item = self._take(line)
                if item is not None:
                    yield item

    def _take(self, line: bytes) -> Seen[V] | None:
        try:
            told = json.loads(line)
        except ValueError:  # the connection was cut in the middle of a line: the next watch tells it again
            return None
        kind, thing = told["type"], told["object"]
        if kind == "ERROR":
            raise refusal(int(thing.get("code") or 500), json.dumps(thing).encode(), self._doing)
        self._version = thing["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return None
        view = self._read(thing)
        if kind == "DELETED":
            self._known.pop(view.uid, None)
            return Seen("deleted", view)
        self._known[view.uid] = view
        return Seen("changed", view)

    def _recovered(self) -> None:
        self._failing_since = None
        self._pause = _FIRST_PAUSE

    async def _wait(self, error: TemporaryError) -> None:
        """A short pause, longer each time; raises when it has failed for too long."""
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._connection.timing.outage:
            raise error
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnections, no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
