"""A volume that keeps a pod waiting: its claim is not there or not bound, or the node can't attach or mount it."""

import re

from runbooks.clients.kubernetes.views import EventView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual, words
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode

_ABSENT = re.compile(r'persistentvolumeclaims? "([^"]+)" not found', re.IGNORECASE)
_LEAVING = re.compile(r'persistentvolumeclaims? "([^"]+)" is being deleted', re.IGNORECASE)
_UNBOUND = re.compile(
    r"unbound (?:immediate )?persistentvolumeclaims|didn't find available persistent volumes|unbound persistent ?volume",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"volume node affinity conflict|no available volume zone", re.IGNORECASE)
_IN_USE = re.compile(r"multi-attach error|is already (?:exclusively attached|used by)", re.IGNORECASE)
_ABOUT_CLAIM = {"FailedBinding", "ProvisioningFailed", "WaitForFirstConsumer", "ExternalProvisioning"}

_CLAIM_GONE = usual(
    ("the claim was deleted or renamed", "create it again from its manifest; its volume may still hold the data"),
    ("this version's template names another claim", "fix the template, then retry"),
)
_NOT_BOUND = usual(
    ("no matching volume is left, and nothing provisions one", "run `kubectl describe pvc`, then add a volume"),
    ("its storage class does not exist, or its provisioner is down", "check the storage class and its provisioner"),
)
_MOUNT = usual(
    ("the volume is still attached to another node", "wait until its old pod is gone, or detach it by hand"),
    ("the storage does not answer", "check the storage and its driver on that node"),
)


def unplaced(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return why the scheduler can't place the pod because of its volumes."""
    message = pod.unschedulable
    if not message:
        return None
    claims = ", ".join(pod.claims)
    if found := _ABSENT.search(message):
        return _cause(pod, f"volume claim {found[1]} does not exist", (message,), _CLAIM_GONE)
    if found := _LEAVING.search(message):
        return _cause(pod, f"volume claim {found[1]} is being deleted", (message,), _CLAIM_GONE)
    if _UNBOUND.search(message):
        why = [event.message for event in _about_claims(snapshot, pod)]
        named = f"volume claim {claims}" if len(pod.claims) == 1 else f"one of the volume claims {claims}"
        what = f"{named if claims else 'a volume claim'} is not bound to a volume"
        return _cause(pod, what, words(message, *reversed(why)), _NOT_BOUND)
    if _ELSEWHERE.search(message):
        what = f"volume {claims} is in a different zone from the nodes with free capacity".replace("  ", " ")
        return _cause(pod, what, (message,), _NOT_BOUND)
    return None


def unmounted(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return why the node can't attach or mount a volume; the pod waits in ContainerCreating."""
    if any(container.phase in ("running", "terminated") for container in pod.containers):
        return None
    told = snapshot.told(pod, "FailedMount", "FailedAttachVolume", "FailedMapVolume")
    if not told:
        return None
    said = words(*(event.message for event in reversed(told)))
    used = any(_IN_USE.search(word) for word in said)
    claims = f" {', '.join(pod.claims)}" if pod.claims else ""
    what = f"volume{claims} is still attached elsewhere" if used else f"volume{claims} can't be mounted"
    return _cause(pod, what, said, _MOUNT)


def _about_claims(snapshot: PodsSnapshot, pod: PodView) -> list[EventView]:
    found = [
        event
        for event in snapshot.events
        if event.about_kind == "PersistentVolumeClaim"
        and event.about_name in pod.claims
        and (event.type == "Warning" or event.reason in _ABOUT_CLAIM)
    ]
    return sorted(found, key=lambda event: event.order)


def _cause(pod: PodView, what: str, said: tuple[str, ...], causes: tuple[UsualCause, ...]) -> Cause:
    return Cause(
        code=ReasonCode.VOLUME_UNAVAILABLE, what=what, brief=what, said=said, pod=pod, silent=True, usual=causes
    )
