"""What a request asks for: its path, query and body as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from sandbox.cluster import protobuf
from sandbox.cluster.api import Deletion
from sandbox.cluster.errors import bad_request, no_such_resource, unsupported_media_type
from sandbox.cluster.resources import Json, Kind, by_path

_PROTOBUF = "application/vnd.kubernetes.protobuf"
_CBOR = "application/cbor"
_LONGEST_MANAGER = 128


@dataclass(frozen=True)
class Target:
    """The kind, and where it is asked for; the name is empty for a collection."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


def target_of(path: str) -> Target:
    """`/apis/apps/v1/namespaces/x/deployments/y/scale` and its like; 404 for what is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        group, version, rest = "", "".join(parts[1:2]), parts[2:]
    elif parts[:1] == ["apis"]:
        group, version, rest = "".join(parts[1:2]), "".join(parts[2:3]), parts[3:]
    else:
        raise no_such_resource()
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:  # noqa: PLR2004
        raise no_such_resource()
    kind = by_path(group, version, rest[0])
    name, subresource = "".join(rest[1:2]), "".join(rest[2:3])
    if kind is None or (subresource and subresource not in kind.subresources) or bool(namespace) > kind.namespaced:
        raise no_such_resource()
    return Target(kind, namespace, name, subresource)


def body_of(data: bytes, content_type: str) -> Any:
    kind = content_type.partition(";")[0].strip()
    if kind == _PROTOBUF:
        return protobuf.decode(data)
    if kind == _CBOR:
        raise unsupported_media_type()
    try:
        if "yaml" in kind:
            return yaml.safe_load(data)
        return json.loads(data)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error


def object_of(kind: Kind, body: Any) -> Json:
    """The body as an object of the kind that the path names."""
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    name, version = body.get("kind", kind.name), body.get("apiVersion", kind.api_version)
    if (name, version) != (kind.name, kind.api_version):
        raise bad_request(f'{name} in version "{version}" cannot be handled as a {kind.name}')
    return body


def manager_of(query: Mapping[str, str], agent: str) -> str:
    """Who writes: what the request says, else the client's name without its version."""
    name = query.get("fieldManager") or agent.partition("/")[0] or "unknown"
    return name[:_LONGEST_MANAGER]


def is_dry(query: Mapping[str, str]) -> bool:
    wanted = query.get("dryRun", "")
    if wanted not in ("", "All"):
        raise bad_request(f'Invalid value: "{wanted}": supported values: "All"')
    return wanted == "All"


def deletion_of(query: Mapping[str, str], body: Any) -> Deletion:
    options = body if isinstance(body, dict) else {}
    grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    conditions = options.get("preconditions") or {}
    orphan = str(options.get("orphanDependents", query.get("orphanDependents", ""))).lower() == "true"
    propagation = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if propagation not in ("Background", "Foreground", "Orphan"):
        raise bad_request(f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: "{propagation}"')
    return Deletion(
        grace=None if grace is None else int(grace),
        propagation="Orphan" if orphan else propagation,
        uid=conditions.get("uid", ""),
        version=conditions.get("resourceVersion", ""),
    )
