"""`omnicare` as people at terminals run it: real processes over the world's own socket."""

import asyncio
import os
import sys
from pathlib import Path

from tests.support.leaks import nothing_shown

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNICARE_")}
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)} | (extra or {})


async def started(
    config: Path, *words: str, extra: dict[str, str] | None = None, apart: bool = False
) -> asyncio.subprocess.Process:
    """`omnicare WORDS`, its two streams as one, or `apart`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "--config", str(config), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT,
        env=surroundings(extra),
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Exit status and everything it still said, in which nothing is that must never leave."""
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode is not None
    nothing_shown(out.decode())
    return process.returncode, out.decode()


async def omnicare(config: Path, *words: str) -> tuple[int, str]:
    return await ended(await started(config, *words))


async def unredacted(config: Path, *words: str) -> tuple[int, str, str]:
    """`omnicare logs … --raw`, the one command whose standard output is not looked through: (exit status, that, standard error)."""
    assert "logs" in words, words
    assert "--raw" in words, words
    process = await started(config, *words, apart=True)
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    nothing_shown(err.decode())
    if process.returncode:
        nothing_shown(out.decode())
    return process.returncode, out.decode(), err.decode()


async def read_until(process: asyncio.subprocess.Process, words: str) -> str:
    """What it says up to the line that has the words."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(PATIENCE):
        while words not in seen:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {words!r}:\n{seen}"
            seen += line
    nothing_shown(seen)
    return seen


def run_of(shown: str) -> str:
    """The run's short id, from the line that says how to approve it."""
    return shown.split("omnicare approve ")[1].split(maxsplit=1)[0]
