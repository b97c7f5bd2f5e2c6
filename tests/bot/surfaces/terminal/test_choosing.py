"""What is missing is chosen by its number at a terminal; a script is told, and waits for nobody."""

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

from bot.boundary.inbound import Answer, Exit
from commands.kit.card import Card, Choice, Choices, words
from tests.bot.surfaces.terminal.test_server import listening
from tests.support.dispatchers import Dispatcher
from tests.support.terminals import ended, surroundings

CHOICES = Choices(
    label="Choose the service",
    options=(Choice(label="backend", text="pods backend"), Choice(label="frontend", text="pods frontend")),
    expires=0,
)
QUESTION = Card(title=words("logs needs the service"), summary="logs needs the service", choices=CHOICES)


def asking() -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = Answer(card=QUESTION, exit=Exit.USAGE)
    return dispatcher


@pytest.mark.parametrize(
    ("typed", "status", "then"), [("2", 0, ("pods", "frontend")), ("", 2, None), ("3", 2, None), ("no", 2, None)]
)
async def test_a_number_runs_the_command_that_it_completes(
    tmp_path: Path, typed: str, status: int, then: tuple[str, ...] | None
) -> None:
    dispatcher, (ours, theirs) = asking(), pty.openpty()
    async with listening(tmp_path / "s", dispatcher):
        os.write(ours, f"{typed}\n".encode())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "--socket", str(tmp_path / "s"), "logs",
            stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings({"TERM": "xterm"}),
        )  # fmt: skip
        os.close(theirs)
        async with asyncio.timeout(60):
            assert await process.wait() == status
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "1. omnicare pods backend" in shown
    assert "1 to 2 (Enter: none)" in shown
    assert [each.tokens for each in dispatcher.taken] == [("logs",), *([then] if then else [])]


async def test_a_script_is_told_the_commands_and_does_not_wait(tmp_path: Path) -> None:
    dispatcher = asking()
    async with listening(tmp_path / "s", dispatcher):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "--socket", str(tmp_path / "s"), "logs",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=surroundings(),
        )  # fmt: skip
        status, shown = await ended(process)
    assert status == 2
    assert "2. omnicare pods frontend" in shown
    assert "Enter" not in shown
