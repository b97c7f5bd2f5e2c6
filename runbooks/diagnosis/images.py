"""An image that can't be pulled: unknown, refused, rate-limited, for another processor, or wrongly named.

The kubelet only hands on what the runtime says, so the words are those of containerd, CRI-O and Docker. What they do not know for
certain (time-outs, a full disk, a registry's 429 or 5xx) may pass.
"""

import re
from dataclasses import dataclass

from runbooks.clients.kubernetes.views import ContainerView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual, words
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode

_WAITING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_QUOTED = re.compile(r'"[^"]*"|sha256:[0-9a-f]+|\S+@\S+|[^\s"]+[.:][^\s"]*/\S+|[^\s"]+:v?\d+\.\S*')
"""Image names, digests and addresses in a message: any sign may be in them, so they say nothing of the cause."""
_MAY_PASS = re.compile(
    r"time-?out|timed out|deadline exceeded|connection (?:refused|reset)|no such host|\beof\b|tls handshake|temporary failure"
    r"|context canceled|no space left|\b(?:500|502|503|504)\b|service unavailable|bad gateway|internal server error"
)


@dataclass(frozen=True, slots=True)
class _Kind:
    code: ReasonCode
    pattern: re.Pattern[str]
    what: str
    brief: str
    usual: tuple[UsualCause, ...]
    certain: bool = True


_LIMITED = _Kind(
    ReasonCode.IMAGE_RATE_LIMITED,
    re.compile(r"\b429\b|too ?many ?requests|rate limit"),
    "the registry limits pulls from the nodes (429)",
    "the registry answers 429",
    usual(
        ("the nodes pull anonymously", "add an account with a higher limit to their pull secret"),
        ("many nodes pulled at once", "wait until the registry's limit resets, then retry"),
        ("there is no mirror in between", "pull through your own mirror or cache"),
    ),
    certain=False,
)
_KINDS = (
    _LIMITED,
    _Kind(
        ReasonCode.IMAGE_PLATFORM,
        re.compile(
            r"no match(?:ing manifest)? for (?:platform|\S+/\S+)|no image found in (?:manifest list|image index)"
            r"|does not match the specified platform|exec format error"
        ),
        "it is not built for the nodes' processor architecture",
        "not built for the nodes' processor architecture",
        usual(
            (
                "the image was built for another architecture",
                "build it for the nodes' platform, push it and deploy that",
            ),
            ("new nodes have another architecture", "select matching nodes with `nodeSelector: kubernetes.io/arch`"),
        ),
    ),
    _Kind(
        ReasonCode.IMAGE_UNAUTHORIZED,
        re.compile(
            r"\b40[13]\b|unauthori[sz]ed|forbidden|access denied|denied:|authori[sz]ation failed|authentication required"
            r"|no basic auth credentials|insufficient_scope|requires? 'docker login'|failed to authorize"
        ),
        "the registry rejects the nodes' credentials",
        "the registry rejects the nodes' credentials",
        usual(
            ("the pull secret expired or was revoked", "renew it in this namespace, then retry"),
            ("the pods name no pull secret", "set `imagePullSecrets` on the Deployment or its service account"),
            ("the account has no access to this repository", "grant it read access in the registry"),
        ),
    ),
    _Kind(
        ReasonCode.IMAGE_UNKNOWN,
        re.compile(r"manifest(?: \S+)? unknown|not found|name unknown|does not exist|no such (?:image|manifest)"),
        "the registry does not have it",
        "the registry does not have the image",
        usual(
            ("the image was deleted or moved after planning", "push it again, or deploy an existing version"),
            ("a registry clean-up job deleted it", "exclude released versions from that job"),
            ("the nodes use a mirror that doesn't have the image yet", "wait for the mirror, then retry"),
        ),
    ),
)
_NAME = _Kind(
    ReasonCode.IMAGE_NAME,
    re.compile(r"invalid reference format|couldn't parse image|invalidimagename|failed to apply default image tag"),
    "its name is not valid",
    "the image's name is not valid",
    usual(
        ("a capital letter, a space or a second `:` in the name", "fix the repository in the configuration"),
        ("a truncated digest", "plan again"),
    ),
)
_OTHER = usual(
    ("the registry, or a proxy in front of it, does not answer the nodes", "check the registry, then retry"),
    ("the node's disk is full", "run `kubectl describe node`"),
    ("the nodes do not trust the registry's certificate", "add its certificate authority to the nodes"),
)


def pull(snapshot: PodsSnapshot, pod: PodView, container: ContainerView) -> Cause | None:
    """Return why the container's image is not there, where that is so."""
    if container.phase != "waiting" or container.reason not in _WAITING:
        return None
    # While the kubelet backs off, its message may no longer say why: the event from the try before does.
    failed = [event.message for event in snapshot.told(pod, "Failed", "InspectFailed", container=container.name)]
    told = [message for message in failed if "image" in message.lower() or "pull" in message.lower()]
    bare = ("back-off", "error: ")
    said = words(*(word for word in (container.message, *reversed(told)) if not word.lower().startswith(bare)))
    kind = _kind(container.reason, said)
    if kind is None:
        brief = "the image is being pulled again" if not said else "the image can't be pulled yet"
        return _cause(pod, container, ReasonCode.IMAGE_PULL, "the image can't be pulled", brief, said, _OTHER)
    what = f"the image can't be pulled: {kind.what}"
    return _cause(pod, container, kind.code, what, kind.brief, said, kind.usual, certain=kind.certain)


def _kind(reason: str, said: tuple[str, ...]) -> _Kind | None:
    """Return the kind by the newest known message; None where that may be a passing trouble, so nothing is certain."""
    if reason == "InvalidImageName":
        return _NAME
    if reason == "ErrImageNeverPull":
        return _NEVER
    for word in said:
        plain = _QUOTED.sub(" ", word.lower())
        if _NAME.pattern.search(plain):
            return _NAME
        if _LIMITED.pattern.search(plain):
            return _LIMITED
        if _MAY_PASS.search(plain):
            return None
        found = next((kind for kind in _KINDS if kind.pattern.search(plain)), None)
        if found is not None:
            return found
    return None


_NEVER = _Kind(
    ReasonCode.IMAGE_PULL,
    re.compile("$^"),
    "the node doesn't have it, and `imagePullPolicy: Never` forbids pulling it",
    "the pull policy forbids pulling it",
    usual(("the policy is meant for a test cluster", "set `imagePullPolicy: IfNotPresent`")),
)


def wrong_platform() -> tuple[ReasonCode, str, tuple[UsualCause, ...]]:
    """Return the cause of an image for another processor, where only the container's log shows it."""
    kind = next(kind for kind in _KINDS if kind.code is ReasonCode.IMAGE_PLATFORM)
    return kind.code, f"the image can't be run: {kind.what}", kind.usual


def _cause(
    pod: PodView,
    container: ContainerView,
    code: ReasonCode,
    what: str,
    brief: str,
    said: tuple[str, ...],
    causes: tuple[UsualCause, ...],
    *,
    certain: bool = False,
) -> Cause:
    return Cause(
        code=code,
        what=what,
        brief=brief,
        said=said or (container.reason,),
        pod=pod,
        container=container.name,
        certain=certain,
        silent=True,
        usual=causes,
    )
