"""Pods that the cluster refuses to create: quota, limits of the namespace, pod security, a webhook, a missing service account.

The ReplicaSet says so in a condition (and, each time it tries, in an event). What was refused is certain; a webhook or an API
server that does not answer is not.
"""

import re
from datetime import datetime, timedelta

from runbooks.clients.kubernetes.views import Condition
from runbooks.deployments.service_state import DEPLOYED_AT
from runbooks.diagnosis.snapshot import Cause, Snapshot, usual
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode

_QUOTA = re.compile(r"exceeded quota: (\S+), requested: (\S+), used: (\S+), limited: (\S+)")
_UNNAMED = re.compile(r"failed quota: (\S+): must specify (.+)", re.DOTALL)
_LIMIT_RANGE = re.compile(
    r"(?:(?:maximum|minimum) \S+ usage|max limit to request ratio) per (?:Container|Pod|PersistentV)"
)
_SECURITY = re.compile(r'violates PodSecurity "([^":]+)[^"]*": ?(.*)', re.DOTALL)
_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request(?::? ?(.*))?', re.DOTALL)
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)'.*? denied request")
_NO_ANSWER = re.compile(r'failed calling webhook "([^"]+)"')
_ACCOUNT = re.compile(r'service ?account "([^"]+)" not found', re.IGNORECASE)
_PRIORITY = re.compile(r"no PriorityClass with name (\S+) was found", re.IGNORECASE)
_REFUSED = re.compile(r"is forbidden|is invalid|denied", re.IGNORECASE)
_SKEW = timedelta(seconds=10)
"""Between the bot's clock and the cluster's."""

_QUOTA_FULL = usual(
    ("the quota has no room for an extra pod", "raise the quota: a rollout runs old and new pods side by side"),
    ("something else in the namespace uses up the quota", "run `kubectl describe quota` and remove what isn't needed"),
)
_QUOTA_UNNAMED = usual(
    ("the quota requires every pod to declare its resources", "set them on the Deployment, then retry")
)
_LIMITS = usual(
    (
        "the Deployment requests less or more than the namespace's LimitRange allows",
        "change one of the two, then retry",
    ),
)
_SECURE = usual(
    (
        "the namespace's pod security level was raised",
        "fix the Deployment's security context, or ask who raised the level",
    ),
)
_WEBHOOK = usual(
    ("a policy forbids this image or this pod", "the policy's reason is above; ask its owner"),
    ("the image is not signed, or not scanned", "sign or scan it, then retry"),
)
_WEBHOOK_DOWN = usual(
    ("the webhook's own pods are down", "check those pods first: they block every new pod in the cluster"),
)
_ACCOUNT_GONE = usual(("the service account was deleted or renamed", "create it again in this namespace"))
_OTHER = usual(
    ("a cluster rule rejects the pod", "the rule's reason is above; ask the cluster's owner"),
)


def refused(snapshot: Snapshot) -> Cause | None:
    """Return why the new ReplicaSet can't create its pods, where that is so."""
    message = _failure(snapshot)
    if not message:
        return None
    kind, what, brief, causes = _read(message, snapshot.deployment.namespace)
    certain = (
        kind is not None
        and _is_new(snapshot)
        and not (kind is ReasonCode.QUOTA_EXCEEDED and _may_free_itself(snapshot))
    )
    return Cause(
        code=kind or ReasonCode.ADMISSION_REFUSED,
        what=what,
        brief=brief,
        said=(message,),
        certain=certain,
        silent=True,
        usual=causes,
    )


def since(snapshot: Snapshot) -> str:
    """Return when the ReplicaSet began to be refused."""
    return next((c.updated for c in (snapshot.new.conditions if snapshot.new else ()) if _is_failure(c)), "")


def _is_failure(condition: Condition) -> bool:
    return condition.type == "ReplicaFailure" and condition.status == "True"


