"""A deploy and a rollback by the runbook beside the guide's own `kubectl` commands, on a real control plane.

Ours: stamp, backend, frontend, check (a rollback: both services at once, their evidence kept beside it, then check), each in one process
as in the bot, without the approval wait. The guide's: `kubectl set image` and `kubectl rollout status` for each service in turn, and
`kubectl get pods` of the backend; `rollout undo` twice, then `rollout status` twice. They do the same work in namespaces of their own, and
take turns, so that a busy machine slows all of them; what counts is the ratio of the medians.

A third one goes back in one wave by hand: a `kubectl patch` of image and `maxSurge` for each service, both at the same time. Nobody
is quicker than the control plane, and that is what it takes.

    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks rollouts [--smoke]
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import Figure
from runbooks.clients.kubernetes.connection import Timing
from runbooks.kit.plan import ImageChange
from runbooks.kit.steps import PlainPulse
from runbooks.release import rollback, rollouts
from tests.support.real import VARIABLE, Place, image, place, real_kubeconfig

SERVICES = ("backend", "frontend")
KUBECTL = str(Path(sys.executable).parent / "kubectl")
ROUNDS = {3: 12, 12: 6}
"""By replicas, of which the guide's Deployments have 3. Each of the three begins as often as the others; a round whose pods are throttled does not move the middle of twelve."""
BACK_GOAL = 0.4
"""Of the guide's time."""
_REST = 2.0
"""Seconds before each start, in which the controllers' allowance of requests (30 at once, 20 a second) is full again."""
BEFORE = "v1.2.0"

Work = Callable[[], Awaitable[None]]


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Deploy and rollback, ours and the guide's; nothing where no real control plane is named."""
    kubeconfig = real_kubeconfig()
    if kubeconfig is None:
        print(
            f"rollouts: {VARIABLE} names no real control plane, so there is nothing to measure against", file=sys.stderr
        )
        return []
    if smoke:  # both at once and few pods: nothing is judged, and somebody waits for it
        found = list(
            await asyncio.gather(
                _with(kubeconfig, 1, rounds=1, deploying=True), _with(kubeconfig, 2, rounds=1, deploying=False)
            )
        )
    else:
        found = [
            await _with(kubeconfig, replicas, rounds=ROUNDS[replicas], deploying=replicas == min(ROUNDS))
            for replicas in ROUNDS
        ]
    return [figure for each in found for figure in each]


async def _with(kubeconfig: str, replicas: int, *, rounds: int, deploying: bool) -> list[Figure]:
    """The figures of both services with so many pods each; a deploy is timed where it says so."""
    async with AsyncExitStack() as stack:
        ours, guides, hands = [await stack.enter_async_context(place(kubeconfig, timing=Timing())) for _ in range(3)]
        everywhere = (ours, guides, hands)
        await asyncio.gather(*(where.deploy(name, replicas=replicas) for where in everywhere for name in SERVICES))
        deploys: list[Sequence[float]] = []
        backs: list[Sequence[float]] = []
        for number in range(rounds):
            runs, after = _Runs(ours, number), f"v2.0.{number}"
            forth: tuple[Work, ...] = (
                lambda runs=runs, after=after: runs.deploy(BEFORE, after),  # type: ignore[misc]
                lambda after=after: _guides_deploy(guides, after),  # type: ignore[misc]
            )
            if deploying:
                deploys.append(await _in_turn(forth, number))
            else:
                await asyncio.gather(*(_one_wave(where, after) for where in (ours, guides)))
            await _one_wave(hands, after)
            back: tuple[Work, ...] = (
                lambda runs=runs, after=after: runs.rollback(after, BEFORE),  # type: ignore[misc]
                lambda: _guides_rollback(guides),
                lambda: _one_wave(hands, BEFORE),
            )
            backs.append(await _in_turn(back, number))
    what, (mine, theirs, by_hand) = f"of both services, {replicas} replicas each", zip(*backs, strict=True)
    figures = [_figure(f"deploy {what}", *zip(*deploys, strict=True), goal=1.0)] if deploys else []
    return [
        *figures,
        _figure(f"rollback {what}", mine, theirs, goal=BACK_GOAL),
        _figure(f"the same in one wave by hand, {replicas} replicas each", by_hand, theirs, goal=None),
    ]


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
        await rollback.go_back(
            pulse,
            self._here.cluster,
            self._here.environment,
            changes,
            (),
            cause="omnicare run: rollback",
            by="requester",
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


async def _one_wave(here: Place, version: str) -> None:
    """Both services at the same time, all new pods at once."""
    await asyncio.gather(*(_one_wave_of(here, name, image(name, version).reference) for name in SERVICES))


async def _one_wave_of(here: Place, name: str, reference: str) -> None:
    pods = {"spec": {"containers": [{"name": name, "image": reference}]}}
    raised = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "100%"}}, "template": pods}}
    await _kubectl(here, "patch", "deployment", name, "-p", json.dumps(raised))
    await _kubectl(here, "rollout", "status", f"deployment/{name}")
    lowered = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%"}}}}
    await _kubectl(here, "patch", "deployment", name, "-p", json.dumps(lowered))


async def _kubectl(here: Place, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", here.kubeconfig, "-n", here.namespace, *words,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {said.decode().strip()}")


async def _in_turn(work: Sequence[Work], number: int) -> list[float]:
    """Seconds of each; who goes first changes from round to round."""
    times = [0.0] * len(work)
    for offset in range(len(work)):
        which = (offset + number) % len(work)
        await asyncio.sleep(_REST)
        times[which] = await _timed(work[which])
    return times


async def _timed(work: Work) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _figure(name: str, ours: Sequence[float], guides: Sequence[float], *, goal: float | None) -> Figure:
    return Figure(
        name=name,
        ours=statistics.median(ours),
        unit="s",
        peer=statistics.median(guides),
        peer_name="the guide's kubectl commands",
        goal=goal,
    )
