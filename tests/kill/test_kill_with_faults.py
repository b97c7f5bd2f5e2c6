"""`kill -9` in the moment in which the cluster or Slack answers with a fault, at every change of a deploy and of a rollback, one after another.

The bot that starts then meets the same fault for a moment, too. In the end all was changed once, said once and written once.
"""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from sandbox.world import BotDied
from tests.faults.conftest import SHORT_CALLS
from tests.faults.steps import DEPLOY, POSTS, ROLLBACK, WRITE, Step, patching
from tests.faults.wires import Changes, Wires, approvable
from tests.support.interference import Fault, How, cluster_through, interfering
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(900)]

WRITES = [step for step in DEPLOY if step.kind == WRITE]
GOING_BACK = [step for step in ROLLBACK if step.kind == WRITE][::-1]
"""The particular ones first: putting `maxSurge` back names the run, too, as taking the Deployments does."""
GOING_BACK.append(Step("frontend: the change", WRITE, patching("frontend", "/image")))
PATIENCE = 240.0
"""Seconds for a run whose bot is killed at each of its steps."""


@pytest.fixture
async def wires(tmp_path: Path) -> AsyncIterator[Wires]:
    async with (
        story(tmp_path / "world", times=SHORT_CALLS) as made,
        cluster_through(made.world.folder / "bot.kubeconfig", tmp_path) as (cluster, through),
        interfering(made.world.slack.url) as slack,
    ):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)
            document["slack"]["api_url"] = f"{slack.url}/api/"

        made.slack.response_base = f"{slack.url}/response/"
        made.configure(change)
        await made.start()
        yield Wires(made, cluster, slack, lambda *_: None)


class Deaths:
    """Kills the bot at each of these steps, and starts it again."""

    def __init__(self, wires: Wires, hows: tuple[How, ...]) -> None:
        self._wires, self._hows = wires, hows
        self._planted: dict[str, Fault] = {}
        self._killed: set[str] = set()

    def plant(self, steps: list[Step]) -> None:
        self._wires.clear()
        self._planted.clear()
        self._killed.clear()
        for place, step in enumerate(steps):
            proxy = self._wires.slack if step.slack else self._wires.cluster
            how = self._hows[place % len(self._hows)]
            fault = self._planted[step.name] = proxy.fail(how, step.matches, times=2)
            fault.then = lambda step=step, how=how: self._struck(step, how)  # type: ignore[misc]

    def all_struck(self) -> None:
        """Two that are sent in the same moment die by one kill."""
        assert not [name for name, fault in self._planted.items() if not fault.struck]
        assert len(self._killed) >= len(self._planted) - 1

    def _struck(self, step: Step, how: How) -> None:
        bot = self._wires.here.world.bot
        if step.name not in self._killed and bot is not None and bot.pid is not None:
            self._killed.add(step.name)  # else it came again, to the bot that was started since
            os.kill(bot.pid, signal.SIGKILL)
            for proxy in (self._wires.cluster, self._wires.slack):
                proxy.fail(how, lambda request: request.method == "GET", times=1)

    async def tend(self) -> None:
        while True:  # without a bound of its own: its end would hide what the test waited for
            await self._wires.here.world.bot.wait()  # type: ignore[union-attr]
            with contextlib.suppress(BotDied):  # it may be killed before it is ready
                await self._wires.here.start()


@contextlib.asynccontextmanager
async def raised_again(wires: Wires, hows: tuple[How, ...]) -> AsyncIterator[Deaths]:
    deaths = Deaths(wires, hows)
    tending = asyncio.create_task(deaths.tend())
    try:
        yield deaths
    finally:
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending


@pytest.mark.parametrize(
    "hows",
    [(How.UNHEARD, How.SILENT), (How.BROKEN_AFTER, How.BROKEN)],
    ids=lambda hows: "-".join(how.name for how in hows),
)
async def test_killed_while_it_is_answered_with_a_fault_at_every_change(wires: Wires, hows: tuple[How, ...]):
    """The faults of a pair take turns."""
    here, changes = wires.here, Changes(wires.here)
    async with raised_again(wires, hows) as deaths:
        deaths.plant([*WRITES, *POSTS])
        run = await approvable(here, "deploy v2.0.0")
        await pressed(here, APPROVER, run)
        await here.says(run, "v2.0.0 runs in production", "result", seconds=PATIENCE)
        await here.ended_with(run, "v2.0.0 runs in production")
        await here.until(lambda: here.environment().run is None, "the place is given back")
        deaths.all_struck()
        assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
        all_is_as_after(here, run, "v2.0.0")
        assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))

        deaths.plant(GOING_BACK)
        back = await approvable(here, "rollback", ON_CALL)
        await pressed(here, ON_CALL, back)
        await here.says(back, "Back on v1.2.0 in production", "result", seconds=PATIENCE)
        await here.ended_with(back, "Back on v1.2.0 in production")
        await here.until(lambda: here.environment().run is None, "the place is given back")
        deaths.all_struck()
        assert changes.images == {(service, version): 1 for service in SERVICES for version in ("v2.0.0", "v1.2.0")}
        assert changes.raised == changes.lowered == dict.fromkeys(SERVICES, 1)
        all_is_as_after(here, back, "v1.2.0")
        assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
        names = Counter(here.event_names(back))
        assert [names[name] for name in ("run:requested", "approval:given", "run:started", "run:succeeded")] == [1] * 4


async def pressed(here: Story, who: str, run: str) -> None:
    """*Approve*, by a person to whom Slack says that the app does not answer while it is being started."""
    while not (await here.press(who, "approve", run)).ok:
        await here.until(lambda: here.slack.app_connected, "the bot is there again")


def all_is_as_after(here: Story, run: str, version: str) -> None:
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, version)}
    assert [each.version for each in here.releases() if each.run == run] == [version]
    assert here.environment().undecided is None
    assert set(here.said(run)) == {"head", "plan", "approval", "progress", "result"}
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)
