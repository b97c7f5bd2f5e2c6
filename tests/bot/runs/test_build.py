"""`build`: from the typed command to images in the registry."""

from pathlib import Path

from sandbox.outside.github import UNBUILT
from tests.support.worlds import APPROVER, REQUESTER, story


async def test_the_images_of_a_tag_are_built_once_and_then_are_there(tmp_path: Path):
    async with story(tmp_path / "world", parts=("gates",)) as here:
        await here.inside()
        run = await here.ask(f"build {UNBUILT}", who=REQUESTER)
        await here.says(run, f"ghcr.io/omnicare/backend:{UNBUILT}", "plan")
        await here.press(APPROVER, "approve", run)
        await here.ended_with(run, f"The images of {UNBUILT} are in the registry")
        assert here.world.github is not None
        assert [(each.version, each.request) for each in here.world.github.builds] == [(UNBUILT, run)]
        run = await here.ask(f"build {UNBUILT}", who=REQUESTER)
        await here.says(run, "in the registry already", "result")
