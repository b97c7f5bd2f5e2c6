"""A password or a token from an environment variable or a file, read anew for each use, because it may have been replaced."""

import os
from pathlib import Path

_LARGEST = 64 << 10


class SecretUnusableError(ValueError):
    """The secret can't be used; the text names where it should be, never what is there."""


def read_secret(variable: str | None, file: Path | None) -> str:
    """Return the secret of the file, else of the variable. Raises SecretUnusableError."""
    where = f"the file {file}" if file is not None else f"the variable {variable}"
    try:
        if file is not None:
            with file.open("rb") as opened:
                found = opened.read(_LARGEST).decode().strip()
        else:
            found = os.environ.get(variable or "", "").strip()
    except (OSError, ValueError) as error:
        raise SecretUnusableError(f"{where} can't be read ({type(error).__name__})") from None
    if not found or not found.isprintable():
        raise SecretUnusableError(f"{where} is empty or contains a line break")
    return found
