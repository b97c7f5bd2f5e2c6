"""`doctor` on GitHub: the branch is protected and reviewed, or what to do about it."""

from pathlib import Path

import pytest

from bot.config import load
from bot.doctor.findings import Severity
from bot.doctor.github import github
from sandbox import configuration
from sandbox.outside.github import Github, error


def _classic(*, admins: bool = False) -> dict[str, object]:
    reviews = {"required_approving_review_count": 2, "dismiss_stale_reviews": False, "require_last_push_approval": True}
    return {"required_pull_request_reviews": reviews, "enforce_admins": {"enabled": admins}}


@pytest.mark.parametrize(
    ("wrong", "level", "words"),
    [
        ({}, Severity.FINE, "needs 1 approving review, also for what is pushed after one."),
        ({"reviews": 0}, Severity.WARNING, "allow commits that nobody has reviewed"),
        ({"stale": False}, Severity.WARNING, "what is pushed after an approval is not reviewed again"),
        ({"stale": False, "classic": _classic()}, Severity.FINE, "also for what is pushed after one"),
        ({"reviews": 0, "classic": _classic(admins=True)}, Severity.FINE, "needs 2 approving reviews"),
        ({"reviews": 0, "classic": _classic()}, Severity.WARNING, "but administrators need none"),
        ({"reviews": 0, "classic": {"enforce_admins": {"enabled": True}}}, Severity.WARNING, "nobody has reviewed"),
        ({"reviews": 0, "denies": "/protection"}, Severity.WARNING, "is unknown: the bot may not read"),
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
