"""Stories over the whole world: real Slack deliveries, real cluster, the bot in the test's own process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worlds import Story, story


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    """Everything but the bot, for a story that changes the configuration first."""
    async with story(tmp_path / "world") as made:
        yield made


@pytest.fixture
async def here(world: Story) -> Story:
    """The world with the bot in it."""
    await world.inside()
    return world
