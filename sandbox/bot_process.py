"""The bot as the sandbox runs it: a process of its own, `omnicare serve`, as in production. Tests kill it and start it again."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

READY_SECONDS = 180.0


class BotDied(RuntimeError):
    """The process ended before it was ready; the message is the end of its log."""


class Process(Protocol):
    """What is asked of a process, as `asyncio.subprocess.Process` answers it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def kill(self) -> None: ...

    def send_signal(self, signal: int) -> None: ...


class BotProcess:
    """One `omnicare serve`."""

    def __init__(
        self, config: Path, *, bot_token: str, app_token: str, log: Path, extra: dict[str, str] | None = None
    ) -> None:
        self._config = config
        self._log = log
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OMNICARE_")},
            "OMNICARE_SLACK_BOT_TOKEN": bot_token,
            "OMNICARE_SLACK_APP_TOKEN": app_token,
            **(extra or {}),
        }
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, extra: dict[str, str] | None = None) -> None:
        """Starts it; it is not ready yet."""
        words = ("--config", str(self._config), "serve")
        self._process = await self._spawned(words, self._log, {**self._environment, **(extra or {})})

    async def _spawned(self, words: Sequence[str], log: Path, environment: dict[str, str]) -> Process:
        with log.open("ab") as written:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot",
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                env=environment,
            )

    async def wait(self) -> int:
        """Until it ends; its exit status."""
        assert self._process is not None, "it was started"
        return await self._process.wait()

    async def kill(self) -> None:
        """`kill -9`."""
        if self.pid is not None and self._process is not None:
            self._process.kill()
            await self._process.wait()

    async def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and its exit status; killed where it does not end in time."""
        if self._process is None or self._process.returncode is not None:
            return self._process.returncode or 0 if self._process else 0
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return -int(signal.SIGKILL)

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        try:
            return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
