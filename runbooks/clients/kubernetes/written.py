"""When an object was last written, by whom and which keys of its data, from its metadata alone: its values never leave the API server."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.kubernetes.fields import Json, fields, listed, past, text
from runbooks.kit.answers import read_time

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
"""Written every few seconds by whoever leads."""
_DATA = ("f:data", "f:binaryData", "f:stringData")


@dataclass(frozen=True, slots=True)
class WrittenView:
    """A ConfigMap or Secret, without its values."""

    name: str
    at: datetime
    by: str
    """The field manager, such as `kubectl-edit`: what the writer calls itself."""
    keys: tuple[str, ...] = ()
    """The keys of its data whose present value that writer set. A key that was removed has no writer."""


def written(item: Json) -> WrittenView | None:
    """Return the last write; None where Kubernetes does not say, or where the object only says who leads."""
    meta = fields(item, "metadata")
    writes = list(_writes(meta))
    if _LEADER in fields(meta, "annotations"):
        return None
    return max(writes, key=lambda write: write.at, default=None)


def written_by(item: Json, manager: str) -> WrittenView | None:
    """Return that manager's last write, whoever wrote later; None where Kubernetes knows of none."""
    own = (write for write in _writes(fields(item, "metadata")) if write.by == manager)
    return max(own, key=lambda write: write.at, default=None)


def _writes(meta: Json) -> Iterator[WrittenView]:
    for entry in listed(meta, "managedFields"):
        at = past(entry, "time")
        if at is not None and not text(entry, "subresource"):
            yield WrittenView(text(meta, "name"), at, text(entry, "manager"), tuple(_keys(entry)))
    created = read_time(meta.get("creationTimestamp"))
    if created is not None:
        yield WrittenView(text(meta, "name"), created, "")


def scaled(item: Json) -> WrittenView | None:
    """Return who set a Deployment's number of pods last; None where Kubernetes does not say, or the same writer set its pod template, too."""
    meta = fields(item, "metadata")
    writes = [
        WrittenView(text(meta, "name"), at, text(entry, "manager"))
        for entry in listed(meta, "managedFields")
        if (at := past(entry, "time")) is not None
        and "f:replicas" in (spec := fields(entry, "fieldsV1", "f:spec"))
        and "f:template" not in spec
    ]
    return max(writes, key=lambda write: write.at, default=None)


def _keys(entry: Json) -> Iterator[str]:
    for part in _DATA:
        yield from (key[2:] for key in fields(entry, "fieldsV1", part) if key.startswith("f:"))
