"""Nights on which nothing was deployed: a log or the sync queue in a bad way, as `--scenario` plays them, and what the command then says."""

import pytest

from sandbox.scenarios import BY_NAME, EVERY, LOGS, SYNC
from sandbox.scenarios.scenario import Scenario
from tests.support.worlds import ON_CALL, PRODUCTION, Story

QUIET = (*LOGS, *SYNC)


@pytest.mark.parametrize("night", QUIET, ids=lambda night: night.name)
async def test_the_command_says_what_is_wrong(here: Story, night: Scenario) -> None:
    assert night in here.world.scenarios
    assert await here.world.play(night) == f"{night.sentence} Type: /omnicare {night.command}"
    await here.type(ON_CALL, f"/omnicare {night.command}")
    if night.name in ("sync-missing", "sync-silent"):
        await here.whispered(ON_CALL, night.cause)
    else:
        await here.answered(night.cause)


async def test_a_reset_takes_it_back(here: Story) -> None:
    await here.world.play(BY_NAME["sync-stuck"])
    await here.world.reset()
    await here.answer(ON_CALL, "sync status", "Sync in production is running")
    assert here.world.sync[PRODUCTION].stuck_since is None


def test_names_are_their_own_and_say_what_is_wrong() -> None:
    assert len({night.name for night in EVERY}) == len(EVERY)
    assert all(night.sentence.endswith(".") and night.cause for night in QUIET)
