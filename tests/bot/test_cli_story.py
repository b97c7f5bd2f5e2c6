"""The main job from terminals alone, in a whole sandbox: the same door, the same approval, the same run as in Slack."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.world import SandboxWorld, opened

PATIENCE = 60.0


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[SandboxWorld]:
    async with opened(folder) as made:
        await made.start_bot()
        yield made


async def started(folder: Path, *words: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNICARE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "--config", str(folder / "omnicare.toml"), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def read_until(process: asyncio.subprocess.Process, words: str) -> str:
    """Standard output up to the line that has the words."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(PATIENCE):
        while words not in seen:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {words!r}:\n{seen}"
            seen += line
    return seen


async def test_a_release_is_deployed_from_one_terminal_and_approved_from_another(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        asking = await started(tmp_path, "--as", "maya", "deploy", "v2.0.0")
        shown = await read_until(asking, "Deny: ")
        run = shown.split("omnicare approve ")[1].split()[0]
        assert "v1.2.0" in shown
        assert "Tomas or Ines" in shown

        own_status, own = await ended(await started(tmp_path, "--as", "maya", "approve", run))
        assert own_status == 3
        assert "your own request" in own
        status, told = await ended(await started(tmp_path, "--as", "tomas", "approve", run))
        assert status == 0, told

        status, rest = await ended(asking)
        assert status == 0, rest
        assert "✓ Backend rollout" in rest
        assert "🟢 v2.0.0 runs in production" in rest
        # an old pod that is on its way out counts no more
        pods = [pod for pod in here.cluster.pods("omnicare-prod") if pod.status != "Terminating"]
        assert {pod.version for pod in pods} == {"v2.0.0"}

        status, proof = await ended(await started(tmp_path, "audit", "verify"))
        assert status == 0, proof
        assert "heads that the fleet knows" in proof


async def test_a_denied_request_ends_the_requesters_command_with_the_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        asking = await started(tmp_path, "--as", "maya", "deploy", "v2.0.0")
        shown = await read_until(asking, "Deny: ")
        run = shown.split("omnicare approve ")[1].split()[0]
        status, told = await ended(await started(tmp_path, "--as", "tomas", "deny", run, "--reason", "clinic go-live"))
        assert status == 0, told
        status, rest = await ended(asking)
        assert status == 3, rest
        assert "clinic go-live" in rest
        assert {pod.version for pod in here.pods() if pod.environment == "production"} == {"v1.2.0"}
