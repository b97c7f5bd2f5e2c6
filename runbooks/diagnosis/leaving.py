"""Old pods that do not end where no new one is made before: the strategy Recreate.

A rolling update waits for no old pod, and no PodDisruptionBudget holds up either of them: both delete, and never evict.
"""

from collections.abc import Sequence

from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis.snapshot import Cause, Snapshot, usual
from runbooks.kit.diagnosis import UsualCause
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


def old_pods(snapshot: Snapshot) -> Cause | None:
    """Old pods that are still there, while no new one may be made."""
    if snapshot.deployment.strategy != "Recreate" or snapshot.pods or snapshot.others or snapshot.new is not None:
        return None
    going = [pod for pod in snapshot.leaving if not pod.over]
    return _going(snapshot, going) if going else _left(snapshot.leaving)


def _going(snapshot: Snapshot, going: Sequence[PodView]) -> Cause:
    """They have been asked to end."""
    held = sorted({name for pod in going for name in pod.finalizers})
    by = f", held by the finalizer{'s' if len(held) > 1 else ''} {', '.join(held)}" if held else ""
    late = max(going, key=lambda pod: (bool(pod.finalizers), snapshot.seconds_since(pod.deleted_at)))
    seconds = snapshot.seconds_since(late.deleted_at)
    since = f" {seconds:.0f} s after the end of its grace period" if seconds >= _LATE else ""
    pods = "1 old pod is" if len(going) == 1 else f"{len(going)} old pods are"
    return _cause(
        f"{pods} still ending{by}", f"{late.name} is still there{since}", late, _FINALIZER if held else _ENDING
    )


def _left(ended: Sequence[PodView]) -> Cause | None:
    """The controller hears that pods have ended, but waits to be told that the last one was deleted; of these nobody tells it."""
    if not ended:
        return None
    first = ended[0]
    pods = "1 old pod that has ended is" if len(ended) == 1 else f"{len(ended)} old pods that have ended are"
    why = f" ({first.reason})" if first.reason else ""
    command = f"`kubectl delete pod {' '.join(pod.name for pod in ended)} -n {first.namespace}`"
    advice = usual(
        ("the Deployment's controller is not told that the last old pod is gone", f"{command}, and it goes on")
    )
    return _cause(
        f"{pods} still listed{why}", f"{first.name}: {first.message or first.reason or first.phase}", first, advice
    )


def _cause(brief: str, said: str, pod: PodView, advice: tuple[UsualCause, ...]) -> Cause:
    return Cause(
        code=ReasonCode.OLD_PODS_STAY,
        what=f"{brief}; the strategy Recreate makes no new pod before {'it is' if brief.startswith('1 ') else 'they are'} gone",
        brief=brief,
        said=(said,),
        pod=pod,
        silent=True,
        usual=advice,
    )
