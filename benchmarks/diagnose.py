"""`diagnose` on 200 pods, beside the `kubectl` calls that list the same facts, which a person then still has to read.

Ours is the command itself: every rule, and the card. Both ask the same real control plane and take turns; kubectl is called as a person
calls it, one thing after another.

    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks diagnose [--smoke]
"""

import statistics
import sys
import time

from benchmarks.figures import Figure
from benchmarks.status import FEW, PODS, ROUNDS, context_of, kubectl_get
from commands.kit.context import Context
from commands.observe.diagnose import Diagnose
from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.connection import Timing
from tests.support.real import VARIABLE, Place, place, real_kubeconfig

_ASKED = (
    "deployments -o wide", "replicasets -o wide", "pods -o wide", "events", "endpoints -o wide",
    "configmaps -o yaml --show-managed-fields", "nodes -o wide",
)  # fmt: skip


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Wall times beside kubectl's; nothing where no real control plane is named."""
    kubeconfig = real_kubeconfig()
    if kubeconfig is None:
        print(f"diagnose: {VARIABLE} names no real control plane, so there is nothing to measure", file=sys.stderr)
        return []
    pods = FEW if smoke else PODS
    async with place(kubeconfig, timing=Timing()) as here, HealthClient() as health:
        for service in ("backend", "frontend"):
            await here.deploy(service, replicas=pods // 2, pinned=False)
        context = context_of(here, health)
        rounds = [await _round(here, context, pods) for _ in range(1 if smoke else ROUNDS)]
    ours, kubectl = (statistics.median(times) for times in zip(*rounds, strict=True))
    peer = f"{len(_ASKED)} kubectl calls"
    return [Figure(name=f"diagnose: {pods} pods", ours=ours, unit="s", peer=kubectl, peer_name=peer, goal=0.3)]


async def _round(here: Place, context: Context, pods: int) -> tuple[float, float]:
    began = time.perf_counter()
    card = await Diagnose(env=here.environment.name, region=None).answer(context)
    ours = time.perf_counter() - began
    well = card.data["well"]
    assert isinstance(well, list)
    assert f"pods and rollouts ({pods} ready pods)" in well, card.summary
    began = time.perf_counter()
    for asked in _ASKED:
        await kubectl_get(here, asked)
    return ours, time.perf_counter() - began
