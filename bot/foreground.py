"""Being the bot in a terminal, when the real one is down: offered where no bot answers, to whoever may become its account.

The bot is a process of its own beside the conversation, `omnicare serve --without-slack`, behind the same locks; the command that was typed
goes to it over its socket like everybody's, so that the kernel says who typed it. Used by `bot.cli`.
"""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bot.boundary.inbound import Exit
from bot.process.process_lock import account_name, holder, owner

_READY_SECONDS = 60.0
"""Until it listens; sudo may ask for a password meanwhile."""
_LOOK = 0.05
_TAIL = 15


def offer(absent: str, state: Path, listening: Path, config: Path, *, ask: bool, converse: Callable[[], int]) -> int:
    """Says that no bot runs; where `ask` and somebody sits there, offers to be it. The exit status.

    `absent`: the sentence of who found nobody. `converse`: the command that was typed, once the bot listens.
    """
    command = start_command(state, config)
    _say(absent)
    other = holder(state)
    if other is not None:
        _say(f"But its files are in use: {other}. It may be starting.")
        return Exit.FAILED
    if command is None:
        _say(f"Somebody with access to the account {account_name(owner(state) or 0)} can run the bot meanwhile.")
        return Exit.FAILED
    shown = shlex.join(("omnicare" if part == _program()[0] else part) for part in _without_python(command))
    if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
        _say(f"To run the bot in the foreground, without Slack: {shown}")
        return Exit.FAILED
    _say(
        f"You can run the bot in this terminal, without Slack, until it is back ({shown}).\n"
        "Waiting requests and runs continue here, and others use its socket as before."
    )
    if not _yes("Run the bot? [y/N] "):
        return Exit.FAILED
    return _be(command, listening, converse)


def start_command(state: Path, config: Path) -> list[str] | None:
    """How this person starts the bot as its own account; None where they can't."""
    serve = [*_program(), "--config", str(config.resolve()), "serve", "--without-slack"]
    uid = owner(state)
    if uid is None or uid == os.geteuid() or os.geteuid() == 0:  # root becomes that account when it serves
        return serve
    sudo = shutil.which("sudo")
    return [sudo, "-u", account_name(uid), "--", *serve] if sudo is not None else None


def _program() -> list[str]:
    """This program, so that it is found as another account too; never from the present directory."""
    called = Path(sys.argv[0])
    if called.name == "omnicare" and called.is_file():
        return [str(called.resolve())]
    return [sys.executable, "-P", "-m", "bot"]


def _without_python(command: list[str]) -> list[str]:
    """As people type it."""
    program = _program()
    at = command.index(program[0])
    return [Path(part).name if part.endswith("/sudo") else part for part in command[:at]] + [
        program[0],
        *command[at + len(program) :],
    ]


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _yes(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _be(command: list[str], listening: Path, converse: Callable[[], int]) -> int:
    with tempfile.NamedTemporaryFile(prefix="omnicare-bot-", suffix=".log", delete=False) as log:
        # its log would run through what is shown of the run
        bot = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - our own program
    try:
        if not _listens(bot, listening):
            sys.stderr.write(f"The bot did not start. End of its log ({log.name}):\n{_tail(Path(log.name))}\n")
            return Exit.FAILED
        _say(f"This terminal now runs the bot, without Slack (its log: {log.name}).\n")
        status = converse()
        if bot.poll() is None:
            _say("\nThis terminal still runs the bot, and others may be using it. Ctrl-C ends it.")
            bot.wait()
    except KeyboardInterrupt:
        status = Exit.OK
    finally:
        _ended(bot)
    _say("The bot in this terminal has ended. Its runs continue when a bot starts again.")
    return status


def _ended(bot: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C in a terminal reaches it too; it drains, and what is long is left to the next one."""
    if bot.poll() is None:
        bot.terminate()
    try:
        bot.wait(timeout=30.0)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        bot.kill()
        bot.wait()


def _listens(bot: "subprocess.Popen[bytes]", listening: Path) -> bool:
    deadline = time.monotonic() + _READY_SECONDS
    while bot.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(os.fspath(listening))
            except OSError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    bot.wait(timeout=_LOOK)
            else:
                return True
    return False


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join("".join(sign for sign in line if sign.isprintable()) for line in lines)
