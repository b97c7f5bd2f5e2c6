"""The disk is full in the middle of a run: really, by a limit that the kernel keeps to, for the audit log and for the engine alike."""

import resource
from pathlib import Path

import pytest

from sandbox.outside.registry import digest_of
from tests.support.terminals import omnicare, read_until, run_of, started
from tests.support.worlds import APPROVER, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]

FULL, ROOMY = 4096, resource.RLIM_INFINITY


def limit(here: Story, size: int) -> None:
    """No file of the bot's may be longer: every write behind that fails, as on a full disk."""
    assert here.world.bot is not None
    assert here.world.bot.pid is not None
    resource.prlimit(here.world.bot.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_the_running_step_is_watched_to_its_end_and_no_other_starts(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        here.keep_unready("backend", "v2.0.0")
        run = await here.ask("deploy v2.0.0")
        await here.press(APPROVER, "approve", run)
        posted = await here.says(run, "Backend rollout", "progress")
        await here.until(lambda: here.tag("backend") == "v2.0.0", "the backend is rolling")
        await here.until(
            lambda: here.text(run, "progress") != posted, "it is edited, so where it stands is on the disk"
        )
        limit(here, FULL)
        here.let_ready("backend", "v2.0.0")
        said = await here.says(run, "no further step starts", "progress")
        assert here.new_pods("backend", "v2.0.0") == 3, "what ran was watched to its end"
        frontend = here.deployment("frontend")["spec"]["template"]["spec"]["containers"][0]["image"]
        wanted = f"frontend:v2.0.0@{digest_of('frontend', 'v2.0.0')}"
        assert f"kubectl set image deployment/frontend frontend=ghcr.io/omnicare/{wanted}" in said
        assert "deployment/backend" not in said, "what is done is not to be done again"
        status, seen = await omnicare(here.config, "--as", "ines", "status")
        assert status == 0, "looking works"
        assert "v2.0.0" in seen
        status, refused = await omnicare(here.config, "--as", "maya", "deploy", "v1.2.0", "--reason", "back")
        assert status != 0
        assert "audit log can't be written" in refused
        limit(here, ROOMY)
        await here.ended_with(run, "stopped at Frontend rollout")
        assert here.deployment("frontend")["spec"]["template"]["spec"]["containers"][0]["image"] == frontend
        assert "kubectl set image deployment/frontend" in here.text(run, "result")
        record = here.environment()
        assert record.run is None
        assert record.undecided is not None
        names = here.event_names(run)
        assert names.count("step:finished") == 2, "what happened meanwhile is written afterwards"
        assert names[-1] == "run:failed"
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


async def test_who_follows_in_a_terminal_gets_the_lines_too_and_a_later_retry_does_the_rest(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        here.keep_unready("backend", "v2.0.0")
        here.world.slack.go_down()
        asking = await started(here.config, "--as", "maya", "deploy", "v2.0.0")
        run = run_of(await read_until(asking, "Deny: "))
        assert (await omnicare(here.config, "--as", "tomas", "approve", run))[0] == 0
        await read_until(asking, "Backend rollout")
        await here.until(lambda: here.tag("backend") == "v2.0.0", "the backend is rolling")
        limit(here, FULL)
        here.let_ready("backend", "v2.0.0")
        await read_until(asking, "kubectl set image deployment/frontend")
        limit(here, ROOMY)
        await read_until(asking, "stopped at Frontend rollout")
        here.world.slack.come_back()
        await here.world.bot_ready()
        await here.until(here.runs, "Slack has the first one's messages")
        before = here.revision("backend")
        again = await here.ask("deploy v2.0.0")
        await here.press(APPROVER, "approve", again)
        await here.ended_with(again, "v2.0.0 runs in production")
        assert here.revision("backend") == before, "what was done is not done again"
