"""A bot's process that is forked from one that has imported everything already.

The imports are most of what a start costs, and the suites that kill the bot start it hundreds of times. It is a process of its own like
any other, and is killed, stopped and waited for in the same way. The demo and the tests of a terminal start Python anew.
"""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from sandbox.bot_process import BotProcess, Process

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["bot.__main__", "bot.app", "kubernetes.aio"])


class ForkedBot(BotProcess):
    """One `omnicare serve`, forked."""

    async def _spawned(self, words: Sequence[str], log: Path, environment: dict[str, str]) -> Process:
        process = _SERVER.Process(target=_serve, args=(tuple(words), log, environment), daemon=True)
        process.start()  # in no thread: multiprocessing looks for the end of its processes then
        return _Forked(process)


class _Forked:
    """As `asyncio.subprocess.Process` shows a process."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None, "it was started"
        self._process, self.pid = process, process.pid
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._loop.add_reader(process.sentinel, self._has_ended)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None, "it has ended"
        return self.returncode

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._ended.set()

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, signal: int) -> None:
        os.kill(self.pid, signal)


def _serve(words: Sequence[str], log: Path, environment: dict[str, str]) -> None:
    """Be `omnicare WORDS`, as a shell would start it: with these variables only, and what it says in the log."""
    from bot.__main__ import main

    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(written, stream)
    os.close(written)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["omnicare", *words]
    main()
