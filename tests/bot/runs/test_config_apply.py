"""The release's configuration: applied by a deploy after its services, and alone by `config apply`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.cluster.resources import CONFIG_MAP
from tests.support.worlds import APPROVER, PRODUCTION, REQUESTER, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("gates", "manifests")) as made:
        await made.inside()
        yield made


def _config(here: Story) -> dict[str, str]:
    return dict(here.world.cluster.store.get(CONFIG_MAP, PRODUCTION, "backend-config")["data"])


async def test_a_deploy_applies_what_differs_and_an_older_configuration_is_applied_alone(here: Story):
    before = _config(here)
    run = await here.ask("deploy v2.0.0")
    plan = await here.says(run, "backend-config · OFFLINE_SYNC_BATCH", "plan")
    assert "LOG_LEVEL" not in plan
    assert "Not applied, because the bot applies only ConfigMaps: Service backend." in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "ConfigMap backend-config: 1 key changed." in here.text(run, "result")
    assert "backend and frontend v1.2.0 → v2.0.0" in here.text(run)
    assert _config(here) == before | {"OFFLINE_SYNC_BATCH": "50"}
    run = await here.ask("config apply v1.2.0", who=REQUESTER)
    await here.says(run, "not there", "plan")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "production has the configuration of v1.2.0")
    assert _config(here) == before
    run = await here.ask("config apply v1.2.0", who=REQUESTER)
    await here.says(run, "already has the configuration of v1.2.0", "result")
