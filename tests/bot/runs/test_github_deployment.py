"""A deploy is shown on GitHub as a deployment, and goes on where GitHub does not take that."""

from pathlib import Path

from sandbox.outside.github import Github
from tests.support.worlds import story


def _states(github: Github) -> list[tuple[str, list[str]]]:
    return [(each.asked["ref"], [state["state"] for state in each.states]) for each in github.deployments]


async def test_a_deploy_is_shown_on_github_with_its_end_and_one_that_github_refuses_says_so(tmp_path: Path) -> None:
    async with story(tmp_path / "world", parts=("gates", "deployments")) as here:
        await here.inside()
        github = here.world.github
        assert github is not None
        run = await here.deployed("v2.0.0", ends="v2.0.0 runs in production")
        assert "GitHub shows this run as a deployment to production." in here.text(run, "plan")
        assert "on GitHub" not in here.text(run, "result")
        await here.deployed("v2.1.0-crash", ends="stopped at Backend rollout")
        back = await here.ask("rollback", who="ines")
        await here.press("ines", "approve", back)
        await here.ended_with(back, "Back on v2.0.0")
        assert _states(github) == [
            ("v2.0.0", ["in_progress", "success", "inactive"]),
            ("v2.1.0-crash", ["in_progress", "failure"]),
            ("v2.0.0", ["in_progress", "success"]),
        ]
        assert github.deployments[-1].asked["payload"] == {"omnicare_run": back}

        github.denies = "/deployments"
        run = await here.deployed("v2.1.0-errors", ends="v2.1.0-errors runs in production")
        assert "GitHub does not show this run as a deployment." in here.text(run, "result")
        assert "Deployments (write)" in here.text(run, "result")
