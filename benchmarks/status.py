"""`status` on 200 pods, beside the `kubectl` calls that tell the same facts: Deployments, ReplicaSets, pods, and the fleet's records.

Ours is the command itself, card and all. Both ask the same real control plane and take turns; kubectl is called as a person calls it,
one thing after another.

    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks status [--smoke]
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from commands.kit.card import Card
from commands.kit.context import Actor, Context
from commands.kit.policy import Policies
from commands.observe.status import Status
from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.connection import Timing
from tests.support.real import VARIABLE, Place, place, real_kubeconfig

KUBECTL = str(Path(sys.executable).parent / "kubectl")
PODS = 200
FEW = 20
ROUNDS = 9
_ASKED = ("deployments -o wide", "replicasets -o wide", "pods -o wide", "configmaps -o yaml")


Look = Callable[[Place, Context, int], Awaitable[None]]
"""Asks the command about so many pods, and raises where its answer is not complete."""


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Wall times beside kubectl's; nothing where no real control plane is named."""
    return await beside_kubectl("status", _look, _ASKED, smoke=smoke)


async def beside_kubectl(name: str, look: Look, asked: Sequence[str], *, smoke: bool) -> list[Figure]:
    """Time a command on many pods beside these `kubectl get` calls; return nothing where no real control plane is named."""
    kubeconfig = real_kubeconfig()
    if kubeconfig is None:
        print(
            f"{name}: {VARIABLE} names no real control plane, so there is nothing to measure against", file=sys.stderr
        )
        return []
    pods = FEW if smoke else PODS
    async with place(kubeconfig, timing=Timing()) as here, HealthClient() as health:
        for service in ("backend", "frontend"):
            await here.deploy(service, replicas=pods // 2, pinned=False)
        context = _context_of(here, health)
        rounds = [await _round(here, context, pods, look, asked) for _ in range(1 if smoke else ROUNDS)]
    ours, kubectl = (statistics.median(times) for times in zip(*rounds, strict=True))
    peer = f"{len(asked)} kubectl calls"
    return [Figure(name=f"{name}: {pods} pods", ours=ours, unit="s", peer=kubectl, peer_name=peer, goal=0.3)]


async def _round(here: Place, context: Context, pods: int, look: Look, asked: Sequence[str]) -> tuple[float, float]:
    began = time.perf_counter()
    await look(here, context, pods)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    for each in asked:
        await _kubectl_get(here, each)
    return ours, time.perf_counter() - began


async def _look(here: Place, context: Context, pods: int) -> None:
    card = await Status(env=here.environment.name).answer(context)
    assert _ready(card) == pods, card.summary


def _ready(card: Card) -> int:
    services = card.data["services"]
    assert isinstance(services, list)
    return sum(service["ready"] for service in services)


async def _kubectl_get(here: Place, asked: str) -> None:
    """Call `kubectl get` as a person does. Raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", here.kubeconfig, "-n", here.namespace, "get", *asked.split(),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if await process.wait():
        raise RuntimeError(f"kubectl get {asked} failed")


class _Nobody:
    """A bot in which nothing runs and everything may be looked at."""

    async def recent(self, **_: Any) -> list[Any]:
        return []

    async def may(self, *_: Any) -> bool:
        return True


def _context_of(here: Place, health: HealthClient) -> Context:
    """Return what a query is given there."""
    nobody: Any = _Nobody()
    return Context(
        actor=Actor(key="oncall", name="On-call"), environment=here.environment, cluster=here.cluster,
        registry=nobody, fleet=here.fleet, health=health, runs=nobody, audit_log=nobody, authority=nobody,
        policies=Policies(), now=datetime.now(UTC),
    )  # fmt: skip
