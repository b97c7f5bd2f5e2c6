"""From Kubernetes reporting what no waiting will mend to the failure card in the thread, beside `kubectl rollout status`.

The bot is a real `omnicare serve` with Slack, book and engine, on the sandbox's cluster. The clock starts when the cluster's store
has the condition that makes it certain (a pull that failed, a refusal, the third crash alike), and ends when the result stands in
the channel's thread. The peer watches the same Deployment from the same moment: it ends at the progress deadline (600 s as the
Deployment has it), so it is watched for a bounded time, and its figure is that bound where it still waits.

    python -m benchmarks failures [--smoke]
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure
from sandbox.cluster.resources import POD, REPLICA_SET, Json
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.cluster.store import Change
from sandbox.scenarios import BY_NAME
from sandbox.scenarios.scenario import PRODUCTION, Scenario
from tests.support.worlds import APPROVER, Story, story

CAUSES = (
    "image-unknown",
    "image-wrong-architecture",
    "quota",
    "admission",
    "config-missing",
    "secret-missing",
    "crash",
)
BUDGET = 5.0
BOUND = 20.0
"""Seconds for which the peer is watched."""
ROUNDS = 3
"""In the first of each cause the peer watches too."""
ALIKE = 3
KUBECTL = str(Path(sys.executable).parent / "kubectl")


async def measure(*, smoke: bool = False) -> list[Figure]:
    """One figure a cause, and the worst of them beside the peer."""
    bound = 1.0 if smoke else BOUND
    seconds: dict[str, list[float]] = {}
    waited: list[float] = []
    for name in CAUSES[:1] if smoke else CAUSES:
        for number in range(1 if smoke else ROUNDS):
            ours, peers = await _once(BY_NAME[name], bound if number == 0 else None)
            seconds.setdefault(name, []).append(ours)
            waited += [peers] if peers is not None else []
    worst = max(max(each) for each in seconds.values())
    peer = "kubectl rollout status, which still waits" if min(waited) >= bound else "kubectl rollout status"
    return [
        *(
            Figure(name=f"from certain to the card: {name}", ours=statistics.median(each), unit="s", goal=BUDGET)
            for name, each in seconds.items()
        ),
        Figure(name="from certain to the card: the slowest of all", ours=worst, unit="s", goal=BUDGET),
        Figure(name="the same beside the peer", ours=worst, unit="s", peer=min(waited), peer_name=peer),
    ]


async def _once(scenario: Scenario, bound: float | None) -> tuple[float, float | None]:
    """Seconds of ours, and of the peer (the bound, where it had not ended by then; None where it does not watch)."""
    with tempfile.TemporaryDirectory(prefix="omnicare-bench-") as folder:
        async with story(Path(folder), cluster=ClusterSettings(nodes=3)) as here:
            await here.world.play(scenario)
            await here.start()
            reported = _reported(here, scenario)
            run = await here.ask(scenario.command)
            await here.press(APPROVER, "approve", run)
            async with asyncio.timeout(60):
                began = await reported
            peer = asyncio.create_task(_peer(here, began, bound)) if bound is not None else None
            await here.says(run, scenario.cause, "result")
            ours = time.monotonic() - began
            return ours, await peer if peer is not None else None


def _reported(here: Story, scenario: Scenario) -> "asyncio.Future[float]":
    """When the cluster first has what makes the failure certain."""
    found: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    holds = _certain_of(scenario)

    def see(change: Change) -> None:
        if not found.done() and change.obj["metadata"].get("namespace") == PRODUCTION and holds(change):
            found.set_result(time.monotonic())

    here.world.cluster.store.listen(see)
    return found


def _certain_of(scenario: Scenario) -> Callable[[Change], bool]:
    crashes: set[str] = set()

    def holds(change: Change) -> bool:
        if change.kind == REPLICA_SET:
            return any(
                each["type"] == "ReplicaFailure" for each in change.obj.get("status", {}).get("conditions") or []
            )
        if change.kind != POD:
            return False
        for state in _states(change.obj):
            if state.get("waiting", {}).get("reason") in ("ErrImagePull", "CreateContainerConfigError"):
                return True
            if scenario.name == "crash" and "terminated" in state:
                crashes.add(f"{change.obj['metadata']['uid']} {change.version}")
        return len(crashes) >= ALIKE

    return holds


def _states(pod: Json) -> list[Json]:
    return [each["state"] for each in pod["status"].get("containerStatuses") or []]


async def _peer(here: Story, began: float, bound: float) -> float:
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", str(here.world.kubeconfig_path), "-n", PRODUCTION, "rollout", "status",
        "deployment/backend", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(bound):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return bound
    return time.monotonic() - began
