"""`doctor` on GitHub: the branch is protected and reviewed, or what to do about it."""

from pathlib import Path

import pytest

from bot.config import load
from bot.doctor.findings import Severity
from bot.doctor.github import github
from sandbox import configuration
from sandbox.outside.github import Github, error


@pytest.mark.parametrize(
    ("wrong", "level", "words"),
    [
        ({}, Severity.FINE, "is protected, and a commit needs 1 approving review."),
        ({"reviews": 0}, Severity.WARNING, "let a commit through that nobody has reviewed"),
        ({"protected": False}, Severity.FAILED, "is not protected"),
        ({"fault": lambda _: error(401, "Bad credentials")}, Severity.FAILED, "GitHub rejects the bot's token"),
    ],
)
async def test_the_branch_that_gates_rely_on(
    wrong: dict[str, object], level: Severity, words: str, tmp_path: Path
) -> None:
    there = Github()
    async with there.serve() as url:
        for name, value in wrong.items():
            setattr(there, name, value)
        table = {"production": {"github": {"repository": "omnicare/emr", "api_url": url}}}
        path = configuration.write(
            tmp_path, kubeconfig=tmp_path / "kubeconfig", slack_api=None, registry="http://127.0.0.1:1",
            namespaces={"production": "omnicare-prod", "staging": "omnicare-staging"}, train=table,
        )  # fmt: skip
        settings = load(path)
        (found,) = [finding async for finding in github(settings, "production")]
        assert [finding async for finding in github(settings, "staging")] == []
    assert (found.level, words in found.sentence, bool(found.to_do)) == (level, True, level is not Severity.FINE), found
