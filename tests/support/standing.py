"""Where a request stands, by the engine: what its messages say may be from before."""

import asyncio

from bot.runs.model import Phase
from tests.support.worlds import Story


async def stands(here: Story, run: str, phase: Phase) -> None:
    """Waits until the request stands there."""
    async with asyncio.timeout(60):
        while (state := await here.bot.durable.store.state(run)) is None or state.phase != phase:  # noqa: ASYNC110 - the engine wakes nobody
            await asyncio.sleep(0.01)
