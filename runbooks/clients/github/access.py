"""Which repository, and the token for it.

The token comes from `GITHUB_TOKEN`, or from a file that `GITHUB_TOKEN_FILE` names; it is read for each request, because it may have been replaced.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import Redactor

API = "https://api.github.com"
VARIABLE, FILE_VARIABLE = "GITHUB_TOKEN", "GITHUB_TOKEN_FILE"
_LARGEST = 64 << 10


class DeploymentSettings(Frozen):
    """Whether GitHub shows each deploy and rollback as a deployment. The token needs Deployments (write)."""

    environment: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,99}$")
    """GitHub's environment; default: the name that the environment has here."""
    production: bool = False
    """Whether GitHub shows it as one that end users use."""
    url: str | None = None
    """Where the environment can be seen: `https://omnicare-health.com`."""
    log_url: str | None = None
    """Where a run can be followed; `{run}` is its id."""
    seconds: float = Field(default=8.0, gt=0, le=30)
    """How long a run waits for GitHub, at its beginning and at its end; then it goes on without it."""

    @field_validator("url", "log_url")
    @classmethod
    def _a_web_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith("https://"):
            raise ValueError("must be an https address")
        return url


class GithubSettings(Frozen):
    """The repository that releases are made from."""

    repository: str = Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}$")
    """`owner/name`."""
    branch: str = Field(default="main", pattern=r"^[A-Za-z0-9._/-]{1,200}$")
    """The protected branch that every release's commit must be on."""
    api_url: str = API
    """GitHub's API; `https://HOST/api/v3` for GitHub Enterprise Server."""
    seconds: float = Field(default=6.0, gt=0, le=30)
    """Time limit for one answer."""
    deployments: DeploymentSettings | None = None

    @field_validator("api_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be an https address without a password")
        return url.rstrip("/")


class GithubToken:
    """The bot's token for GitHub; the redactor learns it before it is used."""

    def __init__(self, redactor: Redactor, *, throw_away: bool = False) -> None:
        """`throw_away`: a sandbox's, for which no token is looked for."""
        self._redactor = redactor
        self._throw_away = throw_away

    def read(self) -> str | None:
        """Return the token; None where there is none. Raises PermanentError where the file can't be read."""
        if self._throw_away:
            return None
        named = os.environ.get(FILE_VARIABLE)
        token = (_from_file(Path(named)) if named else os.environ.get(VARIABLE, "")).strip()
        if not token:
            return None
        if not token.isascii() or not token.isprintable() or " " in token:
            raise _unusable(FILE_VARIABLE if named else VARIABLE, "it contains an invalid character")
        self._redactor.learn([token.encode()])
        return token


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("ascii", errors="replace")
    except OSError as error:
        raise _unusable(FILE_VARIABLE, f"the file can't be read ({type(error).__name__})") from None


def _unusable(variable: str, why: str) -> PermanentError:
    return PermanentError(
        f"The token for GitHub in {variable} can't be used: {why}.",
        code=ReasonCode.GITHUB_REFUSED,
        advice=(f"Set {VARIABLE} to a token, or {FILE_VARIABLE} to a file with one.",),
    )
