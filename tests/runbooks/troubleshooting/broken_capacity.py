"""Ways to break a generated environment that are about room: its nodes, autoscalers and limits."""

from tests.runbooks.troubleshooting.generated_world import Breakage, World, event, one_pod, pending


def node_silent(world: World) -> str:
    _node_says(world, "Ready", "Unknown", "Kubelet stopped posting node status.")
    return "does not answer"


def node_disk_full(world: World) -> str:
    _node_says(world, "DiskPressure", "True", "kubelet has disk pressure")
    return "has a disk that is nearly full"


def _node_says(world: World, kind: str, status: str, message: str) -> None:
    name = one_pod(world)["spec"]["nodeName"]
    (node,) = (each for each in world.kinds["nodes"] if each["metadata"]["name"] == name)
    for each in node["status"]["conditions"]:
        if each["type"] == kind:
            each |= {"status": status, "message": message, "lastTransitionTime": world.stamp(7)}


def cordoned(world: World) -> str:
    pending(world)
    (pod,) = (
        each for each in world.kinds["pods"] if each["status"]["phase"] == "Pending" and not each["spec"]["nodeName"]
    )
    nodes = world.kinds["nodes"]
    for node in nodes[1:] or nodes:
        node["spec"]["unschedulable"] = True
    said = f"0/{len(nodes)} nodes are available: 1 Insufficient cpu, {len(nodes) - 1} node(s) were unschedulable."
    pod["status"]["conditions"][0]["message"] = said
    about = pod["metadata"]["uid"]
    world.kinds["events"] = [each for each in world.kinds["events"] if each["involvedObject"]["uid"] != about]
    event(world, "FailedScheduling", said, pod, 1, first=5)
    return "cordoned while 1 pod waits for room"


def autoscaler_at_its_most(world: World) -> str:
    (scaler,) = (each for each in world.kinds["horizontalpodautoscalers"] if each["metadata"]["name"] == "backend")
    scaler["spec"]["maxReplicas"] = scaler["status"]["currentReplicas"]
    target = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    scaler["spec"]["metrics"] = [{"type": "Resource", "resource": target}]
    now = {"name": "cpu", "current": {"averageUtilization": 141, "averageValue": "141m"}}
    scaler["status"]["currentMetrics"] = [{"type": "Resource", "resource": now}]
    held = {
        "type": "ScalingLimited",
        "status": "True",
        "reason": "TooManyReplicas",
        "lastTransitionTime": world.stamp(9),
    }
    scaler["status"]["conditions"].append(held)
    return "its autoscaler is at its maximum"


def autoscaler_without_metric(world: World) -> str:
    (scaler,) = (each for each in world.kinds["horizontalpodautoscalers"] if each["metadata"]["name"] == "backend")
    scaler["status"]["conditions"][1] |= {"status": "False", "reason": "FailedGetResourceMetric"}
    return "its autoscaler can't scale (FailedGetResourceMetric)"


def memory_nearly_used(world: World) -> str:
    usage = {"name": "backend", "usage": {"cpu": "80m", "memory": "500Mi"}}
    for pod in world.pods_of("backend"):
        world.add("metrics", {"metadata": {"name": pod["metadata"]["name"]}, "containers": [usage]})
    return "nearly all of"


CAPACITY: tuple[Breakage, ...] = (
    node_silent, node_disk_full, cordoned, autoscaler_at_its_most, autoscaler_without_metric, memory_nearly_used,
)  # fmt: skip
