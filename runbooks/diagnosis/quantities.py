"""Amounts as Kubernetes writes them (`500m`, `64Gi`), to be added up and shown again."""

import re

from runbooks.clients.kubernetes.views import PodView
from runbooks.wording import size

_UNITS = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_QUANTITY = re.compile(
    r"((?:[0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?)([A-Za-z]{0,2})", re.ASCII
)
_BYTES = {"memory", "ephemeral-storage"}


def amount(text: str | float) -> float:
    """Return the quantity as a number: `100m` is 0.1, `64Gi` is 68719476736; 0 for what can't be read."""
    found = _QUANTITY.fullmatch(str(text))
    return float(found[1]) * _UNITS.get(found[2], 0.0) if found else 0.0


def shown(resource: str, value: float) -> str:
    """Return such as `1.3 cpu`, `512 MiB memory`."""
    if resource not in _BYTES:
        return f"{round(value, 3):g} {resource}"
    return f"{size(value)} {resource}"


def asked(pod: PodView, resource: str) -> float:
    """Return what the scheduler counts for the pod: the sum of its containers, or the largest init container."""
    together = sum(amount(each.requests.get(resource, 0)) for each in pod.asked)
    return max(together, *(amount(each.requests.get(resource, 0)) for each in pod.init), 0.0)
