"""A world in which a new image of a service fails, and the old pods go on."""

from tests.runbooks.troubleshooting.generated_world import World, _pod, _set, _template, event


def new_image(world: World, end: str) -> None:
    """Give backend another image, whose first pod ends in that way, or can't pull it; the old pods go on."""
    template = _template("backend", "v2.0.0")
    (deployment,) = (each for each in world.kinds["deployments"] if each["metadata"]["name"] == "backend")
    deployment["spec"]["template"] = template
    deployment["status"]["updatedReplicas"] = 1
    world.add("replicasets", _set(world, "backend", "newer", template, 8, 1, 0))
    pod = _pod(world, "backend", "backend-newer-0", "uid-backend-newer", 8)
    pod["spec"]["containers"] = template["spec"]["containers"]
    status = pod["status"]["containerStatuses"][0]
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": world.stamp(7)}]
    status |= {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}}
    if end:
        status["restartCount"] = 6
        ended = {"reason": end, "exitCode": 137 if end == "OOMKilled" else 1, "finishedAt": world.stamp(0.5)}
        status["lastState"] = {"terminated": ended}
    else:
        status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        event(
            world,
            "Failed",
            'Failed to pull image "ghcr.io/omnicare/backend:v2.0.0": manifest unknown',
            pod,
            0.5,
            first=5,
        )
