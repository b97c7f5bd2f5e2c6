"""Background work that must not end unnoticed: what fails is logged, counted, and started again after growing pauses.

A task whose reference is kept and that nobody awaits dies without a word: the bot would look alive and be deaf. `/healthz` fails while
anything keeps failing (`dead`), so that the cluster starts the process again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runbooks.kit.waiting import end, failed_inside

_log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Supervisor:
    """Runs background work by name, until it returns or everything is closed."""

    def __init__(
        self,
        failed: Callable[[str], None] = lambda _: None,
        *,
        first_pause: float = 0.5,
        longest_pause: float = 30.0,
        dead_after: float = 60.0,
    ) -> None:
        """`failed` is told each failure's name. `dead_after`: seconds of failing until it counts as dead, and of work until it is well again."""
        self._failed = failed
        self._first = first_pause
        self._longest = longest_pause
        self._dead_after = dead_after
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: dict[str, float] = {}
        """By name: the loop's time of the first failure since it was well."""

    def start(self, name: str, work: Work) -> asyncio.Task[None]:
        """Begin, and begin again whenever it fails; what returns has done its work. Cancel the task to end it before."""
        task = asyncio.get_running_loop().create_task(self._keep(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def dead(self) -> list[str]:
        """Return the names of what has kept failing for too long."""
        now = asyncio.get_running_loop().time()
        return sorted(name for name, since in self._failing.items() if now - since >= self._dead_after)

    async def close(self) -> None:
        """End it all."""
        await end(*self._tasks)

    async def _keep(self, name: str, work: Work) -> None:
        loop, pause = asyncio.get_running_loop(), self._first
        while True:
            well = loop.call_later(self._dead_after, self._failing.pop, name, None)
            began = loop.time()
            try:
                await work()
            except BaseException as error:
                if not failed_inside(error):
                    raise
                failure = error
            else:
                self._failing.pop(name, None)
                return
            finally:
                well.cancel()
            if loop.time() - began >= self._dead_after:
                pause = self._first
            self._failing.setdefault(name, loop.time())
            self._failed(name)
            _log.error("%s failed and is started again in %g s", name, pause, exc_info=failure)
            await asyncio.sleep(pause)
            pause = min(self._longest, pause * 2)
