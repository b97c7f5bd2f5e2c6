"""The sandbox's gates: at first every version passes all of production's, and scenarios break what one of them looks at.

Staging's record says that each version of the registry ran there with the same digests and was good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sandbox.aws_services import Rds
from sandbox.cluster.seed import BOT_NAMESPACE
from sandbox.outside.github import CHECKS, COVERAGE, NAME, OWNER, WORKFLOW, Github
from sandbox.outside.registry import REGISTRY, SERVICES, VERSIONS, digest_of

if TYPE_CHECKING:
    from sandbox.world import SandboxWorld

SIGNATURES = {
    "customer-communication": "Customer communication drafted",
    "api-documentation": "API documentation updated",
}
_RECORD, _SIGNED = "releases-staging", "signatures-production"


async def served(world: SandboxWorld, stack: AsyncExitStack) -> Mapping[str, Mapping[str, object]]:
    """Starts GitHub, records staging's releases, and returns production's tables."""
    world.github = Github()
    await stack.enter_async_context(world.github.serve())
    world.github.publish = lambda version: _publish(world, version)
    if world.offers_scenarios:
        for add in (_record, _sign):
            world.after_seed.append(partial(add, world))
            add(world)
    gates: dict[str, object] = {
        "signatures": [
            {"name": name, "text": text, "max_age_hours": 720.0, "role": "on-call"} for name, text in SIGNATURES.items()
        ],
        "code": {"checks": list(CHECKS), "coverage": COVERAGE, "provenance": {}},
        "promoted_from": "staging",
        "windows": {"zone": "UTC", "allowed": ["* * * * *"]},
        "sync": {"large": 100, "seconds": 2.0},
    }
    if any(isinstance(service, Rds) for service in world.aws.services):
        gates["backups"] = ["snapshot", "configuration-backup", "restore"]
        gates["seconds"] = 15.0
    return {
        "production": {
            **on_github(world.github)["production"],
            "build": {"workflow": WORKFLOW, "look_seconds": 0.2, "grace_seconds": 2.0},
            "gates": gates,
        }
    }


def on_github(github: Github, **other: object) -> dict[str, dict[str, object]]:
    """Return production's table for that GitHub."""
    return {"production": {"github": {"repository": f"{OWNER}/{NAME}", "api_url": github.url, **other}}}


def _publish(world: SandboxWorld, version: str) -> None:
    for service in SERVICES:
        world.registry.publish(service, version, datetime.now(UTC))


def _sign(world: SandboxWorld) -> None:
    """Ines signed everything for every version two hours ago."""
    at = (datetime.now(UTC) - timedelta(hours=2)).isoformat(timespec="seconds")
    signed = [
        {
            "version": version,
            "name": name,
            "person": "ines",
            "by": "Ines",
            "at": at,
            "digests": {service: digest_of(service, version) for service in SERVICES},
        }
        for version in VERSIONS
        for name in SIGNATURES
    ]
    metadata = {"name": _SIGNED, "namespace": BOT_NAMESPACE, "labels": {"omnicare.dev/record": "signatures"}}
    data = {"signatures": json.dumps(signed, indent=1)}
    world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _record(world: SandboxWorld) -> None:
    """Every version was good in staging; it went back to v1.2.0 an hour ago, for the next test."""
    now = datetime.now(UTC)
    ages = {version: age / 2 for version, age in VERSIONS.items()} | {"v1.2.0": timedelta(hours=1)}
    releases = [_release(version, now - age) for version, age in sorted(ages.items(), key=lambda each: each[1])]
    metadata = {"name": _RECORD, "namespace": BOT_NAMESPACE, "labels": {"omnicare.dev/record": "releases"}}
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
        "verification": "passed",
    }
