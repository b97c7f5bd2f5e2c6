"""The main job from terminals alone, in a whole sandbox: the same dispatcher, the same approval, the same run as in Slack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.world import SandboxWorld, opened
from tests.support.terminals import ended, read_until, run_of, started


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[SandboxWorld]:
    async with opened(folder) as made:
        await made.start_bot()
        yield made


def configuration(folder: Path) -> Path:
    return folder / "omnicare.toml"


async def test_a_release_is_deployed_from_one_terminal_and_approved_from_another(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        asking = await started(configuration(tmp_path), "--as", "maya", "deploy", "v2.0.0")
        shown = await read_until(asking, "Deny: ")
        run = run_of(shown)
        assert "v1.2.0" in shown
        assert "Tomas or Ines" in shown

        own_status, own = await ended(await started(configuration(tmp_path), "--as", "maya", "approve", run))
        assert own_status == 3
        assert "your own request" in own
        status, told = await ended(await started(configuration(tmp_path), "--as", "tomas", "approve", run))
        assert status == 0, told

        status, rest = await ended(asking)
        assert status == 0, rest
        assert "✓ Backend rollout" in rest
        assert "🟢 v2.0.0 runs in production" in rest
        # an old pod that is on its way out counts no more
        pods = [pod for pod in here.cluster.pods("omnicare-prod") if pod.status != "Terminating"]
        assert {pod.version for pod in pods} == {"v2.0.0"}

        status, proof = await ended(await started(configuration(tmp_path), "audit", "verify"))
        assert status == 0, proof
        assert "1 head in the fleet's record" in proof


async def test_a_denied_request_ends_the_requesters_command_with_the_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        asking = await started(configuration(tmp_path), "--as", "maya", "deploy", "v2.0.0")
        shown = await read_until(asking, "Deny: ")
        run = run_of(shown)
        status, told = await ended(
            await started(configuration(tmp_path), "--as", "tomas", "deny", run, "--reason", "clinic go-live")
        )
        assert status == 0, told
        status, rest = await ended(asking)
        assert status == 3, rest
        assert "clinic go-live" in rest
        assert {pod.version for pod in here.pods() if pod.environment == "production"} == {"v1.2.0"}
