"""`diagnose` on 200 pods, beside the `kubectl` calls that list the same facts, which a person then still has to read.

Ours is the command itself: every rule, and the card. Both ask the same real control plane and take turns; kubectl is called as a person
calls it, one thing after another.

    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks diagnose [--smoke]
"""

from benchmarks.figures import Figure
from benchmarks.status import beside_kubectl
from commands.kit.context import Context
from commands.observe.diagnose import Diagnose
from tests.support.real import Place

_ASKED = (
    "deployments -o wide", "replicasets -o wide", "pods -o wide", "events", "endpoints -o wide",
    "configmaps -o yaml --show-managed-fields", "nodes -o wide",
)  # fmt: skip


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Wall times beside kubectl's; nothing where no real control plane is named."""
    return await beside_kubectl("diagnose", _look, _ASKED, smoke=smoke)


async def _look(here: Place, context: Context, pods: int) -> None:
    card = await Diagnose(env=here.environment.name, region=None).answer(context)
    well = card.data["well"]
    assert isinstance(well, list)
    assert f"pods and rollouts ({pods} ready pods)" in well, card.summary
