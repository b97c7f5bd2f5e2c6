"""A delivery that comes twice acts once: Slack promises "at least once".

This is about deliveries (a trigger id, an event id); the act's own key is the door's business. A second one waits until the first
is handed over, because only then may it be acknowledged.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Once:
    """The deliveries of the last while, and how they ended."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._seen: OrderedDict[str, asyncio.Future[object]] = OrderedDict()

    def is_new(self, key: str) -> bool:
        """Whether nobody has begun it; for what is acknowledged before it is done."""
        if key in self._seen:
            return False
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        self._put(key, done)
        return True

    async def run(self, key: str, act: Callable[[], Awaitable[T]]) -> T:
        """Does it, or waits for the one that does it. What failed may be tried again by the next delivery."""
        first = self._seen.get(key)
        if first is not None:
            return cast("T", await asyncio.shield(first))
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._put(key, future)
        try:
            result = await act()
        except BaseException as error:
            self._seen.pop(key, None)
            if not future.done():
                future.set_exception(error if isinstance(error, Exception) else RuntimeError("stopped"))
                future.exception()  # nobody may be waiting
            raise
        future.set_result(result)
        return result

    def _put(self, key: str, future: "asyncio.Future[object]") -> None:
        self._seen[key] = future
        while len(self._seen) > self._most:
            oldest = next(iter(self._seen))
            if not self._seen[oldest].done():
                self._seen.move_to_end(oldest)
                break
            del self._seen[oldest]
