"""The state directory belongs to one process at a time: an exclusive lock, with words in it for whoever finds it taken.

`bot.app` takes it before it opens anything. A bot in the foreground (`serve --without-slack`) is there until the real one is back, so the
real one waits for it, and the foreground one is told that somebody waits. Two ordinary bots on the same files are a mistake: the second
is refused.
"""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import shlex
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.process.file_lock import FileLock

_log = logging.getLogger(__name__)

LOCK, WAITING = "bot.lock", "bot.waiting"
_LOOK = 0.2
"""Seconds between two looks at a lock that another process holds; it wakes nobody when it goes."""
_REMIND = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has the directory."""

    pid: int
    account: str
    since: str
    foreground: bool

    def __str__(self) -> str:
        how = "`omnicare serve --without-slack` in somebody's terminal" if self.foreground else "`omnicare serve`"
        return f"process {self.pid}, {how}, as {self.account}, since {self.since}"


class StateHeld(Exception):
    """Another process has the directory; the message is a sentence."""


class StateOpen(StateHeld):
    """Others may write in the directory; the message has the line that mends it."""


@asynccontextmanager
async def held(state: Path, *, foreground: bool = False) -> AsyncIterator[None]:
    """Inside, the directory is ours alone. Raises `StateHeld` at once, but waits for a foreground bot to end."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - once, before anything runs
    _refuse_open(state)
    lock = await _taken(state, foreground=foreground)
    mine = Holder(pid=os.getpid(), account=account_name(os.geteuid()), since=_now(), foreground=foreground)
    lock.write(json.dumps({name: getattr(mine, name) for name in Holder.__slots__}).encode())
    try:
        yield
    finally:
        lock.write(b"")
        lock.close()


def holder(state: Path) -> Holder | None:
    """Return who has the directory now; None where nobody has, or it can't be told."""
    with contextlib.suppress(OSError), FileLock(state / LOCK, create=False) as lock:
        return None if lock.take() else _said(lock)
    return None


async def somebody_waits(state: Path, tell: Callable[[], None]) -> None:
    """Tells once that another bot waits for this one to end; never returns by itself."""
    while not (state / WAITING).exists() or not _is_held(state / WAITING):  # noqa: ASYNC110 - a lock wakes nobody
        await asyncio.sleep(1.0)
    tell()


async def _taken(state: Path, *, foreground: bool) -> FileLock:
    lock = FileLock(state / LOCK)
    try:
        if not lock.take():
            _refuse(state, _said(lock), foreground=foreground)
            await _waited(state, lock)
    except BaseException:
        lock.close()
        raise
    return lock


def _refuse_open(state: Path) -> None:
    """What others could have written is not served: they would be the bot."""
    files = {each: mode for each in sorted(state.iterdir()) if each.is_file() and (mode := _others_write(each))}
    directories = {each: mode for each in (state, state / "run") if each.is_dir() and (mode := _others_write(each))}
    if not files and not directories:
        return
    what = ", ".join(f"{each} ({mode:04o})" for each, mode in (directories | files).items())
    lines = [f"chmod 0700 {_words(directories)}"] if directories else []
    lines += [f"chmod 0600 {_words(files)}"] if files else []
    raise StateOpen(
        f"Other accounts can write {what} and so could pose as the bot. Find out who did, run "
        f"`omnicare audit verify`, then: {' && '.join(lines)}."
    )


def _others_write(path: Path) -> int | None:
    """Return the mode if others may write it; the bot's own group may, because a volume in Kubernetes gives it that right."""
    try:
        found = path.stat()
    except FileNotFoundError:  # a bot that ends beside this one takes SQLite's companions away
        return None
    others = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != os.getegid())
    return stat.S_IMODE(found.st_mode) if others else None


def _words(paths: Iterable[Path]) -> str:
    return " ".join(shlex.quote(str(each)) for each in paths)


def _refuse(state: Path, other: Holder | None, *, foreground: bool) -> None:
    """Only the real bot waits, and only for one that is there until it is back."""
    if foreground or other is None or not other.foreground:
        raise StateHeld(_sentence(state, other))


async def _waited(state: Path, lock: FileLock) -> None:
    """Return when the foreground bot has ended, which sees meanwhile that somebody waits."""
    with FileLock(state / WAITING) as sign:
        sign.take()
        reminded = -_REMIND
        loop = asyncio.get_running_loop()
        while not lock.take():
            if loop.time() - reminded >= _REMIND:
                reminded = loop.time()
                _log.warning("waiting until the bot's files are free: %s has them", _said(lock))
            await asyncio.sleep(_LOOK)


def _is_held(path: Path) -> bool:
    with contextlib.suppress(OSError), FileLock(path, create=False) as lock:
        return not lock.take()
    return False


def _said(lock: FileLock) -> Holder | None:
    try:
        return Holder(**json.loads(lock.words))
    except (ValueError, TypeError):
        return None


def _sentence(state: Path, other: Holder | None) -> str:
    who = str(other) if other is not None else "another process"
    return (
        f"The bot's files in {state} are in use: {who}. Only one process may use them, so that nothing is done twice. "
        "Use its socket, or end it first."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def account_name(uid: int) -> str:
    """The operating-system user's name, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def owner(state: Path) -> int | None:
    """The account that the bot's files belong to; None where there are none yet."""
    try:
        return state.stat().st_uid
    except OSError:
        return None


def become_owner(state: Path) -> str | None:
    """Root becomes the account that the files belong to: as root it would leave files that the real bot can't open.

    Returns the account's name where it was changed.
    """
    uid = owner(state)
    if os.geteuid() != 0 or not uid:
        return None
    found = pwd.getpwuid(uid)
    os.initgroups(found.pw_name, found.pw_gid)
    os.setgid(found.pw_gid)
    os.setuid(uid)
    return found.pw_name
