"""Amounts as Kubernetes writes them, and what a pod asks for."""

from __future__ import annotations

import re

from sandbox.cluster.resources import Json

_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def quantity(text: str | float) -> float:
    """`100m` is 0.1, `64Gi` is 68719476736."""
    found = re.match(r"^([0-9.]+)([A-Za-z]*)$", str(text))
    return float(found[1]) * _UNITS.get(found[2], 1.0) if found else 0.0


def requested(pod: Json, name: str, *, limits: bool = False) -> float:
    """What the pod's containers ask for together."""
    entries = (container.get("resources") or {} for container in pod["spec"]["containers"])
    if limits:
        return sum(quantity((entry.get("limits") or {}).get(name, 0)) for entry in entries)
    return sum(quantity(((entry.get("requests") or entry.get("limits")) or {}).get(name, 0)) for entry in entries)
