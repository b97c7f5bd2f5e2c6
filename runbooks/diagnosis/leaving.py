"""Old pods that do not end where no new one is made before: the strategy Recreate.

A rolling update waits for no old pod, and no PodDisruptionBudget holds up either of them: both delete, and never evict.
"""

from collections.abc import Sequence

from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis.snapshot import Cause, Snapshot, usual
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import by_count, counted

_LATE = 1.0
_FINALIZER = usual(
    (
        "the controller that removes the finalizer is down",
        "check that controller; as a last resort remove the finalizer with `kubectl patch`",
    ),
    ("the controller is still working (draining, deregistering)", "wait for it"),
)
_ENDING = usual(
    ("the program ignores SIGTERM", "it is killed when its grace period ends; read its log meanwhile"),
    ("its node is lost, so its end is not reported", "run `kubectl get nodes`"),
)


def old_pods(snapshot: Snapshot) -> Cause | None:
    """Return the old pods that still exist while no new one may be created."""
    if snapshot.deployment.strategy != "Recreate" or snapshot.pods or snapshot.others or snapshot.new is not None:
        return None
    going = [pod for pod in snapshot.leaving if not pod.over]
    return _going(snapshot, going) if going else _left(snapshot.leaving, snapshot.change.kubectl)


def _going(snapshot: Snapshot, going: Sequence[PodView]) -> Cause:
    """Return the cause for pods that have been asked to terminate."""
    held = sorted({name for pod in going for name in pod.finalizers})
    by = f", held by {by_count(len(held), 'finalizer', 'finalizers')} {', '.join(held)}" if held else ""
    late = max(going, key=lambda pod: (bool(pod.finalizers), snapshot.seconds_since(pod.deleted_at)))
    seconds = snapshot.seconds_since(late.deleted_at)
    since = f" {seconds:.0f} s after the end of its grace period" if seconds >= _LATE else ""
    pods = f"{counted(len(going), 'old pod')} {by_count(len(going), 'is', 'are')}"
    return _cause(
        f"{pods} still terminating{by}", f"{late.name} still exists{since}", late, _FINALIZER if held else _ENDING
    )


def _left(ended: Sequence[PodView], kubectl: str) -> Cause | None:
    """Return the ended pods that nobody deletes: the controller waits until the last one is deleted."""
    if not ended:
        return None
    first = ended[0]
    pods = f"{counted(len(ended), 'finished old pod')} {by_count(len(ended), 'is', 'are')}"
    why = f" ({first.reason})" if first.reason else ""
    command = f"`{kubectl} delete pod {' '.join(pod.name for pod in ended)} -n {first.namespace}`"
    advice = usual(
        (
            "the Deployment's controller has not noticed that the last old pod is gone",
            f"run {command}; the rollout then continues",
        )
    )
    return _cause(
        f"{pods} still listed{why}", f"{first.name}: {first.message or first.reason or first.phase}", first, advice
    )


def _cause(brief: str, said: str, pod: PodView, advice: tuple[UsualCause, ...]) -> Cause:
    return Cause(
        code=ReasonCode.OLD_PODS_STAY,
        what=f"{brief}; strategy Recreate starts no new pod until {'it is' if brief.startswith('1 ') else 'they are'} gone",
        brief=brief,
        said=(said,),
        pod=pod,
        silent=True,
        usual=advice,
    )
