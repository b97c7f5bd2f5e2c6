"""`omnicare` as people at terminals run it: real processes over the world's own socket."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNICARE_")}
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)} | (extra or {})


async def started(config: Path, *words: str, extra: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """`omnicare WORDS`, its two streams as one."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "--config", str(config), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=surroundings(extra),
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Exit status and everything it still said."""
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def omnicare(config: Path, *words: str) -> tuple[int, str]:
    return await ended(await started(config, *words))


async def read_until(process: asyncio.subprocess.Process, words: str) -> str:
    """What it says up to the line that has the words."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(PATIENCE):
        while words not in seen:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {words!r}:\n{seen}"
            seen += line
    return seen


def run_of(shown: str) -> str:
    """The run's short id, from the line that says how to approve it."""
    return shown.split("omnicare approve ")[1].split(maxsplit=1)[0]
