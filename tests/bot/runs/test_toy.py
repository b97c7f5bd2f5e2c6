"""The durable runs alone: a runbook of three steps, killed in each, stopped, overtaken."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.audit import search_books, verify
from sandbox import configuration
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.toy import NAMES

pytestmark = pytest.mark.kill

SECONDS = 60.0


class Toy:
    """The process, from outside."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.toy",
            str(self.config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await self._line() == "ready"

    async def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            return (await self._process.stdout.readline()).decode().strip()

    async def tell(self, order: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self._line()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def open(self, *names: str) -> None:
        for name in names:
            (self.config.parent / name).touch()

    def traces(self) -> list[str]:
        path = self.config.parent / "steps.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    async def saw(self, trace: str, times: int = 1) -> None:
        async with asyncio.timeout(SECONDS):
            while self.traces().count(trace) < times:  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.01)

    def written(self, run: str) -> list[str]:
        """The events of a run, oldest first."""
        book = self.config.parent / "state" / "audit.sqlite"
        assert verify(book) == []
        return [str(event.name) for event in reversed(search_books([book], run=run, limit=200))]


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[Toy]:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig("omnicare-bot"), encoding="utf-8")
        config = configuration.write(
            tmp_path, kubeconfig=kubeconfig, slack_api=None, registry="", namespaces={"production": "omnicare-prod"}
        )
        made = Toy(config)
        await made.start()
        yield made
        await made.kill()


async def running(toy: Toy) -> str:
    run = await toy.tell("ask first")
    assert await toy.tell(f"approve {run}") == "decided"
    return run


@pytest.mark.parametrize("killed_in", NAMES)
async def test_a_run_that_is_killed_in_a_step_does_that_step_again_and_no_other(toy: Toy, killed_in: str):
    run = await running(toy)
    earlier = NAMES[: NAMES.index(killed_in)]
    toy.open(*earlier)
    await toy.saw(f"toy begins {killed_in}")
    await toy.kill()
    toy.open(*NAMES)
    await toy.start()
    assert await toy.tell(f"ended {run}") == "succeeded -"
    begun = {step: toy.traces().count(f"toy begins {step}") for step in NAMES}
    assert begun == {step: 2 if step == killed_in else 1 for step in NAMES}
    assert [trace for trace in toy.traces() if "ends" in trace] == [f"toy ends {step}" for step in NAMES]
    names = Counter(toy.written(run))
    assert names["step:started"] == names["step:finished"] == 3
    assert names["run:started"] == names["run:succeeded"] == names["approval:granted"] == 1


async def test_a_run_that_is_killed_while_it_waits_is_approved_after_the_restart(toy: Toy):
    toy.open(*NAMES)
    run = await toy.tell("ask first")
    await toy.kill()
    await toy.start()
    assert await toy.tell("ask first") == run, "the same act is the same request"
    assert await toy.tell(f"approve {run}") == "decided"
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert Counter(toy.traces()) == Counter(f"toy {verb} {step}" for step in NAMES for verb in ("begins", "ends"))
    assert toy.written(run).count("run:requested") == 1


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_that_is_asked_to_stop_ends_in_its_step(toy: Toy, killed: bool):
    run = await running(toy)
    toy.open("one")
    await toy.saw("toy begins two")
    assert await toy.tell(f"cancel {run}") == "decided"
    if killed:
        await toy.kill()
        await toy.start()
    assert await toy.tell(f"ended {run}") == "cancelled two"
    assert "toy ends two" not in toy.traces()
    assert "toy begins three" not in toy.traces()
    assert toy.written(run)[-2:] == ["step:failed", "run:cancelled"]


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_that_is_overtaken_ends_and_the_other_goes_on(toy: Toy, killed: bool):
    run = await running(toy)
    await toy.saw("toy begins one")
    back = await toy.tell("back second")
    assert await toy.tell(f"approve {back}") == "decided"
    await toy.saw("back begins one")
    if killed:
        await toy.kill()
        await toy.start()
    assert await toy.tell(f"ended {run}") == "overtaken one"
    toy.open(*NAMES)
    assert await toy.tell(f"ended {back}") == "succeeded -"
    assert not [trace for trace in toy.traces() if trace.startswith("toy ends")]
    assert toy.written(run)[-1] == "run:cancelled"


async def test_who_waits_for_the_place_takes_it_when_the_run_before_has_ended(toy: Toy):
    run = await running(toy)
    await toy.saw("toy begins one")
    second = await toy.tell("ask second")
    assert second != run
    toy.open(*NAMES)
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert await toy.tell(f"approve {second}") == "decided"
    assert await toy.tell(f"ended {second}") == "succeeded -"
    assert toy.traces().count("toy begins one") == 2
