"""A deploy and a rollback by the runbook beside the guide's own `kubectl` commands, on a real control plane.

Ours: stamp, backend, frontend, check (a rollback: both services at once, then check), each in one process as in the bot, without
the approval wait. The guide's: `kubectl set image` and `kubectl rollout status` for each service in turn, and `kubectl get pods`
of the backend; `rollout undo` twice, then `rollout status` twice. Both do the same work in namespaces of their own, and take turns, so that a busy machine slows both;
what counts is the ratio of the medians.

    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks rollouts [--smoke]
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.figures import Figure
from runbooks import rollouts
from runbooks.clients.cluster_connection import Timing
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.steps import PlainPulse
from tests.support.real import VARIABLE, Place, image, place, real_kubeconfig

SERVICES = ("backend", "frontend")
KUBECTL = str(Path(sys.executable).parent / "kubectl")
ROUNDS = 6
"""As many begun by ours as by the guide's."""
REPLICAS = 3
"""As the guide's Deployments have."""


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Deploy and rollback, ours and the guide's; nothing where no real control plane is named."""
    kubeconfig = real_kubeconfig()
    if kubeconfig is None:
        print(
            f"rollouts: {VARIABLE} names no real control plane, so there is nothing to measure against", file=sys.stderr
        )
        return []
    async with place(kubeconfig, timing=Timing()) as ours, place(kubeconfig, timing=Timing()) as guides:
        await asyncio.gather(*(where.deploy(name, replicas=REPLICAS) for where in (ours, guides) for name in SERVICES))
        rounds = [await _round(ours, guides, number) for number in range(1 if smoke else ROUNDS)]
    return [
        _figure("deploy of both services, real control plane", [deploy for deploy, _ in rounds]),
        _figure("rollback of both services, real control plane", [rollback for _, rollback in rounds]),
    ]


async def _round(ours: Place, guides: Place, number: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Forth and back again, each by both."""
    runs, before, after = _Runs(ours, number), "v1.2.0", f"v2.0.{number}"
    deploy = await _both(lambda: runs.deploy(before, after), lambda: _guides_deploy(guides, after), number)
    return deploy, await _both(lambda: runs.rollback(after, before), lambda: _guides_rollback(guides), number)


class _Runs:
    """What the bot's steps do, one run after the other."""

    def __init__(self, here: Place, number: int) -> None:
        self._here = here
        self._number = number

    async def deploy(self, before: str, after: str) -> None:
        pulse, changes = await self._stamped("deploy"), self._changes(before, after)
        for change in changes:
            await rollouts.roll_out(pulse, self._here.cluster, change, cause="omnicare run: deploy", by="requester")
        await rollouts.check(pulse, self._here.cluster, changes)

    async def rollback(self, before: str, after: str) -> None:
        pulse, changes = await self._stamped("rollback"), self._changes(before, after)
        plan = Plan(title="Roll back", changes=tuple(changes))
        await rollouts.roll_out_together(
            pulse, self._here.cluster, self._here.environment, plan, cause="omnicare run: rollback", by="requester"
        )
        await rollouts.check(pulse, self._here.cluster, changes)

    async def _stamped(self, what: str) -> PlainPulse:
        pulse = PlainPulse(f"production.{what}.{self._number}")
        await self._here.take(pulse.run, over=True)
        await rollouts.stamp(pulse, self._here.cluster, self._here.fleet, self._here.environment)
        return pulse

    def _changes(self, before: str, after: str) -> list[ImageChange]:
        return [self._here.change(name, before, after) for name in SERVICES]


async def _guides_deploy(here: Place, version: str) -> None:
    for name in SERVICES:
        await _kubectl(here, "set", "image", f"deployment/{name}", f"{name}={image(name, version).reference}")
        await _kubectl(here, "rollout", "status", f"deployment/{name}")
        if name == "backend":  # "Verify pods": the guide looks at the backend's only
            await _kubectl(here, "get", "pods", "-l", f"app={name}")


async def _guides_rollback(here: Place) -> None:
    for name in SERVICES:
        await _kubectl(here, "rollout", "undo", f"deployment/{name}")
    for name in SERVICES:
        await _kubectl(here, "rollout", "status", f"deployment/{name}")


async def _kubectl(here: Place, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", here.kubeconfig, "-n", here.namespace, *words,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {said.decode().strip()}")


async def _both(
    ours: Callable[[], Awaitable[None]], guides: Callable[[], Awaitable[None]], number: int
) -> tuple[float, float]:
    """Seconds of ours and the guide's; who goes first changes from round to round."""
    if number % 2:
        second = await _timed(guides)
        return await _timed(ours), second
    first = await _timed(ours)
    return first, await _timed(guides)


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _figure(name: str, rounds: Sequence[tuple[float, float]]) -> Figure:
    ours, guides = (statistics.median(times) for times in zip(*rounds, strict=True))
    return Figure(name=name, ours=ours, unit="s", peer=guides, peer_name="the guide's kubectl commands", goal=1.0)
