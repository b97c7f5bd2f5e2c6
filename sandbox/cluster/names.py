"""Names as Kubernetes makes them: random endings in its own alphabet, and the hash of a pod template."""

from __future__ import annotations

import json
import random

from sandbox.cluster.resources import Json

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX, _LONGEST = 5, 63 - 5
_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


def random_suffix(rng: random.Random, length: int = _SUFFIX) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(length))


def generated(prefix: str, rng: random.Random) -> str:
    return prefix[:_LONGEST] + random_suffix(rng)


def template_hash(template: Json, collisions: int = 0) -> str:
    """A hash of a pod template (FNV-1a over its JSON), in the same alphabet and of the same length as the real one."""
    plain = {key: value for key, value in template.items() if value is not None}
    number = _FNV_OFFSET
    for byte in json.dumps([plain, collisions], sort_keys=True).encode():
        number = (number ^ byte) * _FNV_PRIME % 2**32
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(number))
