"""`nodes`: from a phone, what is wrong with the cluster's nodes."""

from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import NODE, Json
from tests.support.worlds import AUDITOR, ON_CALL, Story


def break_first(here: Story) -> str:
    """The kubelet reports a full disk, and somebody cordons the node."""
    cluster = here.world.cluster
    name = min(node["metadata"]["name"] for node in cluster.store.all(NODE))

    def fill(draft: Json) -> None:
        for each in draft["status"]["conditions"]:
            if each["type"] == "DiskPressure":
                each.update(status="True", message="kubelet has disk pressure")

    cluster.api.modify(NODE, "", name, fill, Writer("kubelet", subresource="status"))
    cluster.api.modify(NODE, "", name, lambda draft: draft["spec"].update(unschedulable=True), Writer("kubectl-cordon"))
    return str(name)


async def test_nodes_are_told_with_what_is_wrong_first_and_one_with_its_pods(here: Story):
    said = await here.answer(AUDITOR, "nodes", "all ready")
    assert "🟢" in said
    name = break_first(here)
    said = await here.answer(ON_CALL, "nodes", "Problems on")
    for each in (
        "has a disk that is nearly full",
        "kubelet has disk pressure",
        "is cordoned",
        "Control plane v1.",
    ):
        assert each in said
    said = await here.answer(ON_CALL, f"nodes {name}", f"{name} in production is ready, under pressure, cordoned")
    for each in ("DiskPressure", "allocatable", "Kubelet"):
        assert each in said
    await here.type(ON_CALL, "/omnicare nodes node-99")
    await here.whispered(ON_CALL, "There is no node `node-99`")
