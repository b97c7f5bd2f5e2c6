"""What people are told while a cluster does not answer, or refuses: after a while, in words, wherever its waiting shows.

`execution.steps` puts it on the progress line of the step that waits, `lease` on the head message before anything runs. It is in memory
only, and never waits: what the run does is not changed by it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from commands.kit.card import StepLine, StepStatus
from runbooks.clients.kubernetes.connection import ClusterOutage
from runbooks.kit.waiting import beside
from runbooks.wording import duration

_LOOK = 0.5
"""Seconds between two looks; an age can't wake anybody."""
_MINUTE = 60.0


@asynccontextmanager
async def told(
    unanswered: Callable[[], ClusterOutage], after: float, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Call `say` with a sentence once the cluster has not answered for `after` seconds, and with "" when it answers again.

    An outage of before counts only once a request has failed since this began: the cluster may have come back, and nobody asked it.
    """
    async with beside(_tell(unanswered, after, say), "telling of a cluster that does not answer"):
        yield


async def _tell(unanswered: Callable[[], ClusterOutage], after: float, say: Callable[[str], None]) -> None:
    said, began = "", asyncio.get_running_loop().time()
    while True:
        seen = unanswered()
        failed = seen.seconds > 0 and seen.tried <= asyncio.get_running_loop().time() - began
        now = sentence(seen) if failed and seen.seconds >= after else ""
        if now != said:
            said = now
            say(now)
        await asyncio.sleep(_LOOK)


def sentence(seen: ClusterOutage) -> str:
    """Return what the cluster does instead of answering, and for how long; rounded, so that the message does not change each second."""
    seconds = seen.lately
    step = 1 if seconds < 10 else 10 if seconds < _MINUTE else 30  # noqa: PLR2004 - seconds
    return f"the cluster {seen.what} for {duration(seconds - seconds % step)}; trying again"


def noticed(lines: tuple[StepLine, ...], notice: str) -> tuple[StepLine, ...]:
    """Return the steps, with the notice on the line of the one that runs."""
    if not notice:
        return lines
    return tuple(
        line.model_copy(update={"detail": " · ".join(filter(None, (line.detail, notice)))})
        if line.status is StepStatus.RUNNING
        else line
        for line in lines
    )
