"""The sandbox's gates: what v2.0.0 needs so that it passes all of production's.

Staging's record says that v2.0.0 ran there with the same digests and was good; every other version was never there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.cluster.seed import BOT_NAMESPACE
from sandbox.outside.registry import REGISTRY, SERVICES, digest_of

if TYPE_CHECKING:
    from sandbox.world import SandboxWorld

PROVEN = "v2.0.0"
"""The version that staging has proven."""


async def served(world: SandboxWorld, _: AsyncExitStack) -> Mapping[str, Mapping[str, object]]:
    """Records staging's releases, and returns production's table."""
    if world.offers_scenarios:
        world.after_seed.append(lambda: _record(world))
        _record(world)
    gates = {
        "promoted_from": "staging",
        "windows": {"zone": "UTC", "allowed": ["* * * * *"]},
        "sync": {"large": 100, "seconds": 2.0},
    }
    return {"production": {"gates": gates}}


def _record(world: SandboxWorld) -> None:
    """v2.0.0 was good in staging four hours ago; then somebody went back to v1.2.0 for the next test."""
    now = datetime.now(UTC)
    releases = [_release("v1.2.0", now - timedelta(hours=1)), _release(PROVEN, now - timedelta(hours=4))]
    metadata = {"name": "releases-staging", "namespace": BOT_NAMESPACE, "labels": {"omnicare.dev/record": "releases"}}
    data = {"releases": json.dumps(releases, indent=1)}
    world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _release(version: str, at: datetime) -> dict[str, object]:
    services = [
        {
            "service": service,
            "image": {
                "repository": f"{REGISTRY}/omnicare/{service}",
                "tag": version,
                "digest": digest_of(service, version),
            },
        }
        for service in SERVICES
    ]
    return {
        "version": version,
        "services": services,
        "run": f"staging.deploy.{version}",
        "by": "Maya",
        "approved_by": ["Tomas"],
        "at": at.isoformat(timespec="seconds"),
    }