def _failure(snapshot: Snapshot) -> str:
    """Return the newest refusal's message: the newest event's, else the condition's, which keeps the first one."""
    if snapshot.new is None or not any(_is_failure(condition) for condition in snapshot.new.conditions):
        return ""
    told = [event for event in snapshot.events if event.about == snapshot.new.uid and event.reason == "FailedCreate"]
    if told:
        return max(told, key=lambda event: event.order).message.removeprefix("Error creating: ")
    return next(condition.message for condition in snapshot.new.conditions if _is_failure(condition))


def _is_new(snapshot: Snapshot) -> bool:
    """Return whether the refusal belongs to this rollout: a ReplicaSet that is used again may still carry an earlier one's."""
    set_at = snapshot.deployment.annotations.get(DEPLOYED_AT, "")
    stamps = [since(snapshot)]
    if snapshot.new is not None:
        stamps += [
            e.at.isoformat()
            for e in snapshot.events
            if e.at is not None and e.about == snapshot.new.uid and e.reason == "FailedCreate"
        ]
    try:
        return not set_at or any(
            datetime.fromisoformat(stamp) + _SKEW >= datetime.fromisoformat(set_at) for stamp in stamps if stamp
        )
    except ValueError:
        return True


def _may_free_itself(snapshot: Snapshot) -> bool:
    """Return whether old pods go, or may go, and so leave room."""
    going = any(pod.deleting for pod in snapshot.leaving)
    ready = sum(pod.ready for pod in (*snapshot.pods, *snapshot.others))
    needed = snapshot.deployment.desired - snapshot.deployment.max_unavailable
    return going or (bool(snapshot.others) and ready > needed)


def _read(message: str, namespace: str) -> tuple[ReasonCode | None, str, str, tuple[UsualCause, ...]]:
    """Return the code (None where the trouble may pass), the cause in words and in few words, and usual causes."""
    refuses = ReasonCode.ADMISSION_REFUSED
    if found := _QUOTA.search(message):
        used = _used(found[2], found[3], found[4])
        what = f"quota {found[1]} in {namespace} has no room for the new pod: {used}"
        return ReasonCode.QUOTA_EXCEEDED, what, f"quota {found[1]} is used up", _QUOTA_FULL
    if found := _UNNAMED.search(message):
        what = f"quota {found[1]} in {namespace} requires pods to set {found[2].strip()}"
        return ReasonCode.QUOTA_EXCEEDED, what, f"quota {found[1]} requires limits", _QUOTA_UNNAMED
    if found := _LIMIT_RANGE.search(message):
        rule = message[found.start() :].rstrip("]. ")
        return (
            refuses,
            f"the limit range of {namespace} rejects the new pods: {rule}",
            "the namespace's limit range rejects it",
            _LIMITS,
        )
    if found := _SECURITY.search(message):
        what = f"the pod security level of {namespace} ({found[1]}) rejects the new pods"
        return refuses, what, "the pod security level rejects it", _SECURE
    if found := _NO_ANSWER.search(message):
        what = f"admission webhook {found[1]} does not answer, so no pod can be created"
        return None, what, f"admission webhook {found[1]} does not answer", _WEBHOOK_DOWN
    if found := _DENIED.search(message) or _POLICY.search(message):
        what = f"admission policy {found[1]} rejects the new pods"
        return refuses, what, f"admission policy {found[1]} rejects it", _WEBHOOK
    if found := _ACCOUNT.search(message):
        what = f"service account {found[1]} does not exist, so no pod can be created"
        return refuses, what, f"service account {found[1]} does not exist", _ACCOUNT_GONE
    if found := _PRIORITY.search(message):
        what = f"priority class {found[1]} does not exist, so no pod can be created"
        return refuses, what, f"priority class {found[1]} does not exist", _OTHER
    what = "the cluster rejects the new pods"
    return (refuses if _REFUSED.search(message) else None), what, "the cluster rejects the pod", _OTHER


def _used(requested: str, used: str, limited: str) -> str:
    """Return such as `pods 6 of 6 used, 1 more requested`."""
    wants, has, may = (_pairs(text) for text in (requested, used, limited))
    return "; ".join(
        f"{name} {has.get(name, '?')} of {may.get(name, '?')} used, {amount} more requested"
        for name, amount in wants.items()
    )


def _pairs(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.rstrip(",").split(",") if "=" in part)
