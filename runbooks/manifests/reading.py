"""What a file of manifests says: its ConfigMaps as typed values, and what else stands in it by name.

The file comes from the release's repository, which others may write: it is bounded, parsed once here, and what is not a ConfigMap is
never applied. Secrets do not belong in a repository, and a Deployment's image is the rollout's to change.
"""

import re
from collections.abc import Iterator
from typing import cast

import yaml

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

LARGEST = 1 << 20
"""Bytes: a ConfigMap holds 1 MiB at most, and so does a file of them here."""
_MANY = 200
"""Objects in one file."""
_EVENTS = 100_000
"""Values, keys and brackets in one file."""
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"(?!\.\.?\Z)[-._a-zA-Z0-9]{1,253}")
_LABEL = re.compile(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")


class WantedConfigMap(Frozen):
    """A ConfigMap as a file has it."""

    name: str
    data: dict[str, str]
    labels: dict[str, str] = {}
    source: str
    """The file."""


class FileOfManifests(Frozen):
    """What one file has."""

    config_maps: tuple[WantedConfigMap, ...]
    others: tuple[str, ...] = ()
    """`Secret backend-secret`: what is left alone."""


def read_manifests(path: str, content: bytes, namespace: str) -> FileOfManifests:
    """Return what the file has. Raises PermanentError(MANIFEST_INVALID), which names the file and the place, never a value."""
    if len(content) > LARGEST:
        raise _invalid(path, f"it is larger than {LARGEST >> 20} MiB")
    maps: list[WantedConfigMap] = []
    others: list[str] = []
    for number, found in enumerate(_documents(path, content), start=1):
        if number > _MANY:
            raise _invalid(path, f"it has more than {_MANY} objects")
        if found is None:
            continue
        kind, name = _identity(path, number, found)
        if kind == "ConfigMap":
            maps.append(_config_map(path, number, name, cast("dict[str, object]", found), namespace))
        else:
            others.append(f"{kind} {name}")
    names = [each.name for each in maps]
    if len(set(names)) < len(names):
        raise _invalid(path, "it has the same ConfigMap twice")
    return FileOfManifests(config_maps=tuple(maps), others=tuple(others))


def fault_of(wanted: WantedConfigMap) -> str:
    """Return why Kubernetes could not have such a ConfigMap; empty where it could."""
    if not _SUBDOMAIN.fullmatch(wanted.name):
        return "its name is not a DNS subdomain"
    if not all(_KEY.fullmatch(key) for key in wanted.data):
        return "not every key consists of letters, digits, `-`, `_` and `.`"
    if not all(_is_label(key, value) for key, value in wanted.labels.items()):
        return "not all of its labels are valid"
    return ""


def _is_label(key: str, value: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    named = _LABEL.fullmatch(name) and (not slash or _SUBDOMAIN.fullmatch(prefix))
    return bool(named) and (not value or _LABEL.fullmatch(value) is not None)


def _documents(path: str, content: bytes) -> Iterator[object]:
    try:
        text = content.decode()
        for events, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                raise _invalid(path, "it uses YAML aliases, which can grow without bound")
            if events > _EVENTS:
                raise _invalid(path, "it has too many values")
        yield from yaml.load_all(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise _invalid(path, f"it is not YAML{where}") from None


def _identity(path: str, number: int, found: object) -> tuple[str, str]:
    if not isinstance(found, dict):
        raise _invalid(path, f"object {number} is not a mapping")
    kind, metadata = found.get("kind"), found.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(kind, str) or not isinstance(name, str) or not kind or not name:
        raise _invalid(path, f"object {number} has no kind or no name")
    return kind, name


def _config_map(path: str, number: int, name: str, found: dict[str, object], namespace: str) -> WantedConfigMap:
    metadata = cast("dict[str, object]", found["metadata"])
    if metadata.get("namespace") not in (None, namespace):
        raise _invalid(path, f"object {number} ({name}) is for another namespace than {namespace}")
    if found.get("binaryData"):
        raise _invalid(
            path, f"object {number} ({name}) has binary data, which people can't compare before they approve"
        )
    wanted = WantedConfigMap(
        name=name,
        data=_texts(path, name, "data", found.get("data")),
        labels=_texts(path, name, "labels", metadata.get("labels")),
        source=path,
    )
    if why := fault_of(wanted):
        raise _invalid(path, f"object {number} is not a valid ConfigMap: {why}")
    return wanted


def _texts(path: str, name: str, what: str, found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in found.items()):
        raise _invalid(path, f"{what} of {name} are not all strings: put numbers and true/false in quotes")
    return dict(found)


def _invalid(path: str, why: str) -> PermanentError:
    return PermanentError(f"{path} can't be applied: {why}.", code=ReasonCode.MANIFEST_INVALID)
