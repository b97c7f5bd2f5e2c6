"""`kill -9` while a configured script runs: one that changes something is never run twice; it is known how it ended, or told as unknown."""

from pathlib import Path

import pytest

from sandbox.cluster.programs import Execution
from tests.support.worlds import APPROVER, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]


async def killed_after(here: Story, point: str, typed: str) -> tuple[str, list[str]]:
    """The run, and where its script was run: the bot is killed once it has ended, before that is recorded, and started again."""
    ran: list[str] = []

    async def script(execution: Execution) -> int:
        ran.append(execution.pod["metadata"]["name"])
        await execution.out(b"done\n")
        return 0

    here.world.cluster.add_scripts({"cache:warm": script, "search:reindex": script})
    await here.start(point)
    run = await here.ask(typed)
    await here.press(APPROVER, "approve", run)
    await here.ended()
    await here.start()
    return run, ran


async def test_in_a_pod_it_is_told_as_unknown_and_not_run_again(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        run, ran = await killed_after(here, "run-script-cache-warm-done", "run cache-warm wards")
        assert "It was not run again" in await here.says(run, "it is unknown how far", "result")
        assert len(ran) == 1
        assert here.environment().run is None
        assert here.environment().undecided is None
        here.nothing_was_said_twice(run)


async def test_a_job_is_found_again_and_its_end_is_told(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        run, ran = await killed_after(here, "run-script-search-reindex-done", "run search-reindex")
        await here.ended_with(run, "search-reindex ran in production")
        assert len(ran) == 1
        here.nothing_was_said_twice(run)
