"""What an API server refuses: wrong names, labels that a selector does not select, fields that must not change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sandbox.cluster.errors import Cause, invalid
from sandbox.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE,
    Json,
    Kind,
)
from sandbox.cluster.selectors import selects

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_NAME_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_REQUIRED, _FORBIDDEN, _DUPLICATE = "FieldValueRequired", "FieldValueForbidden", "FieldValueDuplicate"
_POD_FORBIDDEN = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
    "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing "
    "tolerations), `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_IMMUTABLE = "field is immutable"


def validate(kind: Kind, obj: Json, old: Json | None = None) -> None:
    """Raise Invalid with every cause at once."""
    causes = [*_metadata(kind, obj), *_body(kind, obj)]
    if old is not None:
        causes += _unchanged(kind, obj, old)
    if causes:
        raise invalid(kind, obj["metadata"].get("name", ""), causes)


def _wrong(field: str, value: Any, message: str) -> Cause:
    return Cause(field, f"Invalid value: {_go(value)}: {message}")


def _go(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _metadata(kind: Kind, obj: Json) -> Iterator[Cause]:
    metadata = obj["metadata"]
    name = metadata.get("name")
    strict = kind in (NAMESPACE, SERVICE)
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required", _REQUIRED)
    elif (
        not isinstance(name, str)
        or len(name) > _LONGEST_NAME
        or not (_LABEL_NAME if strict else _SUBDOMAIN).match(name)
    ):
        yield _wrong("metadata.name", name, _LABEL_NAME_RULE if strict else _NAME_RULE)
    yield from _labels(metadata.get("labels") or {}, "metadata.labels")


def _labels(labels: Json, field: str) -> Iterator[Cause]:
    for value in labels.values():
        if not isinstance(value, str) or not _LABEL.match(value):
            yield _wrong(field, value, _LABEL_RULE)
        elif len(value) > _LONGEST_LABEL:
            yield _wrong(field, value, f"must be no more than {_LONGEST_LABEL} characters")


def _body(kind: Kind, obj: Json) -> Iterator[Cause]:
    if kind in (DEPLOYMENT, REPLICA_SET):
        yield from _workload(obj["spec"])
    elif kind == JOB:
        yield from _pod_spec(obj["spec"]["template"]["spec"], "spec.template.spec", ("Never", "OnFailure"))
    elif kind == POD:
        yield from _pod_spec(obj["spec"], "spec", ("Always", "Never", "OnFailure"))
    elif kind == SERVICE and obj["spec"]["type"] != "ExternalName" and not obj["spec"].get("ports"):
        yield Cause("spec.ports", "Required value", _REQUIRED)
    elif kind == PERSISTENT_VOLUME_CLAIM:
        yield from _claim(obj["spec"])
    elif kind in (CONFIG_MAP, SECRET):
        for key, value in (obj.get("data") or {}).items():
            if not isinstance(value, str):
                yield _wrong(f"data[{key}]", value, "must be a string")


def _claim(spec: Json) -> Iterator[Cause]:
    if not spec.get("accessModes"):
        yield Cause("spec.accessModes", "Required value: at least 1 access mode is required", _REQUIRED)
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        yield Cause("spec.resources[storage]", "Required value", _REQUIRED)


def _workload(spec: Json) -> Iterator[Cause]:
    replicas = spec["replicas"]
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        yield _wrong("spec.replicas", replicas, "must be a number")
    elif replicas < 0:
        yield _wrong("spec.replicas", replicas, "must be greater than or equal to 0")
    labels = spec["template"]["metadata"].get("labels") or {}
    if not spec.get("selector"):
        yield Cause("spec.selector", "Required value", _REQUIRED)
    elif not selects(spec["selector"], labels):
        yield _wrong("spec.template.metadata.labels", _go_map(labels), "`selector` does not match template `labels`")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and deadline <= ready:
        yield _wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec", ("Always",))


class _go_map(dict[str, str]):  # noqa: N801
    """Labels as Go prints them in a message."""

    def __str__(self) -> str:
        return "map[string]string{" + ", ".join(f'"{key}":"{value}"' for key, value in sorted(self.items())) + "}"


def _pod_spec(spec: Json, field: str, restart: tuple[str, ...]) -> Iterator[Cause]:
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        yield Cause(f"{field}.containers", "Required value", _REQUIRED)
        return
    seen: set[str] = set()
    for at, container in enumerate(containers):
        for key in ("name", "image"):
            if not container.get(key):
                yield Cause(f"{field}.containers[{at}].{key}", "Required value", _REQUIRED)
        name = container.get("name", "")
        if name in seen:
            yield Cause(f"{field}.containers[{at}].name", f'Duplicate value: "{name}"', _DUPLICATE)
        seen.add(name)
    if spec.get("restartPolicy") not in restart:
        allowed = ", ".join(f'"{value}"' for value in sorted(restart))
        message = f'Unsupported value: "{spec.get("restartPolicy", "")}": supported values: {allowed}'
        yield Cause(f"{field}.restartPolicy", message, "FieldValueNotSupported")


def _unchanged(kind: Kind, obj: Json, old: Json) -> Iterator[Cause]:
    if obj["metadata"].get("uid") != old["metadata"].get("uid"):
        yield _wrong("metadata.uid", obj["metadata"].get("uid"), _IMMUTABLE)
    if kind in (DEPLOYMENT, REPLICA_SET, JOB) and obj["spec"].get("selector") != old["spec"].get("selector"):
        yield _wrong("spec.selector", obj["spec"].get("selector"), _IMMUTABLE)
    if kind == JOB and obj["spec"].get("template") != old["spec"].get("template"):
        yield _wrong("spec.template", obj["spec"].get("template"), _IMMUTABLE)
    if kind == POD and _fixed(obj["spec"]) != _fixed(old["spec"]):
        yield Cause("spec", _POD_FORBIDDEN, _FORBIDDEN)
    if kind in (CONFIG_MAP, SECRET) and old.get("immutable") and obj.get("data") != old.get("data"):
        yield Cause("data", "Forbidden: field is immutable when `immutable` is set", _FORBIDDEN)


def _fixed(spec: Json) -> Json:
    """What of a pod's specification must stay as it was made."""
    mutable = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")
    plain = {key: value for key, value in spec.items() if key not in mutable}
    for name in ("containers", "initContainers"):
        plain[name] = [{k: v for k, v in entry.items() if k != "image"} for entry in spec.get(name) or []]
    return plain
