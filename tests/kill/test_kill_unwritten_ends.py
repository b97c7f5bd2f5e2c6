"""`kill -9` while a run's end can't be written into the fleet's record: the bot that returns goes on trying, and writes it once."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SHORT
from tests.faults.steps import RECORDS
from tests.support.interference import How, cluster_through
from tests.support.worlds import APPROVER, REQUESTER, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]

IMPATIENT = {"cluster_call": 30.0, "cluster_patience": 0.5, "cluster_refusals": 0.5}
FOREVER = 10**6


@pytest.mark.parametrize("moment", ["while it tries", "once it is written"])
async def test_the_end_of_a_failed_run_outlives_the_bot(tmp_path: Path, moment: str):
    async with (
        story(tmp_path / "world", times=SHORT | IMPATIENT) as here,
        cluster_through(here.world.folder / "bot.kubeconfig", tmp_path) as (cluster, through),
    ):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)

        here.configure(change)
        await here.start("" if moment == "while it tries" else "end-written")
        run = await here.ask("deploy v2.1.0-bad")
        await here.press(APPROVER, "approve", run)
        await here.until(lambda: here.tag("backend") == "v2.1.0-bad", "the backend is rolling")
        fault = cluster.fail(
            How.UNKNOWN, lambda r: r.method in ("POST", "PUT") and r.path.startswith(RECORDS), times=FOREVER
        )
        await here.says(run, "The bot keeps trying", "result")
        if moment == "while it tries":
            await here.kill()
            struck = fault.struck
            await here.start()
            await here.until(lambda: fault.struck > struck, "it is tried again")
            cluster.rules.clear()
        else:
            cluster.rules.clear()
            await here.back_again()
        await here.until(lambda: here.environment().run is None, "the place is given back")
        undecided = here.environment().undecided
        assert undecided is not None
        assert undecided.run == run
        await here.type(REQUESTER, f"/omnicare resolve {run} --reason fixed")
        await here.until(lambda: here.environment().undecided is None, "it is decided")
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
