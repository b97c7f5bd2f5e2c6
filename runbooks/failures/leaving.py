"""Old pods that do not end where no new one is made before: the strategy Recreate.

A rolling update waits for no old pod, and no PodDisruptionBudget holds up either of them: both delete, and never evict.
"""

from runbooks.clients.cluster_views import PodView
from runbooks.failures.scene import Cause, Scene, usual
from runbooks.kit.reasons import ReasonCode

_LATE = 1.0
_FINALIZER = usual(
    (
        "the controller that removes the finalizer is down",
        "look at it; as a last resort `kubectl patch` the finalizer away",
    ),
    ("it still does what the finalizer is for (drain, deregister)", "wait for it"),
)
_ENDING = usual(
    ("the program does not end when it is asked to (SIGTERM)", "its grace period ends it; look at its log meanwhile"),
    ("its node is lost, so nobody says that it has ended", "look with `kubectl get nodes`"),
)


def old_pods(scene: Scene) -> Cause | None:
    """Old pods that have been asked to end and are still there, while no new one may be made."""
    going = [pod for pod in scene.leaving if pod.deleting and not (scene.new and pod.owner == scene.new.uid)]
    if scene.deployment.strategy != "Recreate" or scene.pods or not going:
        return None
    held = sorted({name for pod in going for name in pod.finalizers})
    by = f", held by the finalizer{'s' if len(held) > 1 else ''} {', '.join(held)}" if held else ""
    late = max(going, key=lambda pod: scene.seconds_since(pod.deleted_at))
    seconds = scene.seconds_since(late.deleted_at)
    since = f" {seconds:.0f} s after the end of its grace period" if seconds >= _LATE else ""
    pods = "1 old pod is" if len(going) == 1 else f"{len(going)} old pods are"
    what = f"{pods} still ending{by}; the strategy Recreate makes no new pod before that"
    return Cause(
        code=ReasonCode.OLD_PODS_STAY,
        what=what,
        brief=f"{pods} still ending{by}",
        said=(f"{late.name} is still there{since}",),
        pod=_held(going) or late,
        silent=True,
        usual=_FINALIZER if held else _ENDING,
    )


def _held(pods: list[PodView]) -> PodView | None:
    return next((pod for pod in pods if pod.finalizers), None)
