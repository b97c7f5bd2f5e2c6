"""From which image to which somebody changed a service past the bot: as its Deployment's ReplicaSets keep it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbooks.clients.kubernetes.views import DeploymentView, FieldOwner, ReplicaSetView
from runbooks.kit.answers import read_time
from runbooks.kit.plan import Image
from runbooks.kit.targets import Service
from runbooks.redaction.redactor import cut_redacted

_LONGEST = 80
_MADE = timedelta(minutes=1)
"""Within this time a change of the pod template has its ReplicaSet."""


def changed_image(service: Service, view: DeploymentView, sets: Sequence[ReplicaSetView], owner: FieldOwner) -> str:
    """Return `backend v1.2.0 → v2.0.0`; empty where the owner wrote other parts of the pod template last, and no image."""
    own = sorted((each for each in sets if each.owner == view.uid), key=lambda each: each.revision, reverse=True)
    for name in sorted(owner.containers, key=lambda name: (name != service.container, name)):
        now = view.images.get(name, "")
        older = next((place for place, each in enumerate(own) if each.image(name) != now), len(own))
        before = own[older] if older < len(own) else None
        made = own[older - 1] if older else None
        if not now or (made is not None and _long_before(made, before, read_time(owner.time))):
            continue
        which = service.name if name == service.container else f"{service.name} (container {name})"
        was = before.image(name) if before is not None else None
        return f"{which} {_from_to(service, was, now)}"
    return ""


def _long_before(made: ReplicaSetView, before: ReplicaSetView | None, at: datetime | None) -> bool:
    """Whether the image is older than the change: its ReplicaSet is, and was not taken again after a younger one."""
    created = read_time(made.created)
    earlier = read_time(before.created) if before is not None else None
    if created is None or at is None or (earlier is not None and created < earlier):
        return False
    return created < at - _MADE


def _from_to(service: Service, was: str | None, now: str) -> str:
    after = Image.parse(now)
    before = Image.parse(was) if was else None
    told = [_shown(each, service, digest=False) if each else "unknown version" for each in (before, after)]
    if told[0] == told[1]:
        told = [_shown(each, service, digest=True) for each in (before, after) if each]
    return " → ".join(cut_redacted(each, _LONGEST) for each in told)


def _shown(image: Image, service: Service, *, digest: bool) -> str:
    known = image.is_of(service.repository) and image.tag and not digest
    return image.tag or "" if known else image.shown(service.repository)
