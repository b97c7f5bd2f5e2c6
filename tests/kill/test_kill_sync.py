"""`kill -9` while items are exported and cleared: one export, each item cleared once, nothing that was not approved."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from sandbox.aws import BUCKET
from tests.support.worlds import APPROVER, ON_CALL, PRODUCTION, STAGING, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]

POINTS = [
    "sync-export-done",
    "sync-read-back-done",
    "sync-clear-done",
]
"""Exported, read back, cleared; each not yet recorded."""


def keys(here: Story) -> list[str]:
    import boto3

    session = boto3.session.Session(
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name="us-east-1"
    )
    found = session.client("s3", endpoint_url=here.world.aws.url).list_object_versions(Bucket=BUCKET)
    return [each["Key"] for each in found.get("Versions", [])]


async def approved(here: Story, text: str) -> str:
    run = await here.ask(text, who=ON_CALL)
    await here.press("dana", "approve", run)
    await here.says(run, "Dana approved", "approval")
    await here.press(APPROVER, "approve", run)
    return run


async def cleared_as_if_nothing_had_happened(here: Story, run: str, namespace: str, approved_ids: list[str]) -> None:
    await here.ended_with(run, "7 failed sync items cleared")
    queue = here.world.sync[namespace]
    gone = [each for call in queue.cleared for each in call]
    assert sorted(gone) == approved_ids, "each approved item once, and no other"
    (key,) = await asyncio.to_thread(keys, here)
    assert key.endswith(f"{run}.json")
    assert here.environment().run is None
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(tmp_path: Path, point: str):
    async with story(tmp_path / "world") as here:
        await here.start(point)
        queue = here.world.sync[PRODUCTION]
        ids = sorted(item["id"] for item in queue.items)
        run = await approved(here, "sync clear-failed")
        await here.ended()
        late = queue.add_failed()
        await here.start()
        await cleared_as_if_nothing_had_happened(here, run, PRODUCTION, ids)
        assert [item["id"] for item in queue.items] == [late]


async def test_killed_while_a_script_that_takes_no_ids_clears(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        queue = here.world.sync[STAGING]
        ids = sorted(item["id"] for item in queue.items)
        pid = here.world.bot.pid if here.world.bot else None
        assert pid is not None
        queue.on_clear = lambda: os.kill(pid, signal.SIGKILL)
        run = await approved(here, "sync clear-failed --env staging")
        await here.ended()
        queue.on_clear = None
        late = queue.add_failed()
        await here.start()
        await cleared_as_if_nothing_had_happened(here, run, STAGING, ids)
        assert [item["id"] for item in queue.items] == [late], "what failed while the bot was away stays"
