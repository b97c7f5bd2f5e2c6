"""`sheet`: the page for a bad night, in Slack as a file and in a terminal as text."""

from pathlib import Path

from sandbox.outside.registry import digest_of
from tests.support.terminals import omnicare
from tests.support.worlds import AUDITOR, ON_CALL, PRODUCTION, Story, story


async def test_after_a_release_it_has_what_runs_and_what_a_person_types_to_go_back(here: Story):
    await here.deployed("v2.0.0")
    await here.press(AUDITOR, "type-sheet")
    said = await here.answered("production runs v2.0.0")
    assert "a rollback goes to v1.2.0" in said
    page = await here.until(
        lambda: next((each.content for each in here.slack.files.values() if each.name.startswith("sheet-")), None),
        "the page",
    )
    status, shown = await omnicare(here.config, "--as", "noor", "sheet")
    assert status == 0, shown
    back = f"ghcr.io/omnicare/backend:v1.2.0@{digest_of('backend', 'v1.2.0')}"
    for text in (page.decode(), shown):
        assert f"kubectl set image deployment/backend backend={back} -n {PRODUCTION}" in text
        assert digest_of("frontend", "v2.0.0") in text
        assert "DBA team: #dba" in text


async def test_where_it_is_configured_the_thread_of_a_deploy_gets_it_as_a_file_and_a_rollbacks_does_not(tmp_path: Path):
    async with story(tmp_path / "world", parts=("sheet",)) as here:
        await here.inside()
        run = await here.deployed("v2.0.0")
        (page,) = await here.until(
            lambda: [each.content.decode() for each in here.slack.files.values() if each.name.startswith("sheet-")],
            "the page",
        )
        assert digest_of("backend", "v2.0.0") in page
        assert f"backend=ghcr.io/omnicare/backend:v1.2.0@{digest_of('backend', 'v1.2.0')}" in page
        assert "The sheet for a bad night" in here.text(run, "result")
        back = await here.ask("rollback", who=ON_CALL)
        await here.press(ON_CALL, "approve", back)
        await here.ended_with(back, "Back on v1.2.0")
        assert len(here.slack.files) == 1
