"""The content of the ConfigMaps that releases had, as it stands in a ConfigMap of the record: bounded, and each known by its SHA-256.

A rollback reads it from here, so it needs no repository on a bad night.
"""

import hashlib
from collections.abc import Mapping

LARGEST = 200_000
"""Characters of one release's configuration that are kept; a larger one stays in its repository."""
_TOGETHER = 800_000
_MANY = 10
_ORDER = "order"


def sha256_of(text: str) -> str:
    """Return by what a configuration is known."""
    return hashlib.sha256(text.encode()).hexdigest()


def configuration_from(data: Mapping[str, str], sha256: str) -> str | None:
    """Return the kept text; None where there is none, or another one under its name."""
    text = data.get(sha256)
    return text if text is not None and sha256_of(text) == sha256 else None


def configurations_data(text: str, before: Mapping[str, str]) -> dict[str, str]:
    """Return what is kept with this text as the newest: the last ten, and no more than fits."""
    newest = sha256_of(text)
    known = {newest: text, **{each: before[each] for each in before.get(_ORDER, "").split() if each in before}}
    kept: dict[str, str] = {}
    for name, each in list(known.items())[:_MANY]:
        if sum(map(len, kept.values())) + len(each) <= _TOGETHER:
            kept[name] = each
    return {_ORDER: " ".join(kept), **kept}
