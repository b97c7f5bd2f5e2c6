"""Settings for a database, and the reader's credentials from a Kubernetes Secret or a file.

Credentials never leave the process: the redactor learns them before anything else sees them, and no `repr` shows them. A command
line, the configuration and the environment never contain them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, model_validator

from runbooks.kit.addresses import ADDRESS, split_address
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import Redactor

Instance = Literal["primary", "replica"]

SECRET = "omnicare-bot-database"  # noqa: S105 - a Secret's name
PORT = 5432
_LARGEST = 64 << 10


class DatabaseSettings(Frozen):
    """The environment's PostgreSQL, seen by a role that can read only statistics."""

    secret: str = Field(default=SECRET, pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    """The Kubernetes Secret with the reader's credentials. The shipped Role allows the bot to read only the Secret with this name."""
    secret_namespace: str | None = None
    """Where that Secret is; default: the environment's namespace."""
    user_key: str = "username"
    """The Secret's key with the role's name."""
    password_key: str = "password"  # noqa: S105 - a key's name
    """The Secret's key with the password."""
    url_key: str | None = None
    """The Secret's key with a complete URL: `postgresql://USER:PASSWORD@HOST:PORT/NAME`. Its options are not used."""
    file: Path | None = None
    """A file with such a URL, instead of a Secret; only the bot's account should be able to read it."""
    primary: str | None = Field(default=None, pattern=ADDRESS)
    """`HOST` or `HOST:PORT`; default: from the URL."""
    replica: str | None = Field(default=None, pattern=ADDRESS)
    """A read replica, `HOST` or `HOST:PORT`."""
    name: str | None = Field(default=None, min_length=1, max_length=63)
    """The database's name; default: from the URL."""
    reader: Instance = "primary"
    """Which server is asked without `--on`. Each server counts only its own statements: what the application
    writes is counted only on the primary."""
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    """As libpq's `sslmode`. `disable` is for a sandbox."""
    root_certificate: Path | None = None
    """Certificate authorities for checking the server's certificate; default: this machine's."""
    connect_timeout: float = Field(default=4.0, gt=0, le=30)
    """Time limit for connecting, including name look-up, TLS and login."""
    statement_timeout: float = Field(default=5.0, gt=0, le=60)
    """Time limit for one statement, enforced by the server."""
    answer_timeout: float = Field(default=1.2, gt=0, le=10)
    """Time limit for checking whether the server answers, as `status` does."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.reader == "replica" and self.replica is None:
            raise ValueError("reader: `replica` is not set")
        if self.file is None and self.url_key is None and (self.primary is None or self.name is None):
            raise ValueError("set `primary` and `name`, or a URL that contains them")
        return self

    def places(self) -> tuple[Instance, ...]:
        """Return the configured servers."""
        return ("primary", "replica") if self.replica else ("primary",)


@dataclass(frozen=True, slots=True)
class Target:
    """One server, with the bot's credentials there."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    place: Instance = "primary"

    @property
    def label(self) -> str:
        """Return a name for the beginning of a sentence."""
        return f"The {self.place} ({self.address})"

    @property
    def address(self) -> str:
        """Return the object's address as people read it."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DatabaseCredentials:
    """The contents of a Secret or a file."""

    user: str
    password: str = field(repr=False)
    host: str | None = None
    port: int | None = None
    name: str | None = None

    def target(self, settings: DatabaseSettings, place: Instance) -> Target:
        """Return the server at that place. Raises PermanentError if its address is not configured."""
        address = settings.replica if place == "replica" else settings.primary
        host, port = split_address(address) if address else (self.host, self.port)
        name = settings.name or self.name
        if host is None or name is None:
            raise unusable("neither its URL nor the configuration names the host and the database")
        return Target(host, port or PORT, name, self.user, self.password, place)


def from_secret(data: Mapping[str, bytes], settings: DatabaseSettings, redactor: Redactor) -> DatabaseCredentials:
    """Read credentials from a Secret's keys. Raises PermanentError with the missing key."""
    redactor.learn(data[key] for key in (settings.password_key, settings.url_key) if key and key in data)
    where = f"Secret {settings.secret}"
    if settings.url_key is not None:
        return _from_url(_text(data, settings.url_key, where), where, redactor)
    user, password = (_text(data, key, where) for key in (settings.user_key, settings.password_key))
    return DatabaseCredentials(user, password)


def from_file(path: Path, redactor: Redactor) -> DatabaseCredentials:
    """Read credentials from a file with a URL. Raises PermanentError."""
    try:
        with path.open("rb") as file:
            found = file.read(_LARGEST)
    except OSError as error:
        raise unusable(f"the file {path} can't be read ({type(error).__name__})") from None
    redactor.learn([found])
    return _from_url(_text({"": found}, "", f"the file {path}"), f"the file {path}", redactor)


def _text(data: Mapping[str, bytes], key: str, where: str) -> str:
    if key not in data:
        there = ", ".join(sorted(data)) or "none"
        raise unusable(f"{where} has no key `{key}`; it has {there}")
    try:
        found = data[key].decode().strip()
    except UnicodeDecodeError:
        raise unusable(f"{where}: `{key}` is not text") from None
    if not found:
        raise unusable(f"{where}: `{key}` is empty" if key else f"{where} is empty")
    return found


def _from_url(url: str, where: str, redactor: Redactor) -> DatabaseCredentials:
    """The error is not chained, because a parser's error quotes what it read."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise unusable(f"{where} contains no readable URL") from None
    if parts.scheme not in ("postgres", "postgresql"):
        raise unusable(f"{where} contains no `postgresql://…` URL")
    redactor.learn(_forms(parts.password or ""))
    if not parts.username or not parts.password:
        raise unusable(f"{where}: the URL has no role or no password")
    return DatabaseCredentials(
        unquote(parts.username), unquote(parts.password), host or None, port, unquote(parts.path.strip("/")) or None
    )


def _forms(password: str) -> Iterator[bytes]:
    """The text as in the URL, and as sent to the server."""
    if password:
        yield from (password.encode(), unquote(password).encode(), quote(unquote(password), safe="").encode())


def unusable(why: str) -> PermanentError:
    """The credentials can't be used."""
    return PermanentError(
        f"The database's credentials can't be used: {why}.",
        code=ReasonCode.CREDENTIALS_UNUSABLE,
        advice=(
            "Run `db connect` to try them again, and `omnicare doctor` to check whether the bot can read the Secret.",
        ),
    )
