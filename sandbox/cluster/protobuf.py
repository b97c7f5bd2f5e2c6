"""Kubernetes' protobuf bodies, read only: kubectl sends what it makes itself (`create`, `auth can-i`) in this form.

The fields are those that kubectl fills in when it makes such an object; answers go back as JSON, which it accepts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from sandbox.cluster.errors import bad_request, unsupported_media_type
from sandbox.cluster.resources import Json

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# A message: field number -> (name, type). Types: str, int, bool, bytes, quantity, intstr, map, or another message's
# name; a list is written [type], a map of messages {type}.
_MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "ObjectMeta": {
        1: ("name", "str"),
        2: ("generateName", "str"),
        3: ("namespace", "str"),
        5: ("uid", "str"),
        6: ("resourceVersion", "str"),
        11: ("labels", {"str"}),
        12: ("annotations", {"str"}),
        14: ("finalizers", ["str"]),
    },
    "LabelSelector": {1: ("matchLabels", {"str"})},
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "ConfigMap": {1: ("metadata", "ObjectMeta"), 2: ("data", {"str"}), 3: ("binaryData", {"bytes"})},
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", {"bytes"}),
        3: ("type", "str"),
        4: ("stringData", {"str"}),
    },
    "Deployment": {1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec")},
    "DeploymentSpec": {
        1: ("replicas", "int"),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
    },
    "Job": {1: ("metadata", "ObjectMeta"), 2: ("spec", "JobSpec")},
    "JobSpec": {
        1: ("parallelism", "int"),
        2: ("completions", "int"),
        3: ("activeDeadlineSeconds", "int"),
        6: ("template", "PodTemplateSpec"),
        7: ("backoffLimit", "int"),
        8: ("ttlSecondsAfterFinished", "int"),
    },
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", ["Container"]),
        3: ("restartPolicy", "str"),
        4: ("terminationGracePeriodSeconds", "int"),
        6: ("dnsPolicy", "str"),
        8: ("serviceAccountName", "str"),
    },
    "Container": {
        1: ("name", "str"),
        2: ("image", "str"),
        3: ("command", ["str"]),
        4: ("args", ["str"]),
        5: ("workingDir", "str"),
        6: ("ports", ["ContainerPort"]),
        7: ("env", ["EnvVar"]),
        14: ("imagePullPolicy", "str"),
    },
    "ContainerPort": {1: ("name", "str"), 3: ("containerPort", "int"), 4: ("protocol", "str")},
    "EnvVar": {1: ("name", "str"), 2: ("value", "str")},
    "SelfSubjectAccessReview": {2: ("spec", "AccessSpec")},
    "AccessSpec": {1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "PathAttributes")},
    "ResourceAttributes": {
        1: ("namespace", "str"),
        2: ("verb", "str"),
        3: ("group", "str"),
        4: ("version", "str"),
        5: ("resource", "str"),
        6: ("subresource", "str"),
        7: ("name", "str"),
    },
    "PathAttributes": {1: ("path", "str"), 2: ("verb", "str")},
    "SelfSubjectRulesReview": {2: ("spec", "RulesSpec")},
    "RulesSpec": {1: ("namespace", "str")},
    "SelfSubjectReview": {},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        4: ("propagationPolicy", "str"),
        5: ("dryRun", ["str"]),
    },
    "Preconditions": {1: ("uid", "str"), 2: ("resourceVersion", "str")},
}


def decode(body: bytes) -> Json:
    """The object in a body; 415 for a kind that is not known in this form."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not a Kubernetes protobuf object")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        kind = {number: value.decode() for number, value in _fields(envelope[1])}
        name = kind.get(2, "")
        if name not in _MESSAGES:
            raise unsupported_media_type()
        return {"apiVersion": kind.get(1, ""), "kind": name, **_message(name, envelope.get(2, b""))}
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise bad_request("the body is not a Kubernetes protobuf object") from error


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            yield number, data[at : at + size]
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise bad_request("the body is not a Kubernetes protobuf object")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, at


def _message(name: str, data: bytes) -> Json:
    fields = _MESSAGES[name]
    found: Json = {}
    for number, value in _fields(data):
        if number not in fields:
            continue
        key, form = fields[number]
        if isinstance(form, list):
            found.setdefault(key, []).append(_value(form[0], value))
        elif isinstance(form, set):
            entry = dict(_fields(value))
            found.setdefault(key, {})[entry.get(1, b"").decode()] = _value(next(iter(form)), entry.get(2, b""))
        elif value != b"" or form not in ("str", "bytes"):
            found[key] = _value(form, value)
    return found


def _value(form: str, value: Any) -> Any:
    if form == "str":
        return value.decode()
    if form == "int":
        return value if value < 2**63 else value - 2**64
    if form == "bytes":
        return base64.b64encode(value).decode()
    return _message(form, value)
