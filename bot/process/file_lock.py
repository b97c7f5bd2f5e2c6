"""An exclusive lock on a file, with words in it for whoever finds it taken."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

_LONGEST = 4096
"""Bytes of the words that are read."""


class FileLock:
    """One open descriptor; the lock ends with it, so also when the process is killed."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file, without taking the lock. Raises `OSError`."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)

    def take(self) -> bool:
        """Take the lock where nobody else has it, and return whether it is ours now. Never waits."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    @property
    def words(self) -> bytes:
        """What its holder wrote."""
        return os.pread(self._descriptor, _LONGEST, 0)

    def write(self, words: bytes) -> None:
        """Write who holds it. The words are for people: a full disk does not stop the lock."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, words, 0)
            os.ftruncate(self._descriptor, len(words))

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
