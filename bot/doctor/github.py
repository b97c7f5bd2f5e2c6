"""Checks of the repository on GitHub: the token sees it, the branch exists and is protected, and nothing comes there unreviewed."""

from collections.abc import AsyncGenerator

from bot.config import Settings
from bot.doctor.findings import Finding, failed, fine, warning
from runbooks.clients.github.access import GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.kit.errors import RunbookError
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted


async def github(settings: Settings, name: str) -> AsyncGenerator[Finding]:
    """Check the branch in the way the gates use it."""
    wanted = settings.environments[name].github
    if wanted is None:
        return
    token = GithubToken(default_redactor(), throw_away=settings.bot.sandbox)
    client = GithubClient(wanted, token, default_redactor())
    branch = f"{wanted.branch} of {wanted.repository}"
    try:
        protected, reviews = await client.protected(), await client.reviews()
    except RunbookError as error:
        yield failed(f"{name}: GitHub can't be used. {error.message}", " ".join(error.advice))
        return
    if not protected:
        yield failed(
            f"{name}: {branch} is not protected, so a gate on it proves nothing.", "Protect the branch on GitHub."
        )
    elif not reviews:
        yield warning(
            f"{name}: the rules of {branch} let a commit through that nobody has reviewed.",
            "Add a ruleset to the branch that requires a pull request with at least one approving review. (Classic branch "
            "protection is not read.)",
        )
    else:
        yield fine(f"{name}: {branch} is protected, and a commit needs {counted(reviews, 'approving review')}.")
