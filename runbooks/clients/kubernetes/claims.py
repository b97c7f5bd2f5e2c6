"""PersistentVolumeClaims: the view and how it is read from Kubernetes' JSON."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, fields, stamp, text
from runbooks.clients.kubernetes.listed_kinds import ListedKind


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A PersistentVolumeClaim."""

    name: str
    uid: str
    created: str
    phase: str
    """`Bound`, `Pending`, or `Lost` where the volume behind it is gone."""
    volume: str
    storage_class: str


def claim(item: Json) -> ClaimView:
    """Return the claim from Kubernetes' JSON."""
    meta, spec = fields(item, "metadata"), fields(item, "spec")
    return ClaimView(
        name=text(meta, "name"),
        uid=text(meta, "uid"),
        created=stamp(meta, "creationTimestamp"),
        phase=text(fields(item, "status"), "phase"),
        volume=text(spec, "volumeName"),
        storage_class=text(spec, "storageClassName"),
    )


CLAIMS = ListedKind(("/api/v1",), "persistentvolumeclaims", "PersistentVolumeClaims", claim)
