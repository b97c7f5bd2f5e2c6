"""Checks of the repository on GitHub: the token sees it, the branch exists and is protected, and nothing comes there unreviewed."""

from collections.abc import AsyncGenerator

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from runbooks.clients.github.access import GithubToken
from runbooks.clients.github.answers import ReviewRules
from runbooks.clients.github.client import GithubClient
from runbooks.kit.errors import RunbookError
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted


async def github(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check the branch in the way the gates use it."""
    wanted = settings.environments[name].github
    if wanted is None:
        return
    token = GithubToken(default_redactor(), throw_away=settings.bot.sandbox)
    client = GithubClient(wanted, token, default_redactor())
    branch = f"{wanted.branch} of {wanted.repository}"
    try:
        protected, rules = await client.protected(), await client.review_rules()
    except RunbookError as error:
        yield failed(f"{name}: GitHub can't be used. {error.message}", " ".join(error.advice))
        return
    if not protected:
        yield failed(
            f"{name}: {branch} is not protected, so a gate on it proves nothing.", "Protect the branch on GitHub."
        )
    else:
        yield _reviewed(f"{name}: ", branch, rules)
    if wanted.deployments is not None:
        try:
            await client.deployments(wanted.deployments.environment or name)
        except RunbookError as error:
            yield warning(f"{name}: runs can't be shown as deployments. {error.message}", " ".join(error.advice))


def _reviewed(of: str, branch: str, rules: ReviewRules) -> DoctorFinding:
    """Whether a commit that nobody has reviewed could get into the branch."""
    if not rules.approvals and not rules.whole:
        return warning(
            f"{of}whether {branch} allows commits that nobody has reviewed is unknown: the bot may not read its protection.",
            "Give the token the repository permission Administration (read), or protect the branch by a ruleset.",
        )
    if not rules.approvals:
        return warning(
            f"{of}the rules of {branch} allow commits that nobody has reviewed.",
            "Add a ruleset to the branch that requires a pull request with at least one approving review.",
        )
    needs = f"{branch} is protected, and a commit needs {counted(rules.approvals, 'approving review')}"
    if not rules.after_push:
        return warning(
            f"{of}{needs}, but what is pushed after an approval is not reviewed again.",
            "Let the rule dismiss stale approvals, or require an approval of the most recent push.",
        )
    if not rules.for_all:
        return warning(
            f"{of}{needs}, but administrators need none.", 'Turn on "Do not allow bypassing the above settings".'
        )
    return fine(f"{of}{needs}, also for what is pushed after one.")
