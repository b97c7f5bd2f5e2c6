"""A password or a token from an environment variable or a file, read anew for each use, because it may have been replaced."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from runbooks.kit.targets import Frozen

_LARGEST = 64 << 10


class SecretUnusableError(ValueError):
    """The secret can't be used; the text names where it should be, never what is there."""


class SecretSettings(Frozen):
    """Where a server's password or token is, and whose it is."""

    user: str | None = Field(default=None, min_length=1, max_length=100)
    """The account that the password belongs to."""
    secret_variable: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]{0,99}$")
    """The environment variable with the password or the token. It is read anew for each use."""
    secret_file: Path | None = None
    """A file with it, instead of a variable."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.secret_variable is not None and self.secret_file is not None:
            raise ValueError("set `secret_variable` or `secret_file`, not both")
        if self.user is not None and not self.secret:
            raise ValueError("`user` needs its password: set `secret_variable` or `secret_file`")
        return self

    @property
    def secret(self) -> bool:
        """Return whether a password or a token is sent."""
        return self.secret_variable is not None or self.secret_file is not None

    def read_secret(self) -> str:
        """Return the password or the token. Raises SecretUnusableError."""
        where = (
            f"the file {self.secret_file}" if self.secret_file is not None else f"the variable {self.secret_variable}"
        )
        try:
            if self.secret_file is not None:
                with self.secret_file.open("rb") as opened:
                    found = opened.read(_LARGEST).decode().strip()
            else:
                found = os.environ.get(self.secret_variable or "", "").strip()
        except (OSError, ValueError) as error:
            raise SecretUnusableError(f"{where} can't be read ({type(error).__name__})") from None
        if not found or not found.isprintable():
            raise SecretUnusableError(f"{where} is empty or contains a line break")
        return found
