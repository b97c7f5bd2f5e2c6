"""Credentials for registries from Docker's `config.json`, which `docker login` writes and a Secret of the type
`kubernetes.io/dockerconfigjson` contains.

The file is read at each handshake, so a rotated password needs no restart. `RegistryClient` uses it, and `doctor` checks it.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from runbooks.kit.answers import read_object
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor

_LARGEST = 1 << 20


class Login(NamedTuple):
    """The bot's name and password for a registry."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"


class RegistryLogins:
    """The logins in one file; without a file there are none."""

    def __init__(self, path: Path | None, redactor: Redactor) -> None:
        self.path = path
        self._redactor = redactor

    def of(self, host: str) -> Login | None:
        """Return the login for a registry's host, or None. Raises `PermanentError` if the file can't be read."""
        return self.read().get(host)

    def read(self) -> Mapping[str, Login]:
        """Return all logins by host. They never leave the process, because the redactor learns them first."""
        if self.path is None:
            return {}
        found = {_host(key): _login(entry) for key, entry in self._entries(self.path).items()}
        logins = {host: login for host, login in found.items() if login is not None}
        self._redactor.learn(login.password.encode() for login in logins.values())
        return logins

    @staticmethod
    def _entries(path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST)
        except OSError as error:
            raise _unusable(path, f"it can't be read ({type(error).__name__})") from None
        entries = read_object(data, lambda: _unusable(path, "it is not JSON with `auths`")).get("auths")
        if not isinstance(entries, dict):
            raise _unusable(path, "it has no `auths` object")
        return entries


def _unusable(path: Path, why: str) -> PermanentError:
    """The error is not chained, because a parser's error quotes what it read."""
    return PermanentError(
        f"The registry credentials in {path} can't be used: {why}.",
        code=ReasonCode.REGISTRY_UNREACHABLE,
        advice=(
            "Point `bot.registry_auth` to a file in the format that `docker login` writes, without a credential helper.",
        ),
    )


def _host(key: str) -> str:
    """Return the host: the same for `https://ghcr.io/v2/` and `ghcr.io`, empty if it is not an address."""
    try:
        return urlsplit(key if "://" in key else f"https://{key}").netloc.lower()
    except ValueError:
        return ""


def _login(entry: Any) -> Login | None:
    """Return the login, or None if the entry is empty, as with a credential helper."""
    if not isinstance(entry, dict):
        return None
    user, password = entry.get("username"), entry.get("password")
    if not user and isinstance(entry.get("auth"), str):
        try:
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    return Login(str(user), str(password)) if user and password else None
